"""Where the blocks of an array lie in its files, and how they get into memory of one's own.

The reader gives out arrays; the loader, which moves gigabytes a second, wants a block's bytes
without a copy: in a buffer that is there already, or where the page cache holds them. Both check
a block's bytes, as they are stored, against what the manifest says of them.
"""

import os
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numcodecs import get_codec

from lmsaes.cache.arrays import (
    CHECKSUM_BYTES,
    ArraySpec,
    chunk_table,
    chunk_table_bytes,
    crc32c,
    only_zarr,
    shard_file,
)
from lmsaes.cache.location import Location
from lmsaes.cache.manifest import Manifest
from lmsaes.cache.shards import FileRecord
from lmsaes.errors import CacheError

if TYPE_CHECKING:
    from lmsaes.cache.object_store import ObjectPath

# Small enough for a core's own cache: a block that is only read to be checked, or to have it in
# the page cache, goes through a buffer of this size.
_PIECE = 256 * 2**10
_PROBED = 4 * _PIECE  # bytes that the page cache is taken to hold where it holds the first
_ABSENT = 2**64 - 1  # size of a zarr chunk that was never written
# Linux: read only what the page cache holds.
_RESIDENT = getattr(os, "RWF_NOWAIT", None)


@dataclass(frozen=True)
class Block:
    """A block of the cache: contexts `first` to `first + contexts` of its numbering."""

    shard: int
    index: int
    first: int
    contexts: int


@dataclass(frozen=True)
class StoredBlock:
    """A block's bytes as they are stored; its checksum covers just those."""

    path: Location
    index: int
    offset: int
    bytes: int
    checksum: int | None  # None: the manifest is too old to say, and it follows the block


