"""What of a cache is committed, and what is still to be written.

    every rank:  a shard's files ─► its small record (shards.py)
    rank 0:      at first what a crash left is removed; at the end the list of all, the statistics
                 over them, and the manifest that says so

Files that no record names are leftovers of a crash.
"""

import hashlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from lmsaes.atomic import replace_file, sync_folder, temporary_name
from lmsaes.cache.arrays import ArraySpec, array_specs, create_arrays, hook_specs, shard_file
from lmsaes.cache.int8 import CHANNELS
from lmsaes.cache.location import Location
from lmsaes.cache.manifest import MANIFEST, HookRecord, Manifest, read_manifest, write_manifest
from lmsaes.cache.shards import (
    ADDING,
    SHARD_LIST,
    SHARDS,
    FileRecord,
    ShardRecord,
    read_shards,
    shard_record_file,
    write_list,
    write_shard,
)
from lmsaes.cache.statistics import HookMoments
from lmsaes.errors import CacheError
from lmsaes.parallel import Ranks

CAPTURE_CONFIG = "capture.toml"  # what stage one was asked for
DATA_FOLDERS = ("activations", "scales", "tokens", "documents", "statistics")
# Left by a rank that has come to the end of the text, for rank 0 to find.
_TEXT_ENDED = f"{SHARDS}/text-ended"


class Commits:
    """The committed shards of the cache in `folder`, and the ones that this rank is to write.

    Rank 0 first removes what earlier runs have left unfinished; whole shards of any number of
    ranks are kept. The other ranks then go by what is there.
    """

    def __init__(self, folder: Location, manifest: Manifest, ranks: Ranks) -> None:
        self.folder, self.manifest, self._ranks = folder, manifest, ranks
        if ranks.rank == 0:
            self._clean_up()
        ranks.wait()
        if ranks.rank > 0:
            self.reread()
        there = read_shards(folder)
        if self.manifest.adding:
            done, shards = self._added(), range(len(self.manifest.shards))
        else:
            done = {i: s for i, s in there.items() if s.contexts == self.span(i)[1]}
            shards = range(self.manifest.shards_requested)
        self.todo = [s for s in shards if s not in done and s % ranks.size == ranks.rank]
        whole = self.manifest.shard_contexts
        self.ends = {i: s.text_end for i, s in there.items() if s.contexts == whole}

    @property
    def specs(self) -> dict[str, ArraySpec]:
        """The arrays to write, by path."""
        if not self.manifest.adding:
            return array_specs(self.manifest)
        return {
            spec.path: spec
            for hook, record in self.manifest.adding.items()
            for spec in hook_specs(self.manifest, hook, record)
        }

    def span(self, shard: int) -> tuple[int, int]:
        """First context and number of contexts of a shard that is to be written."""
        if self.manifest.adding:
            record = self.manifest.shards[shard]
            return record.first_context, record.contexts
        return self.manifest.shard_span(shard)

    def reread(self) -> None:
        self.manifest = read_manifest(self.folder)

    def save(self) -> None:
        write_manifest(self.folder, self.manifest)

    def withdraw(self, shard: int) -> None:
        """Takes the last, short shard back when its files are about to be replaced.

        Until they are, and a record names them, readers have a shard less.
        """
        if self.manifest.adding:
            return
        path = self.folder / shard_record_file(shard)
        if path.exists():
            path.unlink()
            if isinstance(path, Path):
                sync_folder(path.parent)

    def commit(self, record: ShardRecord, moments: dict[str, HookMoments]) -> None:
        """Makes a shard, whose array files are in place, one that no crash can undo."""
        files: dict[str, FileRecord] = {}
        for hook, found in moments.items():
            name = moments_file(hook, record.index)
            files[name] = _write_moments(self.folder / name, found)
        write_shard(
            self.folder, record.with_files(files), ADDING if self.manifest.adding else SHARDS
        )

    def finish(self, exhausted: bool) -> None:
        """Completes the cache with what all ranks have committed, once they have come here.

        exhausted: the text has ended; the manifest then asks for no more than there is.
        """
        if exhausted:
            path = self.folder / _TEXT_ENDED
            if isinstance(path, Path):
                path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"")
        self._ranks.wait()
        if self._ranks.rank == 0:
            self._complete()
        self._ranks.wait()
        self.reread()

    def _complete(self) -> None:
        folder, manifest = self.folder, self.manifest
        shards = read_shards(folder)
        if manifest.adding:
            for index, record in self._added().items():
                shards[index] = shards[index].with_files(record.files)
                write_shard(folder, shards[index])
            manifest.hooks, manifest.adding = manifest.hooks | manifest.adding, {}
        manifest.shards = [shards[index] for index in sorted(shards)]
        if (folder / _TEXT_ENDED).exists():
            manifest.contexts_requested = max(manifest.contexts, 1)
            manifest.text_exhausted = True
            create_arrays(folder, manifest, self.specs.values())
        manifest.complete = manifest.contexts == manifest.contexts_requested
        if manifest.complete:
            manifest.hooks = pooled_statistics(folder, manifest)
            manifest.shards_sha256 = write_list(folder, manifest.shards)
        else:
            manifest.shards_sha256 = None
        self.save()
        remove_folder(folder / ADDING)
        (folder / _TEXT_ENDED).unlink(missing_ok=True)

    def _added(self) -> dict[int, ShardRecord]:
        """Shards whose added hooks are written, those of `manifest.adding` and no others."""
        manifest = self.manifest
        expected = {
            index: {shard_file(manifest, spec, index) for spec in self.specs.values()}
            | {moments_file(hook, index) for hook in manifest.adding}
            for index in range(len(manifest.shards))
        }
        return {
            index: record
            for index, record in read_shards(self.folder, ADDING).items()
            if record.files.keys() == expected.get(index)
        }

    def _clean_up(self) -> None:
        folder, manifest = self.folder, self.manifest
        if not manifest.complete:
            manifest.shards_sha256 = None
            manifest.hooks = {h: _without_statistics(r) for h, r in manifest.hooks.items()}
        (folder / _TEXT_ENDED).unlink(missing_ok=True)
        added = self._added() if manifest.adding else {}
        for index in read_shards(folder, ADDING).keys() - added.keys():
            (folder / shard_record_file(index, ADDING)).unlink()
        remove_leftovers(folder)
        create_arrays(folder, manifest, self.specs.values())
        self.save()
        if not manifest.complete:
            (folder / SHARD_LIST).unlink(missing_ok=True)


