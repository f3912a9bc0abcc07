"""`ShuffledLoader`: batches of rows in random order, from large reads in bounded memory.

row_filters.py  which rows         pool.py      where blocks are: page cache, memory or GPU
order.py        which row when     prefetch.py  the threads that fill the pool and gather batches
blocks.py       where blocks lie   here         what the user sees
"""

from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

from lmsaes.cache import ActivationCache
from lmsaes.errors import ConfigError
from lmsaes.loader.order import BUCKETS, PARTS, EpochOrder
from lmsaes.loader.pool import FramePool, MappedPool, Pool, can_map
from lmsaes.loader.prefetch import PendingBatch, Prefetcher
from lmsaes.loader.row_filters import RowFilters, RowMask
from lmsaes.loader.shuffle_quality import ShuffleQuality, shuffle_quality
from lmsaes.loader.windows import LoaderStats
from lmsaes.units import format_bytes, parse_bytes

_READING_THREADS = 4
_READING_THREADS_FAR = 16  # an object store answers late, and to many at a time
_INDEX_BYTES = 24  # of a row in the pool: its number, its place in the order, its place in a table
# A pool of fewer blocks lets the order of the text show in the loss.
ENOUGH_BLOCKS = 256


class ShuffledLoader:
    """Iterates over a cache's rows in random order; one `for` loop is one epoch.

    cache: an open ActivationCache. hooks: one or more of its hooks. batch_size: rows of a global
    batch; each of `world_size` ranks gets its share of the same batches. memory: bound of the
    pool, as bytes or `4GiB`; ranks share it. seed: with the epoch and the pool's size in rows,
    all that the order depends on.

    device: where batches go. pool_device: where the pool is: `cpu` or a GPU; by default blocks
    that are stored as they are stay in the page cache, and others take memory of the host.
    dtype: of the batches; by default the stored one, and float32 for int8.

    drop_special: leave out special tokens and each context's first position, as training does.
    skip_positions: positions of each context to leave out. max_norm: leave out rows whose norm
    is more than so many times the mean; it takes one reading of the whole cache first.
    drop_not_finite: leave out rows that are not finite, as training does; only shards that hold
    some, by the cache's statistics, are read for it. contexts: hand out rows of the cache's
    first so many contexts alone.
    drop_last: leave out a last batch shorter than the others. return_rows: give (batch, rows)
    with rows int64, the cache's row numbers. epoch: the first one's number. last_epoch: the last
    one's that will be asked for; before an earlier one ends, the pool is filled for the next.
    pool_rows: the
    pool's size in rows, where it must be another run's, rather than what `memory` holds. check:
    compare each block with its checksum the first time it is read.

    A batch is [rows, d_model] on `device`, or with several hooks a dict of them. Raises
    ConfigError for arguments that can't work and CacheError, naming the shard, for damaged data.
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
        pool_device: str | torch.device | None = None,
        dtype: torch.dtype | None = None,
        drop_special: bool = False,
        skip_positions: Sequence[int] = (),
        max_norm: float | None = None,
        drop_not_finite: bool = False,
        contexts: int | None = None,
        drop_last: bool = False,
        return_rows: bool = False,
        epoch: int = 0,
        last_epoch: int = 0,
        pool_rows: int | None = None,
        check: bool = True,
    ) -> None:
        self.cache = cache
        self.hooks = [cache.check_hook(h) for h in ([hooks] if isinstance(hooks, str) else hooks)]
        if not self.hooks or batch_size < 1:
            raise ConfigError("a loader needs at least one hook and a batch size of at least 1")
        self.batch_size, self.seed, self.epoch = batch_size, seed, epoch
        self.last_epoch = last_epoch
        self.rank, self.world_size = rank, world_size
        self.device, self.dtype = torch.device(device), dtype
        self.drop_last, self.return_rows = drop_last, return_rows
        self.stats = LoaderStats()
        self.filters = RowFilters(
            drop_special, tuple(skip_positions), max_norm, drop_not_finite, contexts
        )
        self._batch = 0, 0  # global positions of the last batch's rows
        self._position = 0  # global position in the epoch of the next row
        self._iteration: Generator[Any] | None = None
        self._arrays = [cache.files(spec) for h in self.hooks for spec in cache.stored(h)]
        self._mask = RowMask(cache, self.hooks, self.filters)
        self.rows = int(self._mask.counts.sum())
        self.rows_not_finite = self._mask.not_finite
        self.pool_rows = self._pool_rows(parse_bytes(memory), pool_rows)
        order = self._order(0)  # complains now rather than in the first batch
        near = isinstance(cache.path, Path)
        readers = _READING_THREADS if near else _READING_THREADS_FAR
        self._threads = ThreadPoolExecutor(readers, "read blocks")
        self._pool = self._make_pool(order, pool_device, check)
        self._prefetcher = Prefetcher(
            self._arrays, self._mask, self._pool, self.device, self._finish, self.stats
        )

    def __len__(self) -> int:
        """Batches in an epoch."""
        whole, rest = divmod(self.rows, self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Any]:
        """The rest of the epoch; the iteration after it is the next epoch.

        An earlier iteration that is not over ends: a loader is in one place at a time.
        """
        if self._iteration is not None:
            self._iteration.close()
        self._iteration = self._iterate()
        return self._iteration

    def _iterate(self) -> Generator[Any]:
        end = min(self.rows, len(self) * self.batch_size)
        order = self._order(self.epoch)
        following = self._order(self.epoch + 1) if self.epoch < self.last_epoch else None
        batches = self._prefetcher.batches(order, self._position, end, self.batch_size, following)
        for pending in batches:
            start, self._position = self._position, min(self._position + self.batch_size, end)
            self._batch = start, self._position
            yield self._hand_out(pending)
        self.epoch, self._position = self.epoch + 1, 0

    def _hand_out(self, pending: PendingBatch) -> Any:
        tensors = self._prefetcher.deliver(pending)
        if len(self.hooks) == 1:
            batch: Any = tensors[0]
        else:
            batch = dict(zip(self.hooks, tensors, strict=True))
        return (batch, pending.rows) if self.return_rows else batch

    def _finish(self, stored: list[Tensor]) -> list[Tensor]:
        """One tensor per hook from its arrays, in the hook's own units."""
        parts = iter(stored)
        finished: list[Tensor] = []
        for hook in self.hooks:
            arrays = [next(parts) for _ in self.cache.stored(hook)]
            restored = self.cache.units(hook).restore(*arrays)
            finished.append(restored if self.dtype is None else restored.to(self.dtype))
        return finished

    @property
    def batch_rows(self) -> int:
        """Rows of the last batch, of all ranks together."""
        return self._batch[1] - self._batch[0]

    @property
    def batch_places(self) -> Tensor:
        """Which rows of the last batch are this rank's, int64, by their places in the whole."""
        positions = torch.arange(*self._batch)
        return positions[positions % BUCKETS % self.world_size == self.rank] - self._batch[0]

    # ── the shuffle's quality ────────────────────────────────────────────────────────────────

    @property
    def shuffle_quality(self) -> ShuffleQuality:
        """How many rows of its own context a row meets in its batch."""
        context = round(self.rows / (self.filters.contexts or self.cache.contexts))
        return shuffle_quality(self.rows, self.pool_rows, self.batch_size, max(context, 1))

    @property
    def pool_blocks(self) -> float:
        """Blocks that a window draws from."""
        return self.pool_rows * len(self._mask.blocks) / max(self.rows, 1)

    @property
    def shuffles_well(self) -> bool:
        """Whether the pool holds all rows, or enough blocks that the text's order doesn't show."""
        return self.pool_rows >= self.rows or self.pool_blocks >= ENOUGH_BLOCKS

    @property
    def memory_to_shuffle_well(self) -> int:
        """The smallest memory, in bytes, with which `shuffles_well` is true."""
        enough = -(-ENOUGH_BLOCKS * self.rows // len(self._mask.blocks))
        unit = BUCKETS * PARTS**2
        return self.memory_for(min(self.rows, -(-enough // unit) * unit))

    # ── going on ─────────────────────────────────────────────────────────────────────────────

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
                    "go on with the same cache, seed, batch size, filters and pool",
                )
        if self._iteration is not None:
            self._iteration.close()
        self.epoch, self._position = int(state["epoch"]), int(state["position"])

    def _identity(self) -> dict[str, Any]:
        """What the order depends on, and the batches cut from it."""
        return {
            "cache": self.cache.identity,
            "blocks": len(self._mask.blocks),
            "rows": self.rows,
            "pool_rows": self.pool_rows,
            "batch_size": self.batch_size,
            "seed": self.seed,
            "drop_special": self.filters.special,
            "skip_positions": list(self.filters.positions),
            "max_norm": self.filters.max_norm,
            "contexts": self.filters.contexts,
        }

    def close(self) -> None:
        """Ends the threads and lets the pool go."""
        if self._iteration is not None:
            self._iteration.close()
        self._prefetcher.close()
        self._threads.shutdown(cancel_futures=True)
        self._pool.close()

    def __enter__(self) -> "ShuffledLoader":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # ── the pool ─────────────────────────────────────────────────────────────────────────────

    def memory_for(self, pool_rows: int) -> int:
        """Bytes that a pool of so many rows takes, of all ranks together."""
        return (self._frames(pool_rows, BUCKETS) + _READING_THREADS_FAR) * self._frame_bytes

    @property
    def host_memory(self) -> int:
        """Bytes of the host's memory that the pool takes, page cache included."""
        on_host = self._pool.device.type == "cpu"
        return self.memory_for(self.pool_rows) if on_host else 0

    def _order(self, epoch: int) -> EpochOrder:
        return EpochOrder(self.rows, self.pool_rows, self.seed, epoch, self.rank, self.world_size)

    @property
    def _frame_bytes(self) -> int:
        """Of a block of all hooks, and what is known of its rows."""
        rows = self.cache.manifest.block_contexts * self.cache.context_size
        return sum(array.block_bytes for array in self._arrays) + rows * _INDEX_BYTES

    def _frames(self, pool_rows: int, buckets: int) -> int:
        """Blocks that lie in a pool of so many rows, or in so many buckets' share of it.

        A bucket holds the groups of a window and the one that is being read, which begin and end
        inside blocks.
        """
        blocks = len(self._mask.blocks)
        if pool_rows >= self.rows:
            return blocks
        groups = pool_rows // (BUCKETS * PARTS) * (PARTS + 1)
        return min(blocks, -(-buckets * groups * blocks // self.rows) + 2 * buckets)

    def _pool_rows(self, memory: int, wanted: int | None) -> int:
        """Rows in the pool of all ranks together: as wanted, or as many as `memory` holds.

        It does not depend on the number of ranks, so that the order doesn't either.
        """
        unit = BUCKETS * PARTS**2
        if wanted is not None:
            if self.memory_for(wanted) > memory:
                raise ConfigError(
                    f"a pool of {wanted} rows takes {format_bytes(self.memory_for(wanted))} of "
                    f"memory, and {format_bytes(memory)} are given",
                    f"give at least {_mebibytes(self.memory_for(wanted))}",
                )
            return min(wanted, self.rows)
        blocks = len(self._mask.blocks)
        frames = memory // self._frame_bytes - _READING_THREADS_FAR
        if frames >= blocks:
            return self.rows
        mixed = (frames - 2 * BUCKETS) * self.rows // blocks  # rows in all groups that are held
        by_memory = mixed // (BUCKETS * (PARTS + 1) * PARTS)
        part = min(by_memory, (self.rows - 1) // unit)
        if part < 1:
            least = min(self.memory_for(self.rows), self.memory_for(unit))
            raise ConfigError(
                f"{format_bytes(memory)} of memory do not hold the blocks that are mixed",
                f"give at least {_mebibytes(least)}",
            )
        return unit * part

    def _make_pool(self, order: EpochOrder, device: str | torch.device | None, check: bool) -> Pool:
        blocks = self._mask.blocks
        if device is None and can_map(self._arrays, blocks):
            return MappedPool(self._arrays, blocks, self._threads, check)
        where = torch.device("cpu" if device is None else device)
        if where.type not in ("cpu", "cuda") or (where.type == "cuda" and where != self.device):
            raise ConfigError(
                f"a pool on {where} for batches on {self.device} is not possible",
                "keep it on the cpu, or on the GPU that the batches go to",
            )
        frames = self._frames(self.pool_rows, len(order.buckets))
        return FramePool(self._arrays, blocks, self._threads, check, where, frames)


def _mebibytes(size: int) -> str:
    """Rounded up, in a form that `parse_bytes` takes."""
    return f"{-(-size // 2**20)}MiB"
