"""`ActivationCache`: a committed cache, opened for reading."""

import threading
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Protocol

import numpy as np
import torch

from lmsaes.cache.arrays import (
    ArraySpec,
    array_specs,
    hook_specs,
    shard_file,
)
from lmsaes.cache.blocks import Block, BlockFiles
from lmsaes.cache.commits import pooled_statistics, shard_moments
from lmsaes.cache.int8 import read_channels
from lmsaes.cache.location import Location, file_sizes, locate
from lmsaes.cache.manifest import HookRecord, Manifest, read_manifest
from lmsaes.cache.readers import hold_for_reading
from lmsaes.cache.shards import ShardRecord
from lmsaes.errors import CacheError, ConfigError
from lmsaes.units import format_bytes


class Dequantizer(Protocol):
    """Turns what is stored of a hook into its activations."""

    def restore(self, *stored: torch.Tensor) -> torch.Tensor:
        """Activations [..., d_model] in the model's units, on the device of `stored`.

        stored: tensors of the hook's arrays, in the order of `ActivationCache.stored`.
        """
        ...


class _AsStored:
    def restore(self, *stored: torch.Tensor) -> torch.Tensor:
        return stored[0]


_AS_STORED = _AsStored()


class ActivationCache:
    """Token ids and activations by context, in the order they were written.

    Every block that is read is checked against its
    checksum. Safe to use from several threads.
    """

    def __init__(self, path: "str | Location") -> None:
        """Opens the cache in a folder or at a URL such as s3://bucket/cache, finished or not.

        What is committed can be read; nobody deletes the cache while this object lives. Raises
        CacheError when it is none, or a file is missing, foreign or of the wrong size.
        """
        self.path = locate(path)
        self._hold = hold_for_reading(self.path)
        self.manifest = read_manifest(self.path)
        specs, size_of = array_specs(self.manifest), file_sizes(self.path)
        for shard in self.manifest.shards:
            check_files(self.path, self.manifest, shard, specs.values(), size_of)
        if self.manifest.contexts == 0:
            raise CacheError(
                f"the cache {self.path} holds no committed shard yet",
                "run the same lmsaes cache command again: it continues",
            )
        self._tokens, self._documents = specs["tokens"], specs.get("documents")
        self._channels = read_channels(self.path, self.manifest.channel_digests)
        self._files: dict[str, BlockFiles] = {}
        self._lock = threading.Lock()

    @staticmethod
    def open(path: "str | Location") -> "ActivationCache":
        """The cache at `path`: the same as `ActivationCache(path)`."""
        return ActivationCache(path)

    @cached_property
    def hooks(self) -> dict[str, HookRecord]:
        """Hook names, each with d_model, dtype and the statistics of what is committed.

        Of a cache that is not complete they are pooled from its shards when first asked for.
        """
        if self.manifest.complete:
            return self.manifest.hooks
        return pooled_statistics(self.path, self.manifest)

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
        return self._tokens.to_torch(self._read(self._tokens, start, stop)).to(torch.int64)

    def documents(self, start: int, stop: int) -> torch.Tensor:
        """The document of each position of contexts start to stop, int64 [contexts, context_size].

        Documents are numbered in the order of the text; of a single dataset, the number is the
        row's. A beginning-of-text token counts to the document that follows it, a separator to
        the one that it ends; padding is −1. Raises CacheError for a cache that doesn't keep them.
        """
        if self._documents is None:
            raise CacheError(f"the cache {self.path} does not keep which document a token is of")
        numbers = self._read(self._documents, start, stop)
        return self._documents.to_torch(numbers).to(torch.int64)

    def activations(self, hook: str, start: int, stop: int) -> torch.Tensor:
        """Activations of contexts start to stop, [contexts, context_size, d_model].

        They come in the model's own units and in the stored dtype, int8 as float32. Raises
        ConfigError for a hook the cache does not hold, CacheError for a damaged block.
        """
        stored = (spec.to_torch(self._read(spec, start, stop)) for spec in self.stored(hook))
        return self.units(hook).restore(*stored)

    def stored(self, hook: str) -> tuple[ArraySpec, ...]:
        """The arrays that hold a hook: its activations, and in int8 their scales too."""
        return hook_specs(self.manifest, hook, self.manifest.hooks[self.check_hook(hook)])

    def units(self, hook: str) -> Dequantizer:
        """How the stored values of a hook become its activations."""
        return self._channels.get(self.check_hook(hook), _AS_STORED)

    def check_hook(self, hook: str) -> str:
        """`hook` itself, or ConfigError when the cache does not hold it."""
        if hook not in self.manifest.hooks:
            raise ConfigError(
                f"the cache {self.path} does not hold hook '{hook}'",
                "it holds: " + ", ".join(self.manifest.hooks),
            )
        return hook

    def valid_positions(self, tokens: torch.Tensor) -> torch.Tensor:
        """Which positions of `tokens` [contexts, context_size] are valid, as bool.

        Special tokens and each context's first position are not: their activations can be
        hundreds of times larger than all others, and SAEs are trained without them.
        """
        return valid_positions(tokens, self.manifest.text.special_ids)

    def shards_not_finite(self, hook: str) -> set[int]:
        """The shards that hold rows of a hook which are not finite, and count in no statistics.

        Most caches have none, which their manifest says; else each shard's own sums are read.
        """
        statistics = self.hooks[self.check_hook(hook)].statistics
        if statistics is not None and statistics.left_out == 0:
            return set()
        return {
            shard.index
            for shard in self.manifest.shards
            if shard_moments(self.path, shard, hook).left_out[0] > 0
        }

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

    def read_block(self, spec: ArraySpec, block: Block) -> np.ndarray:
        """The block's stored values in one array of a hook, [contexts, *spec.shape], checked.

        bfloat16 comes as uint16; `spec.to_torch` gives the tensor.
        """
        return self.files(spec).read(block)

    def files(self, spec: ArraySpec) -> BlockFiles:
        """Where the blocks of one of the cache's arrays are."""
        with self._lock:
            if spec.path not in self._files:
                self._files[spec.path] = BlockFiles(self.path, self.manifest, spec)
            return self._files[spec.path]

    def _read(self, spec: ArraySpec, start: int, stop: int) -> np.ndarray:
        if not 0 <= start <= stop <= self.contexts:
            raise ConfigError(
                f"contexts {start} to {stop} are not in the cache, which holds {self.contexts}"
            )
        files, step = self.files(spec), spec.block_contexts
        out = np.empty((stop - start, *spec.shape), spec.numpy_dtype)
        context = start
        while context < stop:
            shard = self._shard_at(context)
            inside = context - shard.first_context
            index, offset = divmod(inside, step)
            contexts = min(step, shard.contexts - index * step)
            block = files.read(Block(shard.index, index, context - offset, contexts))
            taken = min(contexts - offset, stop - context)
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


