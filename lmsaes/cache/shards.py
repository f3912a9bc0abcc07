"""Which shards of a cache are committed: one small file for each, and a list of all at the end.

shards/00012.json   written once, by whichever rank made the shard: to commit costs the same
                    whatever there is already
adding/00012.json   the same for hooks that are being added to a shard that is there
shards.json         all of them, written when the cache is complete: opening it reads one file
"""

import base64
import gc
import hashlib
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError

from lmsaes.atomic import replace_file
from lmsaes.cache.location import Location
from lmsaes.errors import CacheError
from lmsaes.parallel import map_ahead
from lmsaes.provenance import ComputeRecord, Record, TextPosition

SHARDS, ADDING, SHARD_LIST = "shards", "adding", "shards.json"
_READING_THREADS = 16  # of an object store, which answers late, and to many at a time


def pack_checksums(checksums: Sequence[int]) -> str:
    """Checksums of 32 bits as text: little-endian bytes in base 64."""
    return base64.b64encode(np.array(checksums, "<u4").tobytes()).decode()


class FileRecord(Record):
    """A committed file: its size, whole digest, and one crc32c per block as it is stored.

    `blocks` is empty for files without blocks, and in older zarr caches.
    """

    bytes: int
    sha256: str
    blocks: str = ""

    @cached_property
    def checksums(self) -> np.ndarray:
        """uint32 [blocks]. Raises ValueError for text that is not packed checksums."""
        return np.frombuffer(base64.b64decode(self.blocks, validate=True), "<u4")


class ShardRecord(Record):
    """A committed shard: which contexts it holds, and its files by path inside the cache.

    `text_end` is where the text stood after it; None where a copy's shard ends elsewhere than
    those of the cache it was copied from. `compute` is how it was computed where that is not what
    the manifest says (`--allow-compute-change`).
    """

    index: int = Field(ge=0)
    first_context: int = Field(ge=0)
    contexts: int = Field(gt=0)
    text_end: TextPosition | None
    compute: ComputeRecord | None = None
    files: dict[str, FileRecord]

    @property
    def stop(self) -> int:
        """The first context behind it."""
        return self.first_context + self.contexts

    def with_files(self, files: dict[str, FileRecord]) -> "ShardRecord":
        """The same with further files, in order of their names."""
        return self.model_copy(update={"files": dict(sorted((self.files | files).items()))})


def from_format_1(shards: Any) -> Any:
    """The shards of a manifest of format 1, whose checksums are lists of numbers, as they are now.

    What isn't of that form is left for the validation to name.
    """
    if isinstance(shards, list):
        for shard in shards:  # pyright: ignore[reportUnknownVariableType]
            files: Any = shard.get("files") if isinstance(shard, dict) else None
            for file in files.values() if isinstance(files, dict) else ():
                if isinstance(file, dict) and isinstance(file.get("blocks"), list):
                    file["blocks"] = pack_checksums(file["blocks"])
    return shards


_records = TypeAdapter(list[ShardRecord])


def is_inside(name: str) -> bool:
    """Whether a file's name stays inside the folder that it is relative to."""
    return not name.startswith("/") and ".." not in name.split("/")


def shard_record_file(index: int, room: str = SHARDS) -> str:
    """Path inside the cache of the file that commits a shard."""
    return f"{room}/{index:05d}.json"


def write_shard(folder: Location, record: ShardRecord, room: str = SHARDS) -> None:
    """Commits a shard whose files are in place."""
    path = folder / shard_record_file(record.index, room)
    if isinstance(path, Path):
        path.parent.mkdir(exist_ok=True)
    replace_file(path, record.model_dump_json(exclude_defaults=True).encode() + b"\n")


def read_shards(folder: Location, room: str = SHARDS) -> dict[int, ShardRecord]:
    """The shards that have been committed one by one, by number.

    Raises CacheError for one that is damaged.
    """
    paths = sorted((folder / room).glob("*.json"), key=str)
    if isinstance(folder, Path):
        contents = map(_content, paths)
    else:
        contents = map_ahead(_content, paths, _READING_THREADS, "read shards")
    found: dict[int, ShardRecord] = {}
    for path, content in zip(paths, contents, strict=True):
        if content is None:
            continue  # withdrawn since it was listed
        try:
            record = ShardRecord.model_validate_json(content)
        except ValidationError:
            raise CacheError(f"{path} is damaged", _REPAIR) from None
        if path.name != f"{record.index:05d}.json":
            raise CacheError(f"{path} is of shard {record.index}: it has been renamed", _REPAIR)
        found[record.index] = record
    return found


def _content(path: Location) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CacheError(f"can't read {path}: {error.strerror}") from None


def write_list(folder: Location, shards: Iterable[ShardRecord]) -> str:
    """Writes the list of all shards, one to a line; returns its sha256."""
    lines = [shard.model_dump_json(exclude_defaults=True) for shard in shards]
    content = ("[\n" + ",\n".join(lines) + "\n]\n").encode()
    replace_file(folder / SHARD_LIST, content)
    return hashlib.sha256(content).hexdigest()


def listed_shards(folder: Location, sha256: str) -> dict[int, ShardRecord] | None:
    """The shards of the list with this digest; None when it is missing or another one."""
    content = _content(folder / SHARD_LIST)
    if content is None or hashlib.sha256(content).hexdigest() != sha256:
        return None
    try:
        with _no_collection():
            return {shard.index: shard for shard in _records.validate_json(content)}
    except ValidationError:  # its digest is right: written so, or both were tampered with
        raise CacheError(f"{folder / SHARD_LIST} is damaged", _REPAIR) from None


@contextmanager
def _no_collection() -> Generator[None]:
    """While it lasts, Python looks for no garbage: among hundreds of thousands of new objects, of
    which none is, that takes longer than to make them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


_REPAIR = "drop its shard with: lmsaes tools verify --repair CACHE, then run lmsaes cache again"
