"""Some hooks and a range of contexts of a cache, as a cache of their own."""

from collections.abc import Sequence

from lmsaes.cache import ActivationCache, Location
from lmsaes.errors import ConfigError

from .copy import CopyReport, Run, copy, plan
from .selection import select_contexts, select_hooks


def cut_out(
    source: ActivationCache,
    out: Location,
    hooks: Sequence[str] = (),
    contexts: str | None = None,
) -> CopyReport:
    """Writes the hooks (names or globs) and contexts (such as `100:200`) of `source` to `out`.

    Its context 0 is the first of the range. Interrupted, the same call goes on. Raises
    ConfigError or CacheError, as `copy` does.
    """
    if not hooks and contexts is None:
        raise ConfigError("nothing to slice by was given", "add --hook or --contexts 0:512")
    runs = [Run(source, *select_contexts(source, contexts))]
    return copy(runs, out, plan(runs, hooks=select_hooks(source, hooks)))
