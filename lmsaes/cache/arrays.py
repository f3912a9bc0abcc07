"""The two storage formats: how one shard of one array is written; blocks.py reads them.

An array's leading axis is contexts. A shard is written front to back and becomes visible by a
rename; a block is the unit that is read and checked.
"""

import hashlib
import json
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import crc32c as _crc32c
import numpy as np
import torch
import zarr
from zarr.buffer.cpu import Buffer
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, ZstdCodec
from zarr.storage import MemoryStore

from lmsaes.atomic import replace_file, sync_folder
from lmsaes.cache.location import Location
from lmsaes.cache.manifest import Compression, HookRecord, Manifest, StorageDtype
from lmsaes.cache.shards import FileRecord, pack_checksums
from lmsaes.errors import ConfigError

# bfloat16 has no numpy type: its sixteen bits travel as uint16.
_NUMPY = {
    "float32": np.dtype("<f4"),
    "float16": np.dtype("<f2"),
    "bfloat16": np.dtype("<u2"),
    "int8": np.dtype("<i1"),
    "int32": np.dtype("<i4"),
}
_SAFETENSORS = {
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int8": "I8",
    "int32": "I32",
}
# Data starts on a page boundary, so that a block can be mapped or read directly.
_DATA_ALIGNMENT = 4096
# Zarr's crc32c codec puts it behind each block, and behind a shard's index.
CHECKSUM_BYTES = 4


@dataclass(frozen=True)
class ArraySpec:
    """One array of a cache: `tokens`, `documents`, or the activations or scales of a hook."""

    path: str
    shape: tuple[int, ...]  # of one context
    dtype: str
    block_contexts: int

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        return _NUMPY[self.dtype]

    @property
    def context_bytes(self) -> int:
        return math.prod(self.shape) * self.numpy_dtype.itemsize

    @property
    def tensor_name(self) -> str:
        return self.path.split("/")[0]

    def to_torch(self, array: np.ndarray) -> torch.Tensor:
        """The same memory as a tensor of the array's own dtype."""
        tensor = torch.from_numpy(array)
        return tensor.view(torch.bfloat16) if self.dtype == "bfloat16" else tensor

    def to_numpy(self, tensor: torch.Tensor) -> np.ndarray:
        """The same memory of a CPU tensor as the numpy type that stands for its dtype."""
        if self.dtype == "bfloat16":
            tensor = tensor.view(torch.uint16)
        return tensor.numpy()


def array_specs(manifest: Manifest) -> dict[str, ArraySpec]:
    """Every array that the manifest's cache holds, by path."""
    size = manifest.text.context_size
    # token ids and document numbers are small: a whole shard of them is one block
    whole = ("tokens", "documents") if manifest.documents else ("tokens",)
    specs = {path: ArraySpec(path, (size,), "int32", manifest.shard_contexts) for path in whole}
    for hook, record in manifest.hooks.items():
        specs |= {spec.path: spec for spec in hook_specs(manifest, hook, record)}
    return specs


def hook_specs(manifest: Manifest, hook: str, record: HookRecord) -> tuple[ArraySpec, ...]:
    """The arrays that together hold a hook: its activations, and in int8 their scales."""
    size, block = manifest.text.context_size, manifest.block_contexts
    activations = ArraySpec(f"activations/{hook}", (size, record.d_model), record.dtype, block)
    if record.dtype != "int8":
        return (activations,)
    return activations, ArraySpec(f"scales/{hook}", (size,), "float16", block)


def bytes_per_value(dtype: StorageDtype) -> int:
    return _NUMPY[dtype].itemsize


def contexts_per_block(block_size: int, context_values: int) -> int:
    """How many contexts of so many values make a block of about `block_size` bytes.

    A power of two, measured at two bytes a value whatever the dtype, so that the loader's order
    does not depend on how a cache is stored.
    """
    return 1 << max(0, int(math.log2(max(1, block_size / (2 * context_values)))))


def shard_file(manifest: Manifest, spec: ArraySpec, shard: int) -> str:
    """Path inside the cache of the file that holds one shard of one array."""
    if manifest.format == "safetensors":
        return f"{spec.path}/shard-{shard:05d}.safetensors"
    return f"{spec.path}/c/{shard}" + "/0" * len(spec.shape)


def crc32c(data: Any, before: int = 0) -> int:
    """CRC-32C of a buffer, or of what had `before` with the buffer behind it.

    The interpreter's lock is released while it runs.
    """
    return _crc32c.crc32c(data, before, gil_release_mode=1)


