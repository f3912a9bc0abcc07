"""What a command asks of a cache that is there: nothing new, more of it, or another cache."""

import shlex
from collections.abc import Iterator

from pydantic import BaseModel

from lmsaes.cache.location import Location
from lmsaes.cache.manifest import FORMAT_VERSION, HookRecord, Manifest
from lmsaes.errors import CacheError


def extended_manifest(
    folder: Location, found: Manifest, wanted: Manifest, allow_compute_change: bool = False
) -> Manifest:
    """`found` as it has to become to hold all that `wanted` asks for.

    It can grow by contexts, and by hooks over the contexts that are there; shards and blocks stay
    as they are. Where it holds all of it, or the text has no more, the result is `found` itself.
    allow_compute_change: contexts may be added that are computed otherwise, though not hooks, which
    would then differ within a shard.

    Raises CacheError, naming each difference, when `wanted` is another cache.
    """
    rounding = list(_differences_in("compute", found.compute, wanted.compute))
    differences = list(_differences(found, wanted))
    if differences or (rounding and not allow_compute_change):
        hint = "give the same arguments to continue it, another --out, or --overwrite"
        if not differences:
            hint += "; --allow-compute-change goes on with these"
        raise CacheError(
            f"{folder} is a cache made with " + "; ".join(differences + rounding), hint
        )
    new = {hook: record for hook, record in wanted.hooks.items() if hook not in found.hooks}
    contexts = found.contexts_requested
    if not found.text_exhausted:
        contexts = max(wanted.contexts_requested, found.contexts)
    if not new and found.complete and contexts == found.contexts_requested:
        return found
    if found.format_version == 1:
        raise CacheError(
            f"{folder} is a cache of format 1, which is read and not added to",
            f"make one of format {FORMAT_VERSION:d} of it: "
            f"lmsaes tools convert {shlex.quote(str(folder))} --out NEW",
        )
    if found.sources and (new or not _begins_its_text(found)):
        raise CacheError(
            f"{folder} was copied from another cache by lmsaes tools",
            "lmsaes cache adds contexts to copies of a whole cache alone, and no hooks: choose "
            "another --out, or --overwrite",
        )
    if new:
        _check_rounding(folder, found, wanted)
    same = {hook: _kind(record) for hook, record in found.adding.items()} == {
        hook: _kind(record) for hook, record in new.items()
    }
    return found.model_copy(
        update={
            "adding": found.adding if same else new,
            "contexts_requested": contexts,
            "complete": found.complete and contexts == found.contexts_requested,
        },
        deep=True,
    )


def _differences(found: Manifest, wanted: Manifest) -> Iterator[str]:
    yield from _differences_in("model", found.model, wanted.model)
    yield from _differences_in("text", found.text, wanted.text)
    for name in ("format", "compression"):
        if getattr(found, name) != getattr(wanted, name):
            yield f"{name} {getattr(found, name)}, not {getattr(wanted, name)}"
    for name in ("shard_size", "block_size"):
        # caches of before they were recorded, and copies, don't say
        if getattr(found, name) not in (None, getattr(wanted, name)):
            yield f"{name} {getattr(found, name)}, not {getattr(wanted, name)}"
    for hook, record in wanted.hooks.items():
        if hook in found.hooks and _kind(found.hooks[hook]) != _kind(record):
            width, dtype = _kind(found.hooks[hook])
            yield f"hook {hook} ({width}, {dtype}), not ({record.d_model}, {record.dtype})"


def _differences_in(group: str, found: BaseModel, wanted: BaseModel) -> Iterator[str]:
    for name, value in vars(found).items():
        if value != getattr(wanted, name):
            yield f"{group}'s {name} {value}, not {getattr(wanted, name)}"


def _check_rounding(folder: Location, found: Manifest, wanted: Manifest) -> None:
    """Raises CacheError where hooks would be computed otherwise than the shards they belong to."""
    for shard in found.shards:
        made = shard.compute or found.compute
        if differences := list(_differences_in("compute", made, wanted.compute)):
            raise CacheError(
                f"hooks can't be added to {folder}: its shard {shard.index} was made with "
                + "; ".join(differences),
                "store them in a cache of their own, with another --out",
            )


def _begins_its_text(found: Manifest) -> bool:
    """Whether a copy is of its text's contexts from the first on, stored as they were, so that
    further ones can follow."""
    first = 0
    for source in found.sources:
        same = source.text == found.text and source.compute == found.compute
        dtypes = {hook: (record.dtype,) for hook, record in found.hooks.items()}
        if not same or source.first_context != first or source.dtypes != dtypes:
            return False
        first += source.contexts
    return True


def _kind(record: HookRecord) -> tuple[int, str]:
    return record.d_model, record.dtype
