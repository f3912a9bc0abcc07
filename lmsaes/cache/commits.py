"""What of a cache is committed, and what is still to be written.

    one rank that grows a cache                  ─► the manifest, shard by shard
    several ranks, or one that adds hooks ─► a part beside it for each rank ─► merged at the end

Readers know the manifest alone. Files that neither it nor a part names are leftovers of a crash.
"""

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from lmsaes.atomic import replace_file
from lmsaes.cache.arrays import ArraySpec, array_specs, create_arrays, hook_specs
from lmsaes.cache.int8 import CHANNELS
from lmsaes.cache.location import Location
from lmsaes.cache.manifest import (
    MANIFEST,
    FileRecord,
    Manifest,
    Part,
    ShardRecord,
    read_manifest,
    write_manifest,
)
from lmsaes.cache.statistics import HookMoments
from lmsaes.errors import CacheError
from lmsaes.parallel import Ranks

_PARTS = "manifest.part-*"
CAPTURE_CONFIG = "capture.toml"  # what stage one was asked for
DATA_FOLDERS = ("activations", "scales", "tokens", "documents", "statistics")


class Commits:
    """The committed shards of the cache in `folder`, and the ones that this rank is to write.

    Rank 0 first takes up what earlier runs have left: whole shards of any number of ranks are
    kept, everything else is removed. The other ranks then go by what it has written.
    """

    def __init__(self, folder: Location, manifest: Manifest, ranks: Ranks) -> None:
        self.folder, self.manifest, self._ranks = folder, manifest, ranks
        self._sums: dict[str, HookMoments] = {}  # of the manifest's shards, once they are known
        self._waiting: dict[int, ShardRecord] = {}  # committed, but not in the manifest
        self._own: list[ShardRecord] = []  # what this rank's part names
        self._withdrawn: int | None = None
        if ranks.rank == 0:
            self._take_up()
        ranks.wait()
        if ranks.rank > 0:
            self.reread()
            self._waiting = self._left_waiting()
        done = self._waiting.keys() | self._full_shards()
        self.todo = [s for s in self._shards() if s not in done and s % ranks.size == ranks.rank]
        there = (*self.manifest.shards, *self._waiting.values())
        whole = self.manifest.shard_contexts
        self.ends = {s.index: s.text_end for s in there if s.contexts == whole}

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

    def channels_fixed(self) -> None:
        """Says so in the manifest, where the shards that need them won't."""
        if not self._alone:
            self.save()

    def withdraw(self, shard: int) -> None:
        """Takes the last, short shard out of the manifest when its files are to be replaced."""
        shards = self.manifest.shards
        if self.manifest.adding or not shards or shards[-1].index != shard:
            return
        self.manifest.contexts -= shards.pop().contexts
        self.manifest.complete = False
        self._withdrawn = shard
        self._recount()
        self.save()

    def commit(self, record: ShardRecord, moments: dict[str, HookMoments]) -> None:
        """Makes a shard, whose array files are in place, one that no crash can undo."""
        files = dict(record.files)
        for hook, found in moments.items():
            name = moments_file(hook, record.index)
            files[name] = _write_moments(self.folder / name, found)
        record = record.model_copy(update={"files": dict(sorted(files.items()))})
        # what readers had before is given back at once; no other rank writes the manifest now
        if self._alone or record.index == self._withdrawn:
            self._waiting[record.index] = record
            self._append_waiting(moments)
            self.save()
        else:
            self._own.append(record)
            self._write_part(exhausted=False)

    def finish(self, exhausted: bool) -> None:
        """Merges what all ranks have committed, once they have come here.

        exhausted: the text has ended; the manifest then asks for no more than there is.
        """
        if self._alone:
            self._complete(exhausted)
            return
        if exhausted:
            self._write_part(exhausted)
        self._ranks.wait()
        if self._ranks.rank == 0:
            self._merge()
        self._ranks.wait()
        self.reread()

    @property
    def _alone(self) -> bool:
        return self._ranks.size == 1 and not self.manifest.adding

    def _shards(self) -> range:
        if self.manifest.adding:
            return range(len(self.manifest.shards))
        return range(self.manifest.shards_requested)

    def _full_shards(self) -> set[int]:
        """Shards of the manifest that growing leaves as they are."""
        if self.manifest.adding:
            return set()
        return {s.index for s in self.manifest.shards if s.contexts == self.span(s.index)[1]}

    def _take_up(self) -> None:
        self._waiting = self._left_waiting()
        if not self.manifest.adding:
            self._append_waiting({})
        self._own = list(self._waiting.values())
        old = _part_files(self.folder)
        if self._own:
            self._write_part(exhausted=False)
            old = [path for path in old if path.name != _part_name(0)]
        for path in old:
            path.unlink(missing_ok=True)  # a part cut short has just been written over
        remove_leftovers(self.folder, self.manifest)
        create_arrays(self.folder, self.manifest, self.specs.values())
        self.save()

    def _left_waiting(self) -> dict[int, ShardRecord]:
        """Shards in parts that fit what is being written, by number."""
        hooks, shards = tuple(self.manifest.hooks_to_write), self._shards()
        full = self._full_shards()
        return {
            record.index: record
            for part in _read_parts(self.folder)
            for record in part.shards
            if part.hooks == hooks
            and record.index in shards
            and record.index not in full
            and record.contexts == self.span(record.index)[1]
        }

    def _append_waiting(self, moments: dict[str, HookMoments]) -> None:
        """Moves shards into the manifest for as long as they follow each other."""
        manifest = self.manifest
        if manifest.shards and manifest.shards[-1].index not in self._full_shards():
            if manifest.shards[-1].index not in self._waiting:
                return
            self.withdraw(manifest.shards[-1].index)
        while (record := self._waiting.pop(len(manifest.shards), None)) is not None:
            manifest.shards.append(record)
            manifest.contexts += record.contexts
            self._count(record, moments)
            moments = {}

    def _count(self, record: ShardRecord, moments: dict[str, HookMoments]) -> None:
        """Adds a shard's sums to the manifest's statistics: in order, for they are floats."""
        if not self._sums:
            self._recount()
            return
        for hook in self.manifest.hooks:
            found = moments.get(hook)
            if found is None:
                found = shard_moments(self.folder, record, hook)
            self._sums[hook] = self._sums[hook] + found
            _set_statistics(self.manifest, hook, self._sums[hook])

    def _recount(self) -> None:
        self._sums = recount_statistics(self.folder, self.manifest)

    def _complete(self, exhausted: bool) -> None:
        manifest = self.manifest
        if exhausted:
            manifest.contexts_requested = max(manifest.contexts, 1)
            manifest.text_exhausted = True
            create_arrays(self.folder, manifest, self.specs.values())
        manifest.complete = manifest.contexts == manifest.contexts_requested
        self.save()
        for path in _part_files(self.folder):
            path.unlink()

    def _merge(self) -> None:
        """Puts all parts into the manifest."""
        parts = _read_parts(self.folder)
        manifest = self.manifest = read_manifest(self.folder)
        exhausted = any(part.exhausted for part in parts)
        if exhausted:
            ends = [r.first_context + r.contexts for part in parts for r in part.shards]
            manifest.contexts_requested = max([manifest.contexts, 1, *ends])
        self._waiting = self._left_waiting()
        if manifest.adding:
            manifest.shards = [
                s.model_copy(
                    update={"files": dict(sorted((s.files | self._waiting[s.index].files).items()))}
                )
                for s in manifest.shards
            ]
            manifest.hooks = manifest.hooks | manifest.adding
            manifest.adding = {}
            self._recount()
        else:
            self._sums = {}
            self._append_waiting({})
        self._complete(exhausted)

    def _write_part(self, exhausted: bool) -> None:
        part = Part(
            hooks=tuple(self.manifest.hooks_to_write), exhausted=exhausted, shards=tuple(self._own)
        )
        content = part.model_dump_json(indent=1).encode()
        replace_file(self.folder / _part_name(self._ranks.rank), content)