class ShardWriter(Protocol):
    """Takes one shard of one array front to back."""

    def append(self, batch: np.ndarray) -> None:
        """Adds contexts [n, *shape]."""
        ...

    def finish(self) -> tuple[str, FileRecord]:
        """Flushes and renames the file; returns its path inside the cache and its record."""
        ...

    def abandon(self) -> None:
        """Closes and removes what was written."""
        ...


def open_shard(
    folder: Location, manifest: Manifest, spec: ArraySpec, shard: int, contexts: int
) -> ShardWriter:
    """A writer for shard `shard` of `spec`, which will hold `contexts` contexts.

    A file of that name that is there stays as it is until `finish`. Raises ConfigError for
    safetensors in an object store.
    """
    if manifest.format == "zarr":
        return _ZarrShard(folder, manifest, spec, shard, contexts)
    if not isinstance(folder, Path):
        raise only_zarr(folder)
    return _SafetensorsShard(folder, shard_file(manifest, spec, shard), spec, contexts)


def only_zarr(folder: Location) -> ConfigError:
    return ConfigError(
        f"a cache in an object store is zarr, and {folder} would be safetensors",
        "add --format zarr",
    )


class _SafetensorsShard:
    """Streams a safetensors file of one tensor: the header's size is known before the data."""

    def __init__(self, folder: Path, name: str, spec: ArraySpec, contexts: int) -> None:
        self._spec, self._name, self._path = spec, name, folder / name
        self._temporary = self._path.with_name(self._path.name + ".tmp")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._temporary.open("wb", buffering=0)
        self._digest = hashlib.sha256()
        self._contexts, self._received = contexts, 0
        self._blocks: list[int] = []
        self._pending = np.empty((0, *spec.shape), spec.numpy_dtype)
        header = _safetensors_header(spec, contexts)
        self._bytes = len(header)
        self._write(header)

    def append(self, batch: np.ndarray) -> None:
        self._received += len(batch)
        data = np.concatenate([self._pending, batch]) if len(self._pending) else batch
        step = self._spec.block_contexts
        whole = len(data) - len(data) % step
        for start in range(0, whole, step):
            self._write_block(data[start : start + step])
        self._pending = data[whole:]

    def _write_block(self, block: np.ndarray) -> None:
        view = np.ascontiguousarray(block).data.cast("B")
        self._blocks.append(crc32c(view))
        self._bytes += len(view)
        self._write(view)

    def _write(self, data: bytes | memoryview) -> None:
        self._digest.update(data)
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]

    def finish(self) -> tuple[str, FileRecord]:
        if len(self._pending):
            self._write_block(self._pending)
        if self._received != self._contexts:
            self._shorten()
        os.fsync(self._file.fileno())
        self._file.close()
        self._temporary.replace(self._path)
        sync_folder(self._path.parent)
        digest = self._digest.hexdigest()
        return self._name, FileRecord(
            bytes=self._bytes, sha256=digest, blocks=pack_checksums(self._blocks)
        )

    def _shorten(self) -> None:
        """The text ended early: the header, which has room, is written again."""
        header = _safetensors_header(self._spec, self._received)
        os.pwrite(self._file.fileno(), header, 0)
        with self._temporary.open("rb") as file:
            self._digest = hashlib.file_digest(file, "sha256")

    def abandon(self) -> None:
        self._file.close()
        self._temporary.unlink(missing_ok=True)


def _safetensors_header(spec: ArraySpec, contexts: int) -> bytes:
    entry = {
        "dtype": _SAFETENSORS[spec.dtype],
        "shape": [contexts, *spec.shape],
        "data_offsets": [0, contexts * spec.context_bytes],
    }
    text = json.dumps({spec.tensor_name: entry}, separators=(",", ":")).encode()
    padded = len(text) + (-(8 + len(text)) % _DATA_ALIGNMENT)
    return padded.to_bytes(8, "little") + text.ljust(padded)


