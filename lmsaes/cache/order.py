"""The loader's order: which row comes when, decided by seed, epoch and pool size alone.

    blocks ─► permuted ─► cut into 48 buckets ─► each bucket shuffled through a pool ─► dealt

The kept rows of all blocks, in an order of blocks drawn from the seed, make one long line. It is
cut into equal buckets. Each bucket runs through a pool: the pool is filled, permuted, most of it
is handed out, and a carried-over share is mixed into the next filling. Global position i of the
epoch belongs to bucket i % 48, so every batch draws from all buckets in equal parts, and a rank
that owns some of the buckets knows its rows of each batch without reading anybody else's.

A cache that fits the pool is permuted row by row instead.

Nothing here touches the disk: rows are numbers along that line.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lmsaes.errors import ConfigError

BUCKETS = 48  # 1, 2, 3, 4, 6, 8, 12, 16, 24 and 48 ranks own equally many
CARRIED_SHARE = 0.25
SMALLEST_POOL = 2 * BUCKETS


@dataclass(frozen=True)
class Fill:
    """One filling of a rank's pool.

    content: place in line of each slot's row. carried: the slots of the previous filling whose
    rows are in this one's first slots; the others are new. order: slots as they are handed out.
    first: global positions of the epoch that earlier fillings have handed out.
    """

    content: np.ndarray
    carried: np.ndarray
    order: np.ndarray
    first: int


@dataclass(frozen=True)
class EpochOrder:
    """The order of one epoch as one rank sees it.

    rows: kept rows in the cache. pool_rows: rows that all ranks' pools hold together.
    """

    rows: int
    pool_rows: int
    seed: int
    epoch: int
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.world_size <= BUCKETS:
            raise ConfigError(
                f"rank {self.rank} of {self.world_size} is not possible",
                f"a loader takes 1 to {BUCKETS} ranks",
            )
        if not self.fits and self.pool_rows < SMALLEST_POOL:
            raise ConfigError(
                f"a pool of {self.pool_rows} rows is too small; it takes {SMALLEST_POOL}",
                "give the loader more memory",
            )

    @property
    def fits(self) -> bool:
        """Whether the pool holds all rows at once."""
        return self.rows <= self.pool_rows

    def block_order(self, blocks: int) -> np.ndarray:
        """The order of the blocks along the line."""
        if self.fits:
            return np.arange(blocks)
        return self._permutation(blocks, -1, -1)

    def positions(self, start: int, stop: int) -> int:
        """How many of the global positions start to stop are this rank's."""
        return sum(_count(stop, b) - _count(start, b) for b in self._buckets())

    def fills(self) -> Iterator[Fill]:
        """The fillings of this rank's pool, in order."""
        if self.fits:
            yield self._whole()
            return
        buckets = self._buckets()
        sizes = np.array([_count(self.rows, b) for b in range(BUCKETS)])
        starts = (np.cumsum(sizes) - sizes)[buckets]
        sizes = sizes[buckets]
        pool = self.pool_rows // BUCKETS
        out = max(1, pool - int(pool * CARRIED_SHARE))
        last = -(-(-(-self.rows // BUCKETS) - pool) // out)
        kept = [np.empty(0, np.int64) for _ in buckets]  # slots of the filling before
        content = np.empty(0, np.int64)
        read = np.zeros(len(buckets), np.int64)
        for index in range(last + 1):
            until = np.minimum(pool + index * out, sizes)
            carried = np.concatenate(kept)
            fresh = [
                np.arange(start + a, start + b)
                for start, a, b in zip(starts, read, until, strict=True)
            ]
            content = np.concatenate([content[carried], *fresh])
            order, kept = self._deal(buckets, index, kept, fresh, out if index < last else None)
            yield Fill(content, carried, order, index * out * BUCKETS)
            read = until

    def _deal(
        self,
        buckets: list[int],
        index: int,
        kept: list[np.ndarray],
        fresh: list[np.ndarray],
        out: int | None,
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """Permutes each bucket's pool; gives the slots to hand out and those that stay."""
        base = sum(len(k) for k in kept)
        carried = 0
        dealt: list[np.ndarray] = []
        left: list[np.ndarray] = []
        for bucket, k, f in zip(buckets, kept, fresh, strict=True):
            slots = np.concatenate(
                [np.arange(carried, carried + len(k)), np.arange(base, base + len(f))]
            )
            slots = slots[self._permutation(len(slots), bucket, index)]
            dealt.append(slots[:out])
            left.append(slots[len(dealt[-1]) :])
            carried, base = carried + len(k), base + len(f)
        # one row of each bucket after the other; in the last filling some have one more
        longest = max(len(d) for d in dealt)
        table = np.full((longest, len(dealt)), -1)
        for column, d in enumerate(dealt):
            table[: len(d), column] = d
        order = table.reshape(-1)
        return order[order >= 0], left

    def _whole(self) -> Fill:
        """The one filling of a pool that holds everything: a uniform permutation."""
        line = self._permutation(self.rows, -1, 0)
        mine = np.isin(np.arange(self.rows) % BUCKETS, self._buckets())
        content = np.sort(line[mine])
        return Fill(content, np.empty(0, np.int64), np.searchsorted(content, line[mine]), 0)

    def _buckets(self) -> list[int]:
        return list(range(self.rank, BUCKETS, self.world_size))

    def _permutation(self, size: int, bucket: int, fill: int) -> np.ndarray:
        words = np.random.SeedSequence((self.seed, self.epoch, bucket + 1, fill + 1))
        # RandomState's streams are frozen for good, where those of Generator may change with
        # numpy: an order must be the same next year.
        generator = np.random.RandomState(np.random.MT19937(words))
        return generator.permutation(size)


def _count(stop: int, bucket: int) -> int:
    """How many positions below `stop` belong to `bucket`."""
    return max(0, -(-(stop - bucket) // BUCKETS))
