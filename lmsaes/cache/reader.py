"""`ActivationCache`: a committed cache, opened for reading."""

import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lmsaes.cache.manifest import (
    HookRecord,
    Manifest,
    ShardRecord,
    read_manifest,
)
from lmsaes.cache.storage import (
    ArraySpec,
    BlockReader,
    activations_path,
    array_specs,
    block_reader,
    shard_file,
)
from lmsaes.errors import CacheError, ConfigError


@dataclass(frozen=True)
class Block:
    """A block of the cache: contexts `first` to `first + contexts` of its numbering."""

    shard: int
    index: int
    first: int
    contexts: int


class ActivationCache:
    """Token ids and activations by context, in the order they were written.

    Open one with `ActivationCache.open`. Every block that is read is checked against its
    checksum. Safe to use from several threads.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.path, self.manifest = folder, manifest
        self._specs = array_specs(manifest)
        self._readers: dict[str, BlockReader] = {}
        self._lock = threading.Lock()

    @staticmethod
    def open(path: str | Path) -> "ActivationCache":
        """The cache in folder `path`, finished or not: what is committed can be read.

        Raises CacheError when it is none, or a file is missing, foreign or of the wrong size.
        """
        folder = Path(path)
        manifest = read_manifest(folder)
        for shard in manifest.shards:
            check_files(folder, manifest, shard)
        if manifest.contexts == 0:
            raise CacheError(
                f"the cache {folder} holds no committed shard yet",
                "run the same lmsaes cache command again: it continues",
            )
        return ActivationCache(folder, manifest)

    @property
    def hooks(self) -> dict[str, HookRecord]:
        """Hook names, each with d_model, dtype and statistics."""
        return self.manifest.hooks

    @property
    def contexts(self) -> int:
        return self.manifest.contexts

    @property
    def context_size(self) -> int:
        return self.manifest.text.context_size

    @property
    def rows(self) -> int:
        """Token positions in the cache; row r is position r % context_size of a context."""
        return self.contexts * self.context_size

    @property
    def identity(self) -> str:
        """A short hash of the model, the text and its packing."""
        return self.manifest.identity

    def tokens(self, start: int, stop: int) -> torch.Tensor:
        """Token ids of contexts start to stop, int64 [contexts, context_size]."""
        spec = self._specs["tokens"]
        return spec.to_torch(self._read(spec, start, stop)).to(torch.int64)

    def activations(self, hook: str, start: int, stop: int) -> torch.Tensor:
        """Activations of contexts start to stop, [contexts, context_size, d_model].

        They come in the stored dtype and in the model's own units. Raises ConfigError for a
        hook the cache does not hold, CacheError for a damaged block.
        """
        spec = self._specs[activations_path(self.check_hook(hook))]
        return spec.to_torch(self._read(spec, start, stop))

    def check_hook(self, hook: str) -> str:
        """`hook` itself, or ConfigError when the cache does not hold it."""
        if hook not in self.hooks:
            raise ConfigError(
                f"the cache {self.path} does not hold hook '{hook}'",
                "it holds: " + ", ".join(self.hooks),
            )
        return hook

    def ordinary(self, tokens: torch.Tensor) -> torch.Tensor:
        """Which positions of `tokens` [contexts, context_size] are ordinary, as bool.

        Special tokens and each context's first position are not: their activations can be
        hundreds of times larger than all others, and SAEs are trained without them.
        """
        return ordinary_positions(tokens, self.manifest.text.special_ids)

    def blocks(self) -> list[Block]:
        """All committed blocks in order."""
        step = self.manifest.block_contexts
        return [
            Block(
                shard.index,
                index,
                shard.first_context + index * step,
                min(step, shard.contexts - index * step),
            )
            for shard in self.manifest.shards
            for index in range(-(-shard.contexts // step))
        ]

    def read_block(self, hook: str, block: Block) -> np.ndarray:
        """The block's stored values, [contexts, context_size, d_model], checked.

        bfloat16 comes as uint16; `to_torch` of the hook's spec gives the tensor.
        """
        return self._reader(self._specs[activations_path(hook)])(block.shard, block.index)

    def spec(self, hook: str) -> ArraySpec:
        """How the hook's activations are stored."""
        return self._specs[activations_path(self.check_hook(hook))]

    def _reader(self, spec: ArraySpec) -> BlockReader:
        with self._lock:
            if spec.path not in self._readers:
                self._readers[spec.path] = block_reader(self.path, self.manifest, spec)
            return self._readers[spec.path]

    def _read(self, spec: ArraySpec, start: int, stop: int) -> np.ndarray:
        if not 0 <= start <= stop <= self.contexts:
            raise ConfigError(
                f"contexts {start} to {stop} are not in the cache, which holds {self.contexts}"
            )
        reader = self._reader(spec)
        out = np.empty((stop - start, *spec.shape), spec.numpy_dtype)
        context = start
        while context < stop:
            shard = self._shard_at(context)
            inside = context - shard.first_context
            index = inside // spec.block_contexts
            block = reader(shard.index, index)
            offset = inside - index * spec.block_contexts
            taken = min(len(block) - offset, stop - context)
            out[context - start : context - start + taken] = block[offset : offset + taken]
            context += taken
        return out

    def _shard_at(self, context: int) -> ShardRecord:
        low, high = 0, len(self.manifest.shards) - 1
        while low < high:
            middle = (low + high + 1) // 2
            if self.manifest.shards[middle].first_context <= context:
                low = middle
            else:
                high = middle - 1
        return self.manifest.shards[low]


def ordinary_positions(tokens: torch.Tensor, special_ids: tuple[int, ...]) -> torch.Tensor:
    """True where a token is neither special nor first in its context, like `tokens`."""
    special = torch.tensor(special_ids, dtype=tokens.dtype, device=tokens.device)
    ordinary = ~torch.isin(tokens, special)
    ordinary[:, 0] = False
    return ordinary


def check_files(folder: Path, manifest: Manifest, shard: ShardRecord) -> None:
    """Raises CacheError unless the shard's files are all there with their sizes."""
    expected = {shard_file(manifest, s, shard.index) for s in array_specs(manifest).values()}
    if lacking := expected - set(shard.files):
        raise CacheError(f"the manifest of {folder} lacks the file {min(lacking)}", _REPAIR)
    for name, record in shard.files.items():
        try:
            size = (folder / name).stat().st_size
        except OSError:
            raise CacheError(f"{folder / name} is missing", _REPAIR) from None
        if size != record.bytes:
            raise CacheError(
                f"{folder / name} has {size} bytes instead of {record.bytes}: it is damaged",
                _REPAIR,
            )


_REPAIR = "drop it with: lmsaes tools verify --repair CACHE, then run lmsaes cache again"