def committed_shards(folder: Location, manifest: Manifest) -> list[ShardRecord]:
    """Every committed shard, those behind a gap as well, which readers don't see."""
    if manifest.format_version == 1:
        return manifest.shards
    found = read_shards(folder) or {shard.index: shard for shard in manifest.shards}
    return [found[index] for index in sorted(found)]


def named_files(folder: Location, manifest: Manifest) -> set[str]:
    """The data files that a committed shard names, hooks that are being added included."""
    shards = [*committed_shards(folder, manifest), *read_shards(folder, ADDING).values()]
    return {name for shard in shards for name in shard.files}


def data_files(folder: Location) -> Iterator[tuple[str, Location]]:
    """The files of shards that are there, named or not, with their paths inside the cache."""
    for room in DATA_FOLDERS:
        for path in sorted((folder / room).rglob("*"), key=str):
            if path.name != "zarr.json" and path.is_file():
                yield inside(folder, path), path


def inside(folder: Location, path: Location) -> str:
    """The path of a file inside the cache."""
    return str(path).removeprefix(str(folder)).lstrip("/")


def remove_leftovers(folder: Location) -> None:
    """Removes data files that no committed shard names: what a crash left behind."""
    records = [*read_shards(folder).values(), *read_shards(folder, ADDING).values()]
    named = {name for record in records for name in record.files}
    for name, path in data_files(folder):
        if name not in named:
            path.unlink()
    for room in (SHARDS, ADDING):
        for path in (folder / room).glob("*.tmp"):
            path.unlink()


