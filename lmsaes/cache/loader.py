"""`ShuffledLoader`: batches of rows in random order, from large reads in bounded memory.

    order.py says which rows ─► blocks read by threads ─► pool ─► one gather per batch

Two pools take turns: one is handed out while the next is filled.
"""

import itertools
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lmsaes.cache.order import EpochOrder, Fill
from lmsaes.cache.reader import ActivationCache, Block
from lmsaes.cache.storage import ArraySpec
from lmsaes.errors import ConfigError
from lmsaes.quantities import format_bytes, parse_bytes

_READING_THREADS = 4


@dataclass
class LoaderStats:
    """What the loader has done so far, and how long its user had to wait for it."""

    rows: int = 0
    bytes: int = 0
    fills: int = 0
    seconds: float = 0.0
    seconds_waited: float = 0.0

    @property
    def share_waited(self) -> float:
        """Share of the loader's time in which its user waited for a pool to be filled."""
        return self.seconds_waited / self.seconds if self.seconds else 0.0


class ShuffledLoader:
    """Iterates over a cache's rows in random order; one `for` loop is one epoch.

    cache: an open ActivationCache. hooks: one or more of its hooks. batch_size: rows of a global
    batch; each of `world_size` ranks gets its share of the same batches. memory: bound of the
    pools, as bytes or `4GiB`; ranks share it. seed: with the epoch and the pool's size in rows,
    all that the order depends on. drop_special: leave out special tokens and each context's
    first position, as training does. drop_last: leave out a last batch shorter than the others.
    return_rows: give (batch, rows) with rows int64, the cache's row numbers.

    A batch is [rows, d_model] in the stored dtype on `device` (of int8, float32 in the model's
    units, restored there), or with several hooks a dict of them. Raises ConfigError for arguments
    that can't work and CacheError, naming the shard, for damaged data.
    """

    def __init__(
        self,
        cache: ActivationCache,
        hooks: Sequence[str] | str,
        batch_size: int = 4096,
        memory: int | str = "4GiB",
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        device: str | torch.device = "cpu",
        drop_last: bool = False,
        return_rows: bool = False,
        drop_special: bool = False,
        epoch: int = 0,
    ) -> None:
        self.cache = cache
        self.hooks = [cache.check_hook(h) for h in ([hooks] if isinstance(hooks, str) else hooks)]
        if not self.hooks or batch_size < 1:
            raise ConfigError("a loader needs at least one hook and a batch size of at least 1")
        self.batch_size, self.seed, self.epoch = batch_size, seed, epoch
        self.rank, self.world_size = rank, world_size
        self.device = torch.device(device)
        self.drop_last, self.return_rows, self.drop_special = drop_last, return_rows, drop_special
        self.stats = LoaderStats()
        self._position = 0  # global position in the epoch of the next row
        self._blocks = cache.blocks()
        self._masks, self._kept = _kept_rows(cache, self._blocks, drop_special)
        self.rows = int(self._kept.sum())
        self.pool_rows = self._pool_rows(parse_bytes(memory))
        self._order(0)  # complains now rather than in the first batch
        self._threads = ThreadPoolExecutor(_READING_THREADS, "read blocks")
        self._filler = ThreadPoolExecutor(1, "fill pool")
        self._pools: dict[int, _Pool] = {}

    def __len__(self) -> int:
        """Batches in an epoch."""
        whole, rest = divmod(self.rows, self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Any]:
        """The rest of the epoch; the iteration after it is the next epoch."""
        order = self._order(self.epoch)
        end = min(self.rows, len(self) * self.batch_size)
        pools = self._filled_pools(order)
        begun = time.perf_counter()
        try:
            pool, taken = next(pools, (None, 0))
            while pool is not None and self._position < end:
                stop = min(self._position + self.batch_size, end)
                wanted = order.positions(self._position, stop)
                parts: list[np.ndarray] = []
                batch: list[dict[str, tuple[Tensor, ...]]] = []
                while pool is not None and wanted:
                    slots = pool.fill.order[taken : taken + wanted]
                    if len(slots):
                        batch.append(pool.gather(slots))
                        parts.append(pool.row_ids[slots])
                    taken, wanted = taken + len(slots), wanted - len(slots)
                    if wanted:
                        pool, taken = next(pools, (None, 0))
                self._position = stop
                now = time.perf_counter()
                self.stats.seconds, begun = self.stats.seconds + now - begun, now
                yield self._hand_out(batch, parts)
            self.epoch, self._position = self.epoch + 1, 0
        finally:
            pools.close()

    def state_dict(self) -> dict[str, Any]:
        """Where the loader stands, as plain numbers: enough to go on with the same rows."""
        return {**self._identity(), "epoch": self.epoch, "position": self._position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from a `state_dict`, on any number of ranks.

        Raises ConfigError, naming the field, when this loader's order would be another.
        """
        for name, value in self._identity().items():
            if state.get(name) != value:
                raise ConfigError(
                    f"the loader's state is of {name} {state.get(name)}, and this one's is {value}",
                    "go on with the same cache, seed, batch size and pool",
                )
        self.epoch, self._position = int(state["epoch"]), int(state["position"])

    def close(self) -> None:
        """Ends the threads and lets the pools go."""
        self._filler.shutdown(cancel_futures=True)
        self._threads.shutdown(cancel_futures=True)
        self._pools.clear()

    def __enter__(self) -> "ShuffledLoader":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _identity(self) -> dict[str, Any]:
        """What the order depends on, and the batches cut from it."""
        return {
            "cache": self.cache.identity,
            "rows": self.rows,
            "pool_rows": self.pool_rows,
            "batch_size": self.batch_size,
            "seed": self.seed,
            "drop_special": self.drop_special,
        }

    def _order(self, epoch: int) -> EpochOrder:
        return EpochOrder(self.rows, self.pool_rows, self.seed, epoch, self.rank, self.world_size)

    def _pool_rows(self, memory: int) -> int:
        """Rows that all ranks' pools hold together.

        It follows from `memory` alone, not from the number of ranks, so that the order doesn't
        either; two pools are in memory at a time.
        """
        specs = [spec for hook in self.hooks for spec in self.cache.stored(hook)]
        row = sum(spec.context_bytes for spec in specs) // self.cache.context_size
        row += 4 * np.dtype(np.int64).itemsize  # row number, place, order and slot
        block = max(spec.context_bytes for spec in specs) * self.cache.manifest.block_contexts
        usable = memory - _READING_THREADS * block
        if usable <= 0:
            raise ConfigError(
                f"{format_bytes(memory)} of memory do not hold the blocks that are read",
                f"give at least {format_bytes(2 * _READING_THREADS * block)}",
            )
        # what would not change the order is not part of a run's identity
        return min(self.rows, usable // (2 * row))

    def _hand_out(self, batch: list[dict[str, tuple[Tensor, ...]]], rows: list[np.ndarray]) -> Any:
        joined = {hook: self._restored(hook, [part[hook] for part in batch]) for hook in self.hooks}
        self.stats.rows += len(joined[self.hooks[0]])
        out = joined if len(self.hooks) > 1 else joined[self.hooks[0]]
        if not self.return_rows:
            return out
        return out, torch.from_numpy(np.concatenate(rows) if rows else np.empty(0, np.int64))

    def _restored(self, hook: str, parts: list[tuple[Tensor, ...]]) -> Tensor:
        """The hook's rows of one batch; what is stored crosses to the device, not what it means."""
        stored = parts or [tuple(_empty(spec, 0) for spec in self.cache.stored(hook))]
        arrays = [t[0] if len(t) == 1 else torch.cat(t) for t in zip(*stored, strict=True)]
        self.stats.bytes += sum(array.nbytes for array in arrays)
        if self.device.type != "cpu":
            arrays = [_upload(array, self.device) for array in arrays]
        return self.cache.units(hook).restore(*arrays)

    def _filled_pools(self, order: EpochOrder) -> Any:
        """(pool, rows of it that are handed out already) from the current position on."""
        line = _Line(self._blocks, self._kept, order.block_order(len(self._blocks)))
        fills = self._fills_from(order, self._position)
        future = self._start(fills, line, None, 0)
        while future is not None:
            begun = time.perf_counter()
            pool, taken = future.result()
            self.stats.seconds_waited += time.perf_counter() - begun
            self.stats.fills += 1
            future = self._start(fills, line, pool, pool.number + 1)
            yield pool, taken

    def _fills_from(self, order: EpochOrder, position: int) -> Iterator[tuple[Fill, int]]:
        """The fillings that still have rows to hand out, and how many of the first are gone."""
        pending: Fill | None = None
        for fill in order.fills():
            if pending is not None and fill.first > position:
                yield pending, order.positions(pending.first, max(position, pending.first))
            pending = fill
        if pending is not None:
            yield pending, order.positions(pending.first, max(position, pending.first))

    def _start(
        self,
        fills: Iterator[tuple[Fill, int]],
        line: "_Line",
        previous: "_Pool | None",
        number: int,
    ) -> "Future[tuple[_Pool, int]] | None":
        item = next(fills, None)
        if item is None:
            return None
        return self._filler.submit(self._fill, *item, line, previous, number)

    def _fill(
        self, fill: Fill, taken: int, line: "_Line", previous: "_Pool | None", number: int
    ) -> "tuple[_Pool, int]":
        """Fills the pool whose turn it is."""
        pool = self._pools.get(number % 2)
        if pool is None or pool.capacity < len(fill.content):
            pool = self._pools[number % 2] = _Pool(self.cache, self.hooks, len(fill.content))
        pool.fill, pool.number = fill, number
        if previous is None:
            # the start of an epoch, or the middle of one: only rows still to come are read
            slots = np.sort(fill.order[taken:]) if taken or len(fill.carried) else None
            slots = np.union1d(slots, self._carried_on(fill)) if slots is not None else None
        else:
            pool.carry(previous, fill.carried)
            slots = np.arange(len(fill.carried), len(fill.content))
        if slots is None:
            slots = np.arange(len(fill.content))
        tasks = [
            self._threads.submit(self._read, pool, block, kept, slots[a:b])
            for block, kept, a, b in line.segments(fill.content[slots])
        ]
        for task in tasks:
            task.result()
        return pool, taken

    def _carried_on(self, fill: Fill) -> np.ndarray:
        """Slots that a later filling carries over: all that this one does not hand out."""
        return np.setdiff1d(np.arange(len(fill.content)), fill.order)

    def _read(self, pool: "_Pool", block: int, kept: np.ndarray, slots: np.ndarray) -> None:
        """Reads one block and puts its rows `kept` (among the kept ones) into `slots`."""
        where = self._blocks[block]
        inside = self._positions_in(block)[kept]
        pool.row_ids[slots] = where.first * self.cache.context_size + inside
        index = torch.from_numpy(inside)
        contiguous = slots[-1] - slots[0] + 1 == len(slots)
        for hook in self.hooks:
            for spec, target in zip(self.cache.stored(hook), pool.rows[hook], strict=True):
                rows = spec.to_torch(self.cache.read_block(spec, where)).flatten(0, 1)
                if contiguous:
                    torch.index_select(rows, 0, index, out=target[slots[0] : slots[-1] + 1])
                else:
                    target[torch.from_numpy(slots)] = rows[index]

    def _positions_in(self, block: int) -> np.ndarray:
        """Positions of a block's kept rows inside it."""
        rows = self._blocks[block].contexts * self.cache.context_size
        if self._masks is None:
            return np.arange(rows)
        return np.flatnonzero(np.unpackbits(self._masks[block], count=rows))


class _Line:
    """All kept rows in the order of the epoch's blocks: places in line to blocks and back."""

    def __init__(self, blocks: list[Block], kept: np.ndarray, order: np.ndarray) -> None:
        self._order = order
        self._ends = np.cumsum(kept[order])
        self._starts = self._ends - kept[order]

    def segments(self, places: np.ndarray) -> Iterator[tuple[int, np.ndarray, int, int]]:
        """(block, its kept rows, from, to) for each run of `places` in one block."""
        if len(places) == 0:
            return
        which = np.searchsorted(self._ends, places, side="right")
        cuts = np.flatnonzero(np.diff(which)) + 1
        edges = [0, *cuts.tolist(), len(places)]
        for a, b in itertools.pairwise(edges):
            at = which[a]
            yield int(self._order[at]), places[a:b] - self._starts[at], a, b


class _Pool:
    """Rows of one filling, by slot."""

    fill: Fill
    number: int

    def __init__(self, cache: ActivationCache, hooks: list[str], capacity: int) -> None:
        self.capacity = capacity
        self.row_ids = np.empty(capacity, np.int64)
        self.rows = {
            hook: tuple(_empty(spec, capacity) for spec in cache.stored(hook)) for hook in hooks
        }

    def gather(self, slots: np.ndarray) -> dict[str, tuple[Tensor, ...]]:
        """The rows of `slots` in each array of a hook, [n, …], by hook."""
        index = torch.from_numpy(slots)
        return {
            hook: tuple(rows.index_select(0, index) for rows in arrays)
            for hook, arrays in self.rows.items()
        }

    def carry(self, previous: "_Pool", slots: np.ndarray) -> None:
        """Takes over rows from the filling before."""
        index = torch.from_numpy(slots)
        self.row_ids[: len(slots)] = previous.row_ids[slots]
        for hook, arrays in self.rows.items():
            for source, rows in zip(previous.rows[hook], arrays, strict=True):
                torch.index_select(source, 0, index, out=rows[: len(slots)])


def _empty(spec: ArraySpec, rows: int) -> Tensor:
    """Room for so many rows of an array."""
    return spec.to_torch(np.empty((rows, *spec.shape[1:]), spec.numpy_dtype))


def _upload(tensor: Tensor, device: torch.device) -> Tensor:
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def _kept_rows(
    cache: ActivationCache, blocks: list[Block], drop_special: bool
) -> tuple[list[np.ndarray] | None, np.ndarray]:
    """Packed masks of the rows to keep, by block, and how many they are."""
    if not drop_special:
        return None, np.array([b.contexts * cache.context_size for b in blocks], np.int64)
    masks: list[np.ndarray] = []
    kept: list[int] = []
    for shard in cache.manifest.shards:
        first = shard.first_context
        ordinary = cache.ordinary(cache.tokens(first, first + shard.contexts)).numpy()
        step = cache.manifest.block_contexts
        for start in range(0, shard.contexts, step):
            mask = ordinary[start : start + step].reshape(-1)
            masks.append(np.packbits(mask))
            kept.append(int(mask.sum()))
    return masks, np.array(kept, np.int64)