class BlockFiles:
    """The stored blocks of one array. Safe to use from several threads.

    Its methods raise CacheError, naming the file, for what is missing, damaged or foreign.
    """

    def __init__(self, folder: Location, manifest: Manifest, spec: ArraySpec) -> None:
        if manifest.format == "safetensors" and not isinstance(folder, Path):
            raise only_zarr(folder)
        self.spec = spec
        self._folder, self._manifest = folder, manifest
        self._shards = {shard.index: shard for shard in manifest.shards}
        self._tables: dict[int, np.ndarray] = {}
        self._scratch = threading.local()

    @property
    def row_bytes(self) -> int:
        return self.spec.context_bytes // self.spec.shape[0]

    @property
    def block_bytes(self) -> int:
        """Bytes of a whole block in memory."""
        return self.spec.block_contexts * self.spec.context_bytes

    @property
    def can_map(self) -> bool:
        """Whether blocks lie in files of this machine as they do in memory."""
        return self._uncompressed and isinstance(self._folder, Path)

    @property
    def _uncompressed(self) -> bool:
        return self._manifest.compression == "none"

    def locate(self, block: Block) -> StoredBlock:
        """Where a block is."""
        shard, name = self._shards[block.shard], self._name(block.shard)
        path, record = self._folder / name, shard.files[name]
        checksum = self._checksum(path, record, block.index)
        if self._manifest.format == "safetensors":
            header = record.bytes - shard.contexts * self.spec.context_bytes
            size = block.contexts * self.spec.context_bytes
            offset = header + block.index * self.block_bytes
            return StoredBlock(path, block.index, offset, size, checksum)
        offset, size = (int(n) for n in self._table(block.shard)[block.index])
        if size == _ABSENT:
            raise CacheError(f"{path} lacks block {block.index}", _REPAIR)
        stored = StoredBlock(path, block.index, offset, size - CHECKSUM_BYTES, checksum)
        # the index too may be another file's
        if stored.offset + size > record.bytes or stored.bytes < 0:
            raise _damaged(stored)
        if self._uncompressed and stored.bytes != self.block_bytes:
            raise _damaged(stored)
        return stored

    def _checksum(self, path: Location, record: FileRecord, block: int) -> int | None:
        if not record.blocks:
            return None
        try:
            return int(record.checksums[block])
        except (ValueError, IndexError):
            raise CacheError(f"the record of {path} lacks block {block}", _REPAIR) from None

    def read(self, block: Block) -> np.ndarray:
        """A block's checked values, [contexts, *shape], in memory of their own."""
        values = np.empty((self.spec.block_contexts, *self.spec.shape), self.spec.numpy_dtype)
        self.read_into(block, values.reshape(-1).view(np.uint8), True)
        return values[: block.contexts]

    def read_into(self, block: Block, out: np.ndarray, check: bool) -> None:
        """Reads a block's values into the front of `out`, uint8 [block_bytes]."""
        stored = self.locate(block)
        size = stored.bytes
        data = out[:size].data if self._uncompressed else memoryview(bytearray(size))
        with _reading(stored.path) as read:
            read(stored.offset, data)
            if check and crc32c(data) != _checksum(read, stored):
                raise _damaged(stored)
        if not self._uncompressed:
            self._decompress(stored, data, out)

    def bring(self, block: Block, mapped: np.ndarray, check: bool) -> None:
        """Brings a block that can be mapped into the page cache; `mapped` are its bytes there."""
        stored = self.locate(block)
        assert isinstance(stored.path, Path)
        checksum = 0
        with _opened(stored.path) as file:
            number = file.fileno()
            read = partial(_read, number, stored.path)
            # memory behind a file's end must not be touched
            if os.fstat(number).st_size < stored.offset + stored.bytes:
                raise _cut_short(stored.path)
            for start in range(0, stored.bytes, _PROBED):
                stop = min(start + _PROBED, stored.bytes)
                if is_resident(number, stored.offset + start):
                    checksum = crc32c(mapped[start:stop].data, checksum) if check else 0
                    continue
                # large reads move a disk faster than page faults
                for at in range(start, stop, _PIECE):
                    data = self._buffer()[: min(at + _PIECE, stop) - at]
                    read(stored.offset + at, data)
                    checksum = crc32c(data, checksum) if check else 0
            if check and checksum != _checksum(read, stored):
                raise _damaged(stored)

    def _decompress(self, stored: StoredBlock, data: memoryview, out: np.ndarray) -> None:
        # "lz4" is one of Blosc's compressors, and its header says which
        codec = get_codec({"id": "zstd" if self._manifest.compression == "zstd" else "blosc"})
        try:
            codec.decode(data, out)
        except (RuntimeError, ValueError) as error:
            raise CacheError(
                f"{stored.path} is damaged in block {stored.index} ({error})", _REPAIR
            ) from None

    def _table(self, shard: int) -> np.ndarray:
        """Offset and size of each inner chunk of a zarr shard: the file ends with them."""
        if shard not in self._tables:
            name = self._name(shard)
            path, size = self._folder / name, self._shards[shard].files[name].bytes
            content = bytearray(
                chunk_table_bytes(self._manifest.shard_contexts // self.spec.block_contexts)
            )
            with _reading(path) as read:
                read(size - len(content), memoryview(content))
            try:
                self._tables[shard] = chunk_table(content)
            except ValueError:
                raise CacheError(f"{path} is damaged in its index", _REPAIR) from None
        return self._tables[shard]

    def _name(self, shard: int) -> str:
        return shard_file(self._manifest, self.spec, shard)

    def _buffer(self) -> memoryview:
        if not hasattr(self._scratch, "buffer"):
            self._scratch.buffer = memoryview(bytearray(_PIECE))
        return self._scratch.buffer


def map_file(path: Location, size: int) -> torch.Tensor:
    """The first `size` bytes of a file, uint8, as memory that the page cache holds.

    Raises CacheError when the file is missing or shorter.
    """
    assert isinstance(path, Path)
    try:
        if path.stat().st_size < size:
            raise _cut_short(path)
        # torch maps a file without keeping it open, however many there are
        return torch.from_file(str(path), False, size, dtype=torch.uint8)
    except OSError as error:
        raise _unreadable(path, error) from None
    except RuntimeError as error:
        raise CacheError(f"can't map {path} into memory: {error}", _REPAIR) from None


_Read = Callable[[int, memoryview], None]
"""`read(offset, out)` fills `out` with what a file holds from `offset` on."""


@contextmanager
def _reading(path: Location) -> Generator[_Read]:
    if isinstance(path, Path):
        with _opened(path) as file:
            yield partial(_read, file.fileno(), path)
    else:
        yield partial(_fetch, path)


def _opened(path: Path) -> FileIO:
    try:
        return FileIO(path)
    except OSError as error:
        raise _unreadable(path, error) from None


def _read(file: int, path: Path, offset: int, out: memoryview) -> None:
    received = 0
    try:
        while received < len(out) and (n := os.preadv(file, [out[received:]], offset + received)):
            received += n
    except OSError as error:
        raise _unreadable(path, error) from None
    if received < len(out):
        raise _cut_short(path)


def _fetch(path: "ObjectPath", offset: int, out: memoryview) -> None:
    try:
        content = path.read_range(offset, len(out))
    except OSError as error:
        raise _unreadable(path, error) from None
    if len(content) < len(out):
        raise _cut_short(path)
    out[:] = content


def _checksum(read: _Read, stored: StoredBlock) -> int:
    if stored.checksum is not None:
        return stored.checksum
    data = bytearray(CHECKSUM_BYTES)
    read(stored.offset + stored.bytes, memoryview(data))
    return int.from_bytes(data, "little")


def is_resident(file: int, offset: int) -> bool:
    """Whether the page cache holds the byte at `offset`; False where the system can't say."""
    if _RESIDENT is None:
        return False
    try:
        return os.preadv(file, [bytearray(1)], offset, _RESIDENT) == 1
    except OSError:
        return False


def _damaged(stored: StoredBlock) -> CacheError:
    return CacheError(f"{stored.path} is damaged in block {stored.index}", _REPAIR)


def _cut_short(path: Location) -> CacheError:
    return CacheError(f"{path} is damaged: it has been cut short", _REPAIR)


def _unreadable(path: Location, error: OSError) -> CacheError:
    return CacheError(f"can't read {path}: {error.strerror}", _REPAIR)


_REPAIR = "check the whole cache with: lmsaes tools verify --deep CACHE"
