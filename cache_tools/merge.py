"""Several caches of one model, hooks and packing as one, their contexts one after the other."""

from collections.abc import Iterator, Sequence

from lmsaes.cache import ActivationCache, Location, Manifest
from lmsaes.errors import CacheError, ConfigError
from lmsaes.provenance import ModelRecord, TextRecord

from .copy import CopyReport, Run, copy, plan

# The same weights may have been loaded under another name or from another folder, and text may be
# any text, if it was tokenized and packed alike.
_MODEL_MAY_DIFFER = {"name", "revision"}
_TEXT_MAY_DIFFER = {
    "dataset",
    "config",
    "split",
    "revision",
    "text_column",
    "fingerprint",
    "mixture",
    "shuffled",
    "seed",
}


def merge(
    sources: Sequence[ActivationCache],
    out: Location,
) -> CopyReport:
    """Writes all contexts of `sources`, in their order, to `out`, a folder or an object store.

    How they are stored follows the first. What is known of each one's text and computation is
    kept in the manifest's `sources`. Interrupted, the same call goes on. Raises CacheError when
    they can't be one cache, naming what differs, and whatever `copy` raises.
    """
    if len(sources) < 2:
        raise ConfigError("one cache alone can't be merged", "name at least two")
    for source in sources[1:]:
        if differences := list(_differences(sources[0].manifest, source.manifest)):
            raise CacheError(
                f"{source.path} can't be merged with {sources[0].path}: " + "; ".join(differences),
                "only caches of the same model, hooks, dtype and packing can be one",
            )
    runs = [Run(source, 0, source.contexts) for source in sources]
    return copy(runs, out, plan(runs))


def _differences(first: Manifest, other: Manifest) -> Iterator[str]:
    for name in ModelRecord.model_fields:
        if name not in _MODEL_MAY_DIFFER:
            yield from _difference(f"model's {name}", first.model, other.model, name)
    for name in TextRecord.model_fields:
        if name not in _TEXT_MAY_DIFFER:
            yield from _difference(name, first.text, other.text, name)
    for hook in {**first.hooks, **other.hooks}:
        if hook not in first.hooks or hook not in other.hooks:
            yield f"only one has hook '{hook}'"
            continue
        for name in ("d_model", "dtype"):
            what = f"{name} of '{hook}'"
            yield from _difference(what, first.hooks[hook], other.hooks[hook], name)


def _difference(what: str, first: object, other: object, name: str) -> Iterator[str]:
    one, two = getattr(first, name), getattr(other, name)
    if one != two:
        yield f"{what} {two}, not {one}"
