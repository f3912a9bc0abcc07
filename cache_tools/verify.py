"""Whether a cache is what its manifest says, and how to make it so again."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from lmsaes.cache import (
    Location,
    Manifest,
    ShardRecord,
    check_files,
    data_files,
    lock_cache,
    named_files,
    read_channels,
    read_manifest,
    recount_statistics,
    remove_leftovers,
    sha256,
    write_manifest,
)
from lmsaes.errors import CacheError


def verify(
    folder: Location, deep: bool = False, advance: Callable[[int], None] = lambda _: None
) -> list[str]:
    """Faults of a cache, a line each; none when it is sound.

    Quick: the manifest, and that exactly its files are there with their sizes. deep: every file's
    digest as well; `advance` is told of the bytes that were read. Raises CacheError when there
    is no manifest that can be read.
    """
    manifest = read_manifest(folder)
    broken = broken_shards(folder, manifest, deep, advance)
    extra = [f"{folder / name} is not in the manifest" for name in _foreign(folder, manifest)]
    return [*_channels_faults(folder, manifest), *broken.values(), *extra]


def broken_shards(
    folder: Location, manifest: Manifest, deep: bool, advance: Callable[[int], None]
) -> dict[int, str]:
    """What is wrong with each shard that has something wrong."""
    faults: dict[int, str] = {}
    with ThreadPoolExecutor() as threads:
        checks = {
            shard.index: threads.submit(_fault, folder, manifest, shard, deep, advance)
            for shard in manifest.shards
        }
        for index, check in checks.items():
            if (fault := check.result()) is not None:
                faults[index] = fault
    return faults


@dataclass(frozen=True)
class Repair:
    """Shards that were dropped, and files removed that the manifest did not name before."""

    dropped: list[int]
    removed: list[str]


def repair(folder: Location) -> Repair:
    """Drops the first broken shard and all after it, so that `lmsaes cache` makes them again.

    Later shards go too because a writer goes on from one place. Files that no manifest names are
    removed. Raises CacheError when there is no cache, another process is writing, or nothing can
    be written.
    """
    read_manifest(folder)  # locking makes a folder where there is none
    with lock_cache(folder):
        try:
            return _repair(folder, read_manifest(folder))
        except OSError as error:
            raise CacheError(f"can't write to {folder}: {error.strerror}") from None


def _repair(folder: Location, manifest: Manifest) -> Repair:
    broken = broken_shards(folder, manifest, True, lambda _: None)
    removed = list(_foreign(folder, manifest))
    if _channels_faults(folder, manifest):
        manifest.hooks = {
            hook: record.model_copy(update={"channels": None})
            for hook, record in manifest.hooks.items()
        }
        broken |= {shard.index: "can't be restored" for shard in manifest.shards}
    dropped: list[int] = []
    if broken:
        kept = [s for s in manifest.shards if s.index < min(broken)]
        dropped = [s.index for s in manifest.shards if s.index >= min(broken)]
        manifest.shards = kept
        manifest.contexts = sum(s.contexts for s in kept)
        manifest.complete = False
        recount_statistics(folder, manifest)
        write_manifest(folder, manifest)
    remove_leftovers(folder, manifest)
    return Repair(dropped, removed)


def _channels_faults(folder: Location, manifest: Manifest) -> list[str]:
    try:
        read_channels(folder, manifest.channel_digests)
    except CacheError as error:
        return [str(error)]
    return []


def _fault(
    folder: Location,
    manifest: Manifest,
    shard: ShardRecord,
    deep: bool,
    advance: Callable[[int], None],
) -> str | None:
    try:
        check_files(folder, manifest, shard)
    except CacheError as error:
        return str(error)
    if deep:
        for name, record in shard.files.items():
            if sha256(folder / name) != record.sha256:
                return f"{folder / name} is damaged: its digest is not the manifest's"
            advance(record.bytes)
    return None


def _foreign(folder: Location, manifest: Manifest) -> Iterator[str]:
    named = named_files(folder, manifest)
    return (name for name, _ in data_files(folder) if name not in named)
