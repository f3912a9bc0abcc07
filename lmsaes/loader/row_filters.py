"""Which of a cache's rows a loader hands out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lmsaes.cache import ActivationCache, Block
from lmsaes.errors import ConfigError
from lmsaes.parallel import map_ahead

_THREADS = 4


@dataclass(frozen=True)
class RowFilters:
    """Rows to leave out.

    special: special tokens and each context's first position. positions: positions of every
    context, from 0; negative ones count from its end. max_norm: rows whose norm, in any of the
    hooks, is more than so many times the hook's mean norm. contexts: keep the cache's first so many
    alone.
    """

    special: bool = False
    positions: tuple[int, ...] = ()
    max_norm: float | None = None
    contexts: int | None = None

    def check(self, context_size: int) -> None:
        """Raises ConfigError for filters that can't be meant."""
        for position in self.positions:
            if not -context_size <= position < context_size:
                raise ConfigError(
                    f"there is no position {position} in a context of {context_size}",
                    "give positions from 0, or negative ones from the end",
                )
        if self.max_norm is not None and self.max_norm <= 0:
            raise ConfigError("max_norm must be above 0", "5 keeps rows up to 5 mean norms")


class RowMask:
    """The rows of a cache that pass the filters, by block.

    counts: how many each block has. block_rows: rows of a whole block. first_rows: each block's
    first row in the cache.
    """

    def __init__(self, cache: ActivationCache, hooks: Sequence[str], filters: RowFilters) -> None:
        """Reads all token ids where special ones are left out, and all rows for `max_norm`."""
        filters.check(cache.context_size)
        kept = cache.contexts if filters.contexts is None else filters.contexts
        self.blocks = [block for block in cache.blocks() if block.first < kept]
        sizes = np.array([block.contexts * cache.context_size for block in self.blocks])
        self._masks: list[np.ndarray] | None = None
        self.counts = sizes.astype(np.int64)
        if filters != RowFilters():
            self._masks = [np.packbits(mask) for mask in _masks(cache, hooks, filters, self.blocks)]
            self.counts = np.array(
                [np.bitwise_count(mask).sum() for mask in self._masks], dtype=np.int64
            )
        self.block_rows = cache.manifest.block_contexts * cache.context_size
        self.first_rows = np.array([b.first for b in self.blocks], np.int64) * cache.context_size
        self._whole = np.arange(self.block_rows)

    def inside(self, block: int) -> np.ndarray:
        """Places of a block's kept rows inside it, in order."""
        if self._masks is None:
            return self._whole[: self.counts[block]]
        return np.flatnonzero(np.unpackbits(self._masks[block]))


def _masks(
    cache: ActivationCache, hooks: Sequence[str], filters: RowFilters, blocks: Sequence[Block]
) -> Iterable[np.ndarray]:
    """What of each block passes, bool [contexts · context_size]."""
    limits = {hook: _limit(cache, hook, filters) for hook in hooks}

    def passes(task: tuple[Block, torch.Tensor | None]) -> np.ndarray:
        block, valid = task
        mask = torch.ones(block.contexts, cache.context_size, dtype=torch.bool)
        if valid is not None:
            mask &= valid
        mask[:, list(filters.positions)] = False
        if filters.contexts is not None:
            mask[max(0, filters.contexts - block.first) :] = False
        for hook, limit in limits.items():
            if limit is not None:
                rows = cache.activations(hook, block.first, block.first + block.contexts)
                mask &= rows.float().norm(dim=-1) <= limit
        return mask.reshape(-1).numpy()

    tasks = zip(blocks, _valid(cache, filters, blocks), strict=True)
    yield from map_ahead(passes, tasks, _THREADS, "filter rows")


def _limit(cache: ActivationCache, hook: str, filters: RowFilters) -> float | None:
    if filters.max_norm is None:
        return None
    record = cache.hooks[hook]
    statistics = record.valid if filters.special else record.statistics
    if statistics is None:
        raise ConfigError(f"the cache does not know the mean norm of {hook}", "leave max_norm out")
    return filters.max_norm * statistics.mean_norm


def _valid(
    cache: ActivationCache, filters: RowFilters, blocks: Sequence[Block]
) -> Iterable[torch.Tensor | None]:
    """Which positions of each block are valid; None where it does not matter."""
    shard, first, valid = -1, 0, torch.empty(0)
    for block in blocks:
        if not filters.special:
            yield None
            continue
        if block.shard != shard:  # token ids are read a shard at a time
            shard, first = block.shard, block.first
            contexts = cache.manifest.shards[shard].contexts
            valid = cache.valid_positions(cache.tokens(first, first + contexts))
        start = block.first - first
        yield valid[start : start + block.contexts]
