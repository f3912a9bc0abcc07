"""Whether a cache is what its manifest says, and how to make it so again."""

import shlex
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from lmsaes.cache import (
    SHARD_LIST,
    Location,
    Manifest,
    ShardRecord,
    array_specs,
    check_files,
    committed_shards,
    data_files,
    file_sizes,
    listed_shards,
    lock_cache,
    named_files,
    read_channels,
    read_manifest,
    remove_leftovers,
    sha256,
    shard_record_file,
    write_manifest,
)
from lmsaes.errors import CacheError


def verify(
    folder: Location, deep: bool = False, advance: Callable[[int], None] = lambda _: None
) -> list[str]:
    """Faults of a cache, a line each; none when it is sound.

    Quick: the manifest, the records of its shards, and that exactly their files are there with
    their sizes. deep: every file's digest as well; `advance` gets the bytes that were read. Raises
    CacheError when there is no manifest that can be read.
    """
    manifest = read_manifest(folder)
    broken = broken_shards(folder, manifest, deep, advance)
    extra = [f"{folder / name} is not in the manifest" for name in _foreign(folder, manifest)]
    listed = _list_faults(folder, manifest)
    return [*_channels_faults(folder, manifest), *listed, *broken.values(), *extra]


def broken_shards(
    folder: Location, manifest: Manifest, deep: bool, advance: Callable[[int], None]
) -> dict[int, str]:
    """What is wrong with each shard that has something wrong."""
    faults: dict[int, str] = {}
    size_of = file_sizes(folder)
    with ThreadPoolExecutor() as threads:
        checks = {
            shard.index: threads.submit(_fault, folder, manifest, shard, size_of, deep, advance)
            for shard in committed_shards(folder, manifest)
        }
        for index, check in checks.items():
            if (fault := check.result()) is not None:
                faults[index] = fault
    return faults


@dataclass(frozen=True)
class Repair:
    """Shards that were dropped, and files removed that no record named before."""

    dropped: list[int]
    removed: list[str]


def repair(folder: Location) -> Repair:
    """Drops broken shards, so that `lmsaes cache` makes them again.

    Until it has, readers see the contexts before the first of them. Files that no record names are
    removed. Raises CacheError when there is no cache, it is of format 1, another process is
    writing, or nothing can be written.
    """
    read_manifest(folder)  # locking makes a folder where there is none
    with lock_cache(folder):
        try:
            return _repair(folder, read_manifest(folder))
        except OSError as error:
            raise CacheError(f"can't write to {folder}: {error.strerror}") from None


def _repair(folder: Location, manifest: Manifest) -> Repair:
    broken = broken_shards(folder, manifest, True, lambda _: None)
    if manifest.format_version == 1:
        return _refuse_format_1(folder, manifest, broken)
    removed = list(_foreign(folder, manifest))
    shards = committed_shards(folder, manifest)
    if _channels_faults(folder, manifest):
        manifest.hooks = {
            hook: record.model_copy(update={"channels": None})
            for hook, record in manifest.hooks.items()
        }
        broken = {shard.index: "can't be restored" for shard in shards}
    if broken or _list_faults(folder, manifest):
        # a writer completes it again: with the list and the statistics of all shards
        manifest.complete, manifest.shards_sha256 = False, None
        write_manifest(folder, manifest)
        (folder / SHARD_LIST).unlink(missing_ok=True)
    for index in broken:
        (folder / shard_record_file(index)).unlink(missing_ok=True)
    remove_leftovers(folder)
    return Repair(sorted(broken), removed)


def _refuse_format_1(folder: Location, manifest: Manifest, broken: dict[int, str]) -> Repair:
    if not broken:
        return Repair([], [])
    sound = min(broken) * manifest.shard_contexts
    raise CacheError(
        f"{folder} is of format 1, which is not repaired; its shard {min(broken)} is broken",
        f"what is before it makes a cache: lmsaes tools slice {shlex.quote(str(folder))} "
        f"--contexts 0:{sound:d} --out NEW"
        if sound
        else "nothing of it is left: make it again with lmsaes cache --overwrite",
    )


def _list_faults(folder: Location, manifest: Manifest) -> list[str]:
    """What the list of all shards has wrong, which a complete cache of format 2 has."""
    if manifest.shards_sha256 is None:
        return []
    path = folder / SHARD_LIST
    listed = listed_shards(folder, manifest.shards_sha256)
    if listed is None:
        return [f"{path} is missing or damaged: its digest is not the manifest's"]
    single = {shard.index: shard for shard in committed_shards(folder, manifest)}
    return [
        f"{path} and {folder / shard_record_file(index)} differ"
        for index in sorted(listed.keys() | single.keys())
        if not _same(listed.get(index), single.get(index), adding=bool(manifest.adding))
    ]


def _same(listed: ShardRecord | None, single: ShardRecord | None, adding: bool) -> bool:
    """While a hook is being added, a shard may name more files than the list."""
    if listed is None or single is None:
        return False
    if adding:
        single = single.model_copy(
            update={"files": {k: v for k, v in single.files.items() if k in listed.files}}
        )
    return listed == single


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
    size_of: Callable[[str], int | None],
    deep: bool,
    advance: Callable[[int], None],
) -> str | None:
    try:
        check_files(folder, manifest, shard, array_specs(manifest).values(), size_of)
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
