"""The windows of an epoch: while one is handed out, the pool is filled for the next.

A window is the stretch of the epoch whose blocks the pool holds at a time. One thread walks ahead
by one: it has the pool bring in the window's blocks, deals its rows, and makes their index as one
array, of which a batch is a slice.
"""

import itertools
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from lmsaes.loader.order import PARTS, Dealer, EpochOrder
from lmsaes.loader.pool import Pool
from lmsaes.loader.row_filters import RowMask


@dataclass
class LoaderStats:
    """What the loader has done so far, and how long its user had to wait for it.

    bytes: handed out, as stored. seconds: from the moment the first batch was asked for until
    the last was there. bytes_read: of blocks brought into the pool, in seconds_filling. fills:
    windows that the pool was filled for.
    """

    rows: int = 0
    bytes: int = 0
    seconds: float = 0.0
    seconds_waited: float = 0.0
    fills: int = 0
    bytes_read: int = 0
    seconds_filling: float = 0.0

    @property
    def share_waited(self) -> float:
        """Share of the time in which the user waited for a batch."""
        return self.seconds_waited / self.seconds if self.seconds else 0.0

    @property
    def gigabytes_per_second(self) -> float:
        """Rate at which batches were taken."""
        return self.bytes / self.seconds / 1e9 if self.seconds else 0.0

    def wait_for(self, future: Future[Any]) -> Any:
        """The future's result; the time until it is there counts as waited."""
        begun = time.perf_counter()
        try:
            return future.result()
        finally:
            self.seconds_waited += time.perf_counter() - begun


@dataclass(frozen=True)
class Window:
    """A window's rows in the order in which they are handed out.

    index: their places in each of the pool's tables. rows: their numbers in the cache.
    """

    index: list[Tensor]
    rows: np.ndarray


class Windows:
    """Walks through an epoch from a global position on.

    The windows of the next epoch can follow those of an epoch whose last window is handed out:
    their first one is prepared meanwhile.
    """

    def __init__(
        self,
        order: EpochOrder,
        mask: RowMask,
        pool: Pool,
        filler: ThreadPoolExecutor,
        stats: LoaderStats,
        position: int,
        before: "Windows | None" = None,
    ) -> None:
        self.order, self._pool, self._filler, self._stats = order, pool, filler, stats
        self._line = _Line(mask, order.block_order(len(mask.blocks)))
        self._mask = mask
        self._dealer = Dealer(order, self._line.rows)
        self._busy: list[Future[Any]] = []
        self._window: Window | None = None
        self._number = min(position // order.window_rows, order.windows - 1)
        self._taken = order.positions(self._number * order.window_rows, position)
        if before is None:
            self._coming = self._fill(self._number, [], np.empty(0, np.int64))
        else:
            self._coming = self._fill(self._number, before._busy, before.in_use())
        self._before = before

    def has(self, rows: int) -> bool:
        """Whether so many rows can be taken without waiting, or waiting would tell a failure."""
        left = len(self._window.rows) - self._taken if self._window is not None else 0
        return rows <= left or self._coming.done()

    def take(self, rows: int) -> tuple[Window, slice]:
        """The next rows of this rank, `rows` of them or what is left of the window.

        Whoever gathers them says so with `use`, before taking more.
        """
        if self._window is None or self._taken == len(self._window.rows):
            if self._window is not None:
                self._number, self._taken = self._number + 1, 0
            elif self._before is not None:
                self._busy, self._before = self._before._busy, None
            self._window = self._stats.wait_for(self._coming)
            if self._number + 1 < self.order.windows:
                self._coming = self._fill(self._number + 1, self._busy, self.in_use())
        assert self._window is not None
        first = self._taken
        self._taken = min(first + rows, len(self._window.rows))
        return self._window, slice(first, self._taken)

    def use(self, gather: Future[Any]) -> None:
        """The pool keeps the blocks that were taken from until `gather` is done."""
        # those that are done hold batches that their user may have let go of
        self._busy = [task for task in self._busy if not task.done()]
        self._busy.append(gather)

    def raise_failure(self) -> None:
        """Raises what went wrong in the background, if anything did."""
        if self._coming.done():
            self._coming.result()

    @property
    def last_begun(self) -> bool:
        """Whether the last window is handed out, or was."""
        return self._window is not None and self._number == self.order.windows - 1

    def can_follow(self, order: EpochOrder) -> bool:
        """Whether the pool has room for the first window of `order` beside this one's last.

        A pool that holds the whole cache has nothing to read ahead.
        """
        if order.fits:
            return False
        line = _Line(self._mask, order.block_order(len(self._mask.blocks)))
        wanted = line.blocks(order.line(1 - PARTS, 0))
        return len(np.union1d(wanted, self.in_use())) <= self._pool.capacity

    def in_use(self) -> np.ndarray:
        """The blocks that the window at hand is gathered from."""
        return self._blocks(self._number)

    def close(self) -> None:
        """Comes back when nothing works on the pool any more."""
        self._coming.cancel()
        wait([self._coming, *self._busy])

    def _fill(self, number: int, busy: Sequence[Future[Any]], in_use: np.ndarray) -> Future[Window]:
        mark = self._pool.mark()
        return self._filler.submit(self._prepare, number, list(busy), in_use, mark)

    def _prepare(
        self, number: int, busy: Sequence[Future[Any]], in_use: np.ndarray, mark: Any
    ) -> Window:
        """Fills the pool for a window while the one before, of blocks `in_use`, is handed out."""
        wait(busy)  # they gather from blocks that may leave now
        begun = time.perf_counter()
        wanted = np.union1d(self._blocks(number), in_use)
        self._stats.bytes_read += self._pool.hold(wanted, mark)
        blocks, inside = np.divmod(self._dealer.window(number), self._mask.block_rows)
        index = self._pool.index(blocks, inside)
        self._stats.fills += 1
        self._stats.seconds_filling += time.perf_counter() - begun
        return Window(index, self._mask.first_rows[blocks] + inside)

    def _blocks(self, number: int) -> np.ndarray:
        return self._line.blocks(self.order.line(number - PARTS + 1, number))


class _Line:
    """All kept rows in the order of the epoch's blocks."""

    def __init__(self, mask: RowMask, order: np.ndarray) -> None:
        self._mask, self._order = mask, order
        self._ends = np.cumsum(mask.counts[order])

    def blocks(self, ranges: Sequence[tuple[int, int]]) -> np.ndarray:
        """The blocks that hold the rows at these places, each once."""
        parts = [self._order[a:b] for a, b in itertools.starmap(self._within, ranges)]
        return np.unique(np.concatenate(parts))

    def rows(self, start: int, stop: int) -> np.ndarray:
        """The rows at places start to stop: block · rows of a block + place inside it."""
        first, last = self._within(start, stop)
        parts = [
            block * self._mask.block_rows + self._mask.inside(block)
            for block in self._order[first:last].tolist()
        ]
        if not parts:
            return np.empty(0, np.int64)
        begin = int(self._ends[first] - self._mask.counts[self._order[first]])
        return np.concatenate(parts)[start - begin : stop - begin]

    def _within(self, start: int, stop: int) -> tuple[int, int]:
        if start == stop:
            return 0, 0
        first = int(np.searchsorted(self._ends, start, side="right"))
        return first, int(np.searchsorted(self._ends, stop, side="left")) + 1
