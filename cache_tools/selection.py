"""Which hooks and contexts of a cache a command means."""

import fnmatch
from collections.abc import Sequence

from lmsaes.cache import ActivationCache
from lmsaes.errors import ConfigError
from lmsaes.units import parse_range


def select_hooks(cache: ActivationCache, patterns: Sequence[str]) -> list[str]:
    """The cache's hooks that names or globs mean, in the cache's order; no pattern means all.

    Raises ConfigError for a pattern that means none.
    """
    for pattern in patterns:
        if not fnmatch.filter(cache.hooks, pattern):
            cache.check_hook(pattern)
    return [h for h in cache.hooks if not patterns or any(fnmatch.fnmatch(h, p) for p in patterns)]


def select_contexts(cache: ActivationCache, text: str | None) -> tuple[int, int]:
    """Start and stop of a range of contexts such as `100:200`, `100:` or `:200`; None means all.

    Raises ConfigError for what is no range, or is empty, or goes beyond the cache.
    """
    if text is None:
        return 0, cache.contexts
    wanted = parse_range(text, "contexts")
    first, end = wanted.start or 0, cache.contexts if wanted.stop is None else wanted.stop
    if not first < end <= cache.contexts:
        raise ConfigError(
            f"contexts {text} are not in {cache.path}, which holds 0:{cache.contexts}"
        )
    return first, end