class _ZarrShard:
    """Gathers a shard in memory and lets zarr encode it whole."""

    def __init__(
        self, folder: Location, manifest: Manifest, spec: ArraySpec, shard: int, contexts: int
    ) -> None:
        self._folder, self._spec = folder, spec
        self._name = shard_file(manifest, spec, shard)
        self._first = shard * manifest.shard_contexts
        self._chunks = manifest.shard_contexts // spec.block_contexts
        self._data = np.empty((contexts, *spec.shape), spec.numpy_dtype)
        self._filled = 0

    def append(self, batch: np.ndarray) -> None:
        self._data[self._filled : self._filled + len(batch)] = batch
        self._filled += len(batch)

    def finish(self) -> tuple[str, FileRecord]:
        content = self._encode()
        path = self._folder / self._name
        if isinstance(path, Path):
            path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, content)
        return self._name, FileRecord(
            bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            blocks=pack_checksums(list(self._checksums(content))),
        )

    def _checksums(self, content: memoryview) -> Iterator[int]:
        """What zarr's crc32c codec has put behind each block."""
        table = chunk_table(content[-chunk_table_bytes(self._chunks) :])
        filled = -(-self._filled // self._spec.block_contexts)
        for offset, size in table[:filled].tolist():
            end = offset + size
            yield int.from_bytes(content[end - CHECKSUM_BYTES : end], "little")

    def _encode(self) -> memoryview:
        """The content of the shard's file, as zarr writes it into the array that is there."""
        metadata = (self._folder / self._spec.path / "zarr.json").read_bytes()
        files: Any = {"zarr.json": Buffer.from_bytes(metadata)}
        array = zarr.open_array(MemoryStore(files), mode="r+").with_config(_ZARR_CONFIG)
        array[self._first : self._first + self._filled] = self._data[: self._filled]
        return memoryview(files[self._name.removeprefix(self._spec.path + "/")].as_numpy_array())

    def abandon(self) -> None:
        pass  # nothing is written before `finish`


def chunk_table_bytes(chunks: int) -> int:
    """Size of the index that ends a zarr shard of so many inner chunks."""
    return 16 * chunks + CHECKSUM_BYTES


def chunk_table(content: bytes | bytearray | memoryview) -> np.ndarray:
    """Offset and size of each inner chunk, uint64 [chunks, 2], from a shard's index.

    Raises ValueError when its checksum is wrong.
    """
    table, checksum = bytes(content[:-CHECKSUM_BYTES]), content[-CHECKSUM_BYTES:]
    if crc32c(table) != int.from_bytes(checksum, "little"):
        raise ValueError("the index is damaged")
    return np.frombuffer(table, "<u8").reshape(-1, 2)


# zarr would leave out blocks that are all zero, and a reader could not tell them from lost ones
_ZARR_CONFIG: Any = {"write_empty_chunks": True}
_DIMENSIONS = ["context", "position", "channel"]


def create_arrays(folder: Location, manifest: Manifest, specs: Iterable[ArraySpec]) -> None:
    """Makes the zarr arrays of `specs`, or grows them to the contexts asked for."""
    if manifest.format != "zarr":
        return
    for spec in specs:
        path = folder / spec.path / "zarr.json"
        before = path.read_bytes() if path.exists() else None
        content = _zarr_metadata(manifest, spec, before)
        if content != before:
            if isinstance(path, Path):
                path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, content)


def _zarr_metadata(manifest: Manifest, spec: ArraySpec, before: bytes | None) -> bytes:
    """An array's `zarr.json` for the contexts asked for; `before` is the one that is there."""
    shape = (manifest.contexts_requested, *spec.shape)
    files: Any = {}
    if before is not None:
        files["zarr.json"] = Buffer.from_bytes(before)
        zarr.open_array(MemoryStore(files), mode="r+").resize(shape)
    else:
        zarr.create_array(
            store=MemoryStore(files),
            shape=shape,
            chunks=(spec.block_contexts, *spec.shape),
            shards=(manifest.shard_contexts, *spec.shape),
            dtype=spec.numpy_dtype,
            serializer=BytesCodec(endian="little"),
            compressors=(*_compressors(manifest.compression), Crc32cCodec()),
            attributes={"dtype": spec.dtype, "dimensions": _DIMENSIONS[: 1 + len(spec.shape)]},
            config=_ZARR_CONFIG,
        )
    return files["zarr.json"].to_bytes()


def _compressors(compression: Compression) -> tuple[ZstdCodec | BloscCodec, ...]:
    match compression:
        case "none":
            return ()
        case "zstd":
            return (ZstdCodec(level=3),)
        case "lz4":
            return (BloscCodec(cname="lz4", clevel=5, shuffle="shuffle"),)
        case "blosc":
            # Large Blosc blocks: with its own choice of size it saves half as much of float16 and
            # decodes at 0.4 of the speed (docs/notes/experiments.md).
            return (BloscCodec(cname="zstd", clevel=1, shuffle="shuffle", blocksize=2**20),)
