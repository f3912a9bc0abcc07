"""The loader's order: which row comes when, decided by seed, epoch and pool size alone.

    blocks ─► permuted ─► one line of rows ─► 48 buckets ─► groups ─► 8 parts each ─► windows

The kept rows of all blocks, in an order of blocks drawn from the seed, make one long line. It is
cut into 48 equal buckets, and each bucket into groups. A group's rows are permuted and dealt in
eight equal parts to eight windows in a row, so that a window of a bucket holds one part of each of
eight groups: when a window is over, one group is used up and one new group comes in, and the mix
has no seams. Those of the first and last groups whose windows would lie outside the epoch have
fewer parts and are shorter.

    window      0  1  2  3  4 …
    group −1    1  2  3               (three of four parts, were there four)
    group  0    0  1  2  3
    group  1       0  1  2  3

Global position i of the epoch belongs to bucket i % 48, so every batch draws from all buckets in
equal parts, and a rank that owns some of the buckets knows its rows of each batch without reading
anybody else's. Any window can be found without walking through those before it.

A cache that fits the pool is permuted row by row instead.

Rows that come from a running model (stream.py) are there in the text's order alone: one bucket then
holds the whole line.

Nothing here touches the disk: rows are places along that line.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lmsaes.errors import ConfigError

BUCKETS = 48  # 1, 2, 3, 4, 6, 8, 12, 16, 24 and 48 ranks own equally many
PARTS = 8
SMALLEST_POOL = BUCKETS * PARTS**2  # of a cache: a part of a group is one row


@dataclass(frozen=True)
class EpochOrder:
    """The order of one epoch as one rank sees it.

    rows: kept rows in the cache. pool_rows: rows in the groups that a window draws from, of all
    ranks together. cut: into how many buckets the line is cut.
    """

    rows: int
    pool_rows: int
    seed: int
    epoch: int
    rank: int = 0
    world_size: int = 1
    cut: int = BUCKETS

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.world_size <= self.cut:
            raise ConfigError(
                f"rank {self.rank} of {self.world_size} is not possible",
                f"a loader takes 1 to {self.cut} ranks",
            )
        if not self.fits and self.part < 1:  # a part of a group is one row or more
            raise ConfigError(
                f"a pool of {self.pool_rows} rows is too small; it takes {self.cut * PARTS**2}",
                "give the loader more memory",
            )

    @property
    def fits(self) -> bool:
        """Whether the pool holds all rows at once."""
        return self.rows <= self.pool_rows

    @cached_property
    def windows(self) -> int:
        """Windows of the epoch; all but the last hand out equally many rows."""
        return 1 if self.fits else -(-self._count(0) // (PARTS * self.part))

    @property
    def part(self) -> int:
        """Rows of a part."""
        return self.pool_rows // (self.cut * PARTS**2)

    @property
    def window_rows(self) -> int:
        """Rows of all ranks in a window that is not the last."""
        return self.rows if self.fits else self.cut * PARTS * self.part

    @cached_property
    def buckets(self) -> range:
        """The buckets of this rank."""
        return range(self.rank, self.cut, self.world_size)

    def block_order(self, blocks: int) -> np.ndarray:
        """The order of the blocks along the line."""
        if self.fits:
            return np.arange(blocks)
        return _Stream(self.seed, self.epoch, 0).permutation(0, blocks)

    def positions(self, start: int, stop: int) -> int:
        """How many of the global positions start to stop are this rank's."""
        return self._before(stop) - self._before(start)

    def _before(self, position: int) -> int:
        whole, rest = divmod(position, self.cut)
        return whole * len(self.buckets) + max(0, -(-(rest - self.rank) // self.world_size))

    def line(self, first: int, last: int) -> list[tuple[int, int]]:
        """From where to where along the line groups first to last lie, by bucket."""
        if self.fits:
            return [(0, self.rows)]
        first, last = max(first, 1 - PARTS), min(last, self.windows - 1)
        starts = self._starts[:, [first + PARTS - 1, last + PARTS]]
        return [(int(a), int(b)) for a, b in starts]

    @cached_property
    def _starts(self) -> np.ndarray:
        """Where groups begin along the line, [own buckets, groups + 1]."""
        buckets = np.array(self.buckets)
        counts = np.array([self._count(b) for b in range(self.cut)])
        begins = (np.cumsum(counts) - counts)[buckets]
        groups = np.arange(1 - PARTS, self.windows)
        # parts in windows before the last, which are full
        full = np.minimum(groups + PARTS, self.windows - 1) - np.maximum(groups, 0)
        sizes = np.tile(np.maximum(full, 0) * self.part, (len(buckets), 1))
        for part in range(min(PARTS, len(groups))):
            sizes[:, -1 - part] += self._last_part(counts[buckets], part)
        ends = begins[:, None] + np.cumsum(sizes, 1)
        return np.concatenate([begins[:, None], ends], 1)

    def _count(self, bucket: int) -> int:
        """How many of the rows belong to `bucket`."""
        return max(0, -(-(self.rows - bucket) // self.cut))

    def _last_part(self, rows: np.ndarray, part: int) -> np.ndarray:
        """Rows of a part in the last window, of buckets that hold `rows` in all."""
        left = rows - (self.windows - 1) * PARTS * self.part
        return (left + PARTS - 1 - part) // PARTS


class Dealer:
    """Deals an epoch's rows, window by window; the windows may start anywhere but must follow."""

    def __init__(self, order: EpochOrder, rows: Callable[[int, int], np.ndarray]) -> None:
        """`rows(start, stop)`: the rows at places start to stop of the line, as any numbers."""
        self._order, self._rows = order, rows
        buckets = () if order.fits else order.buckets
        self._streams = [_Stream(order.seed, order.epoch, 1 + b) for b in buckets]
        self._windows: dict[int, np.ndarray] = {}  # [row of a part, part, bucket], -1: none
        self._next: int | None = None

    def window(self, window: int) -> np.ndarray:
        """This rank's rows of a window, in the order in which they are handed out."""
        order = self._order
        if order.fits:
            return self._whole()
        first = window - PARTS + 1 if self._next is None else window
        for group in range(first, window + 1):
            self._deal(group, window)
        self._next = window + 1
        dealt = self._windows.pop(window).reshape(-1)
        return dealt if window < order.windows - 1 else dealt[dealt >= 0]

    def laid_aside(self) -> list[np.ndarray]:
        """What is dealt to windows after the one that was handed out last, by window."""
        return [dealt[dealt >= 0] for _, dealt in sorted(self._windows.items())]

    def _deal(self, group: int, window: int) -> None:
        """Permutes a group and lays its parts for `window` and later ones aside."""
        order = self._order
        ages = range(max(0, -group), min(PARTS, order.windows - group))
        shape = order.part, PARTS, len(order.buckets)
        for age in ages:
            if group + age not in self._windows:
                self._windows[group + age] = np.full(shape, -1)
        for bucket, (start, stop) in enumerate(order.line(group, group)):
            rows = self._rows(start, stop)
            rows = rows[self._streams[bucket].permutation(group + PARTS, len(rows))]
            for number, age in enumerate(ages):
                if group + age >= window:
                    # the last window's part, which is the last of its group, may be shorter
                    part = rows[number * order.part : (number + 1) * order.part]
                    self._windows[group + age][: len(part), age, bucket] = part

    def _whole(self) -> np.ndarray:
        """All rows of a cache that fits: a uniform permutation, dealt to the ranks."""
        order = self._order
        places = _Stream(order.seed, order.epoch, 0).permutation(0, order.rows)
        mine = np.isin(np.arange(order.rows) % order.cut, order.buckets)
        return self._rows(0, order.rows)[places[mine]]


class _Stream:
    """Permutations by number, of one bucket in one epoch."""

    def __init__(self, seed: int, epoch: int, number: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence((seed, epoch, number)))
        self._start = self._bits.state
        # RandomState's streams are frozen for good, where those of Generator may change with
        # numpy: an order must be the same next year.
        self._generator = np.random.RandomState(self._bits)

    def permutation(self, number: int, size: int) -> np.ndarray:
        self._bits.state = self._start
        self._bits.advance(number << 64)
        return self._generator.permutation(size)