def _part_name(rank: int) -> str:
    return f"manifest.part-{rank:05d}.json"


def _part_files(folder: Location) -> list[Location]:
    return sorted(folder.glob(_PARTS), key=str)


def _read_parts(folder: Location) -> list[Part]:
    parts: list[Part] = []
    for path in _part_files(folder):
        if not path.name.endswith(".json"):
            continue  # of a crash while it was written
        try:
            parts.append(Part.model_validate_json(path.read_bytes()))
        except ValidationError:
            continue  # of another version: what it names is made again
    return parts


def named_files(folder: Location, manifest: Manifest) -> set[str]:
    """The data files that the manifest or a part beside it names."""
    shards = [*manifest.shards, *(s for part in _read_parts(folder) for s in part.shards)]
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


def remove_leftovers(folder: Location, manifest: Manifest) -> None:
    """Removes data files that neither the manifest nor a part names: what a crash left behind."""
    named = named_files(folder, manifest)
    for name, path in data_files(folder):
        if name not in named:
            path.unlink()


def remove_cache(folder: Location) -> None:
    """Deletes a cache's manifest, then its data; other files in the folder stay."""
    for path in (
        folder / MANIFEST,
        *_part_files(folder),
        folder / CHANNELS,
        folder / CAPTURE_CONFIG,
    ):
        path.unlink(missing_ok=True)
    for room in DATA_FOLDERS:
        place = folder / room
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


def recount_statistics(folder: Location, manifest: Manifest) -> dict[str, HookMoments]:
    """Makes the manifest's statistics those of the shards it names; returns the sums."""
    totals: dict[str, HookMoments] = {}
    for hook, record in manifest.hooks.items():
        total = HookMoments.zero(manifest.text.context_size, record.d_model)
        for shard in manifest.shards:
            total = total + shard_moments(folder, shard, hook)
        totals[hook] = total
        _set_statistics(manifest, hook, total)
    return totals


def _set_statistics(manifest: Manifest, hook: str, total: HookMoments) -> None:
    manifest.hooks[hook] = manifest.hooks[hook].model_copy(
        update={
            "statistics": total.every.statistics(),
            "valid": total.valid.statistics(),
            "storage_error": total.storage_error,
        }
    )


_REPAIR = "drop its shard with: lmsaes tools verify --repair CACHE, then run lmsaes cache again"