def valid_positions(tokens: torch.Tensor, special_ids: tuple[int, ...]) -> torch.Tensor:
    """True where a token is neither special nor first in its context, like `tokens`."""
    special = torch.tensor(special_ids, dtype=tokens.dtype, device=tokens.device)
    valid = ~torch.isin(tokens, special)
    valid[:, 0] = False
    return valid


def check_files(
    folder: Location,
    manifest: Manifest,
    shard: ShardRecord,
    specs: Iterable[ArraySpec],
    size_of: Callable[[str], int | None],
) -> None:
    """Raises CacheError unless the shard's files are all there with their sizes.

    specs: the arrays that it must have. size_of: the size of a file by its path inside the
    cache, None where there is none.
    """
    for spec in specs:
        if (name := shard_file(manifest, spec, shard.index)) not in shard.files:
            raise CacheError(f"the record of shard {shard.index} of {folder} lacks {name}", _REPAIR)
        claimed = shard.contexts * spec.context_bytes
        if manifest.compression == "none" and claimed > shard.files[name].bytes:
            raise CacheError(
                f"the manifest of {folder} is damaged: by its sizes {folder / name} would hold "
                f"{format_bytes(claimed)}",
                "copy the manifest again, or make the cache again with lmsaes cache --overwrite",
            )
    for name, record in shard.files.items():
        size = size_of(name)
        if size is None:
            raise CacheError(f"{folder / name} is missing", _REPAIR)
        if size != record.bytes:
            raise CacheError(
                f"{folder / name} has {size} bytes instead of {record.bytes}: it is damaged",
                _REPAIR,
            )


_REPAIR = "drop it with: lmsaes tools verify --repair CACHE, then run lmsaes cache again"
