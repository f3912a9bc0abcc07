"""Where the blocks of an array lie in its files, and how they get into memory of one's own.

The reader gives out arrays; the loader, which moves gigabytes a second, wants a block's bytes
without a copy: in a buffer that is there already, or where the page cache holds them.
"""

import os
import threading
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import numpy as np
from numcodecs import get_codec

from lmsaes.cache.reader import ActivationCache, Block
from lmsaes.cache.storage import ArraySpec, crc32c, shard_file
from lmsaes.errors import CacheError

# Small enough for a core's own cache: a block that is only read to be checked, or to have it in
# the page cache, goes through a buffer of this size.
_PIECE = 256 * 2**10
_PROBED = 4 * _PIECE  # bytes that the page cache is taken to hold where it holds the first
_CHECKSUM_BYTES = 4
_ABSENT = 2**64 - 1  # size of a zarr chunk that was never written
# Linux: read only what the page cache holds.
_RESIDENT = getattr(os, "RWF_NOWAIT", None)


@dataclass(frozen=True)
class StoredBlock:
    """A block's bytes as they are stored; its checksum covers just those."""

    path: Path
    index: int
    offset: int
    bytes: int
    checksum: int | None  # None: it follows the block


class BlockFiles:
    """The stored blocks of one array. Safe to use from several threads.

    Its methods raise CacheError, naming the file, for what is missing or damaged.
    """

    def __init__(self, cache: ActivationCache, spec: ArraySpec) -> None:
        self.spec = spec
        self._cache, self._manifest = cache, cache.manifest
        self._shards = {shard.index: shard for shard in cache.manifest.shards}
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
    def plain(self) -> bool:
        """Whether blocks lie in files as they do in memory."""
        return self._manifest.compression == "none" and isinstance(self._cache.path, Path)

    def path(self, shard: int) -> Path:
        path = self._cache.path / shard_file(self._manifest, self.spec, shard)
        assert isinstance(path, Path)  # `read_into` asks the reader where there are no files
        return path

    def locate(self, block: Block) -> StoredBlock:
        """Where a block is."""
        path, shard = self.path(block.shard), self._shards[block.shard]
        if self._manifest.format == "safetensors":
            record = shard.files[shard_file(self._manifest, self.spec, block.shard)]
            header = record.bytes - shard.contexts * self.spec.context_bytes
            size = block.contexts * self.spec.context_bytes
            offset = header + block.index * self.block_bytes
            return StoredBlock(path, block.index, offset, size, record.blocks[block.index])
        offset, size = (int(n) for n in self._table(block.shard)[block.index])
        if size == _ABSENT:
            raise CacheError(f"{path} lacks block {block.index}", _REPAIR)
        return StoredBlock(path, block.index, offset, size - _CHECKSUM_BYTES, None)

    def read_into(self, block: Block, out: np.ndarray, check: bool) -> None:
        """Reads a block's values into the front of `out`, uint8 [block_bytes].

        From an object store a block comes through the reader, which always checks it.
        """
        if not isinstance(self._cache.path, Path):
            values = self._cache.read_block(self.spec, block).view(np.uint8).reshape(-1)
            out[: len(values)] = values
            return
        stored = self.locate(block)
        data = out[: stored.bytes].data if self.plain else memoryview(bytearray(stored.bytes))
        with _opened(stored.path) as file:
            _read(file.fileno(), stored, 0, data)
            if check and crc32c(data) != self._checksum(file.fileno(), stored):
                raise _damaged(stored)
        if not self.plain:
            self._decompress(stored, data, out)

    def bring(self, block: Block, mapped: np.ndarray, check: bool) -> None:
        """Brings a plain block into the page cache; `mapped` are its bytes there."""
        stored = self.locate(block)
        checksum = 0
        with _opened(stored.path) as file:
            number = file.fileno()
            for start in range(0, stored.bytes, _PROBED):
                stop = min(start + _PROBED, stored.bytes)
                if _is_resident(number, stored.offset + start):
                    checksum = crc32c(mapped[start:stop].data, checksum) if check else 0
                    continue
                # large reads move a disk faster than page faults
                for at in range(start, stop, _PIECE):
                    data = self._buffer()[: min(at + _PIECE, stop) - at]
                    _read(number, stored, at, data)
                    checksum = crc32c(data, checksum) if check else 0
            if check and checksum != self._checksum(number, stored):
                raise _damaged(stored)

    def _checksum(self, file: int, stored: StoredBlock) -> int:
        if stored.checksum is not None:
            return stored.checksum
        data = bytearray(_CHECKSUM_BYTES)
        _read(file, stored, stored.bytes, memoryview(data))
        return int.from_bytes(data, "little")

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
            chunks = self._manifest.shard_contexts // self.spec.block_contexts
            size = 16 * chunks + _CHECKSUM_BYTES
            path = self.path(shard)
            with _opened(path) as file:
                end = os.fstat(file.fileno()).st_size
                content = bytearray(size)
                whole = StoredBlock(path, 0, end - size, size, None)
                _read(file.fileno(), whole, 0, memoryview(content))
            table, checksum = content[:-_CHECKSUM_BYTES], content[-_CHECKSUM_BYTES:]
            if crc32c(table) != int.from_bytes(checksum, "little"):
                raise CacheError(f"{path} is damaged in its index", _REPAIR)
            self._tables[shard] = np.frombuffer(bytes(table), "<u8").reshape(chunks, 2)
        return self._tables[shard]

    def _buffer(self) -> memoryview:
        if not hasattr(self._scratch, "buffer"):
            self._scratch.buffer = memoryview(bytearray(_PIECE))
        return self._scratch.buffer


def _opened(path: Path) -> FileIO:
    try:
        return FileIO(path)
    except OSError as error:
        raise CacheError(f"can't read {path}: {error.strerror}", _REPAIR) from None


def _read(file: int, stored: StoredBlock, start: int, out: memoryview) -> None:
    """Fills `out` with the block's bytes from `start` on."""
    received = 0
    try:
        while received < len(out) and (
            n := os.preadv(file, [out[received:]], stored.offset + start + received)
        ):
            received += n
    except OSError as error:
        raise CacheError(f"can't read {stored.path}: {error.strerror}", _REPAIR) from None
    if received < len(out):
        raise _damaged(stored)


def _is_resident(file: int, offset: int) -> bool:
    """Whether the page cache holds the byte at `offset`; False where the system can't say."""
    if _RESIDENT is None:
        return False
    try:
        return os.preadv(file, [bytearray(1)], offset, _RESIDENT) == 1
    except OSError:
        return False


def _damaged(stored: StoredBlock) -> CacheError:
    return CacheError(f"{stored.path} is damaged in block {stored.index}", _REPAIR)


_REPAIR = "check the whole cache with: lmsaes tools verify --deep CACHE"