def remove_cache(folder: Location) -> None:
    """Deletes a cache: what says which shards there are, their files, and last the manifest, so
    that one that is cut off can be gone on with. Files of other names stay.
    """
    (folder / SHARD_LIST).unlink(missing_ok=True)
    for room in (SHARDS, ADDING, *DATA_FOLDERS):
        for path in [*(folder / room).rglob("*")]:
            if _OURS.fullmatch(inside(folder, path)) and not _is_folder(path):
                path.unlink()
        if isinstance(folder, Path):
            _remove_empty(folder / room)
    parts = list(folder.glob("manifest.part-*"))  # of format 1
    for path in (folder / CHANNELS, folder / CAPTURE_CONFIG, *parts, folder / MANIFEST):
        if isinstance(path, Path):
            path.with_name(temporary_name(path.name)).unlink(missing_ok=True)
        path.unlink(missing_ok=True)


# What a writer puts there, whether a record names it by now or a crash came before.
_OURS = re.compile(
    rf"(?:{'|'.join(DATA_FOLDERS)})/(?:.+/)?"
    r"(?:shard-\d+\.safetensors|zarr\.json|c/\d+(?:/0)*)(?:\.tmp)?"
    rf"|(?:{SHARDS}|{ADDING})/(?:\d+\.json(?:\.tmp)?|text-ended)"
)


def _is_folder(path: Location) -> bool:
    return isinstance(path, Path) and path.is_dir()


def _remove_empty(room: Path) -> None:
    """Removes folders that hold nothing, `room` itself too; links stay."""
    if room.is_symlink() or not room.is_dir():
        return
    for path in room.iterdir():
        _remove_empty(path)
    if not any(room.iterdir()):
        room.rmdir()


def remove_folder(place: Location) -> None:
    """Removes a folder with all that is in it, where there is one."""
    if isinstance(place, Path):
        shutil.rmtree(place, ignore_errors=True)
    else:
        for path in place.rglob("*"):
            path.unlink()


def moments_file(hook: str, shard: int) -> str:
    return f"statistics/{hook}/shard-{shard:05d}.safetensors"


def shard_moments(folder: Location, shard: ShardRecord, hook: str) -> HookMoments:
    """The sums over one shard's rows.

    Raises CacheError when their file is missing, or not the one that the manifest names.
    """
    name = moments_file(hook, shard.index)
    record = shard.files.get(name)
    try:
        content = (folder / name).read_bytes()
    except OSError as error:
        raise CacheError(f"can't read {folder / name}: {error.strerror}", _REPAIR) from None
    if record is None or hashlib.sha256(content).hexdigest() != record.sha256:
        raise CacheError(f"{folder / name} is damaged: its digest is not the manifest's", _REPAIR)
    return HookMoments.from_bytes(content)


def _write_moments(path: Location, moments: HookMoments) -> FileRecord:
    content = moments.to_bytes()
    if isinstance(path, Path):
        path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, content)
    return FileRecord(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


def pooled_statistics(folder: Location, manifest: Manifest) -> dict[str, HookRecord]:
    """The manifest's hooks with the statistics of the shards it has: in order, for they are floats.

    Raises CacheError when a shard's sums are missing or not the ones that its record names.
    """
    hooks: dict[str, HookRecord] = {}
    for hook, record in manifest.hooks.items():
        total = HookMoments.zero(manifest.text.context_size, record.d_model)
        for shard in manifest.shards:
            total = total + shard_moments(folder, shard, hook)
        hooks[hook] = record.model_copy(
            update={
                "statistics": total.statistics(),
                "valid": total.valid_statistics(),
                "storage_error": total.storage_error,
            }
        )
    return hooks


def _without_statistics(record: HookRecord) -> HookRecord:
    return record.model_copy(update={"statistics": None, "valid": None, "storage_error": None})


_REPAIR = "drop its shard with: lmsaes tools verify --repair CACHE, then run lmsaes cache again"
