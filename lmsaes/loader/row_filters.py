"""Which of a cache's rows a loader hands out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lmsaes.cache import ActivationCache, Block, within_float32
from lmsaes.errors import ConfigError
from lmsaes.parallel import map_ahead

_THREADS = 4


@dataclass(frozen=True)
class RowFilters:
    """Rows to leave out.

    special: special tokens and each context's first position. positions: positions of every
    context, from 0; negative ones count from its end. max_norm: rows whose norm, in any of the
    hooks, is more than so many times the hook's mean norm. not_finite: rows that in any of the
    hooks hold NaN, an infinity, or values whose squares are too large for float32: those that the
    cache's statistics leave out. contexts: keep the cache's first so many alone.
    """

    special: bool = False
    positions: tuple[int, ...] = ()
    max_norm: float | None = None
    not_finite: bool = False
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

    counts: how many each block has. not_finite: how many rows that filter alone left out.
    block_rows: rows of a whole block. first_rows: each block's first row in the cache.
    """

    def __init__(self, cache: ActivationCache, hooks: Sequence[str], filters: RowFilters) -> None:
        """Reads all token ids where special ones are left out, all rows for `max_norm`, and for
        `not_finite` those of the shards that hold such rows: mostly none.
        """
        filters.check(cache.context_size)
        kept = cache.contexts if filters.contexts is None else filters.contexts
        self.blocks = [block for block in cache.blocks() if block.first < kept]
        sizes = np.array([block.contexts * cache.context_size for block in self.blocks])
        self._masks: list[np.ndarray] | None = None
        self.counts = sizes.astype(np.int64)
        self.not_finite = 0
        checked: set[int] = set()
        if filters.not_finite:
            checked = set[int]().union(*(cache.shards_not_finite(hook) for hook in hooks))
        if checked or filters != RowFilters(not_finite=filters.not_finite):
            self._masks = []
            for mask, left_out in _masks(cache, hooks, filters, self.blocks, checked):
                self._masks.append(np.packbits(mask))
                self.not_finite += left_out
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
    cache: ActivationCache,
    hooks: Sequence[str],
    filters: RowFilters,
    blocks: Sequence[Block],
    checked: set[int],
) -> Iterable[tuple[np.ndarray, int]]:
    """What of each block passes, bool [contexts · context_size], and how many rows only were left
    out for not being finite. checked: the shards that hold such rows.
    """
    limits = {hook: _limit(cache, hook, filters) for hook in hooks}

    def passes(task: tuple[Block, torch.Tensor | None]) -> tuple[np.ndarray, int]:
        block, valid = task
        mask = torch.ones(block.contexts, cache.context_size, dtype=torch.bool)
        if valid is not None:
            mask &= valid
        mask[:, list(filters.positions)] = False
        if filters.contexts is not None:
            mask[max(0, filters.contexts - block.first) :] = False
        finite = torch.ones_like(mask)
        for hook, limit in limits.items():
            if limit is None and block.shard not in checked:
                continue
            rows = cache.activations(hook, block.first, block.first + block.contexts)
            norms = torch.linalg.vector_norm(rows.float(), dim=-1)
            if block.shard in checked:
                finite &= within_float32(norms)
            if limit is not None:
                mask &= (norms <= limit) | ~finite
        left_out = int((mask & ~finite).count_nonzero())
        return (mask & finite).reshape(-1).numpy(), left_out

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
