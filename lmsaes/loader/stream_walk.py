"""A way through a stream of rows: what is in the pool, and what is computed into it next.

A window's rows are handed out while a thread computes the group that the next window draws from,
too. Rows that are there have their numbers along the stream; a ring says where each lies.
"""

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from contextlib import suppress
from dataclasses import dataclass
from threading import Event
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from lmsaes.loader.order import PARTS, Dealer, EpochOrder
from lmsaes.loader.windows import LoaderStats

_SECONDS_BETWEEN_LOOKS = 0.1


@dataclass(frozen=True)
class Chunk:
    """Rows that were computed together: by hook, [n, d_model].

    start: from where their source begins again with this chunk, as plain JSON.
    """

    rows: dict[str, Tensor]
    start: Any


class RowStream(Protocol):
    """A source of rows without end."""

    @property
    def widths(self) -> Mapping[str, int]:
        """d_model of each hook."""
        ...

    @property
    def dtype(self) -> torch.dtype: ...

    @property
    def context_rows(self) -> int:
        """Rows of a context, which stand beside each other, about."""
        ...

    @property
    def identity(self) -> str:
        """The same for streams of the same rows."""
        ...

    def chunks(self, start: Any | None) -> Iterator[Chunk]:
        """From a chunk's `start`, or from the first on."""
        ...


def groups_of(order: EpochOrder, window: int) -> range:
    """The groups that a window draws from."""
    return range(1) if order.fits else range(window - PARTS + 1, window + 1)


def window_of(order: EpochOrder, position: int) -> int:
    """The window that a global position lies in."""
    return min(position // order.window_rows, order.windows - 1)


class Stopped(Exception):
    """The user asked to stop while the pool was filled."""


class StreamWalk:
    """A walk from a global position on.

    reader: stands at the first row of the groups that the position's window draws from. rows: that
    the pool holds. `Stopped` is raised where `asked_to_stop` says so before they are there.
    """

    def __init__(
        self,
        reader: "Reader",
        order: EpochOrder,
        position: int,
        rows: int,
        device: torch.device,
        stats: LoaderStats,
        asked_to_stop: Callable[[], bool],
        advance: Callable[[int], None],
    ) -> None:
        self.reader, self._order, self._stats = reader, order, stats
        self._asked_to_stop = asked_to_stop
        self.tables = {
            hook: torch.empty(rows, width, dtype=reader.stream.dtype, device=device)
            for hook, width in reader.stream.widths.items()
        }
        self._device = device
        self._free = np.arange(rows)
        # rows in the pool lie within nine groups: this is a ring by their numbers
        self._slots = np.full(rows if order.fits else PARTS * (PARTS + 1) * order.part, -1)
        self._closed = Event()
        self._thread = ThreadPoolExecutor(1, "compute rows")
        self._begins: dict[int, tuple[Any | None, int]] = {}  # where each group's rows begin
        self._number = window_of(order, position)
        self._dealer = Dealer(order, np.arange)
        self._window = self._dealer.window(self._number)
        self._taken = position - self._number * order.window_rows
        wanted = np.sort(np.concatenate([self._window, *self._dealer.laid_aside()]))
        try:
            for group in groups_of(order, self._number):
                for rows_here in self._compute(group, wanted):
                    advance(rows_here)
                    if asked_to_stop():
                        raise Stopped
            self._coming = self._ahead()
        except BaseException:
            self.close()
            raise

    def slots_in_order(self) -> np.ndarray:
        """Where the rows lie that are still to be handed out, in the order of the stream."""
        rows = np.sort(np.concatenate([self._window[self._taken :], *self._dealer.laid_aside()]))
        return self._slots[rows % len(self._slots)]

    def begin_at(self, position: int) -> tuple[Any | None, int]:
        """A chunk's start and the rows after it to pass over: where a reader has to begin for a
        walk from `position`, in the window at hand or at its end.
        """
        return self._begins[groups_of(self._order, window_of(self._order, position))[0]]

    def take(self, rows: int) -> np.ndarray | None:
        """Where the next rows lie, `rows` of them or what is left of the window, until the next
        call; None where the user asked to stop before they were there.
        """
        if self._taken == len(self._window):
            while not self._coming.done():
                if self._asked_to_stop():
                    return None
                self._wait()
            self._coming.result()
            # only now, as the thread took from what was free
            self._free = np.append(self._free, self._slots[self._window % len(self._slots)])
            self._number += 1
            self._window, self._taken = self._dealer.window(self._number), 0
            self._coming = self._ahead()
        chosen = self._window[self._taken : self._taken + rows]
        self._taken += len(chosen)
        return self._slots[chosen % len(self._slots)]

    def close(self) -> None:
        self._closed.set()
        self._thread.shutdown(cancel_futures=True)
        self.reader.close()

    def _ahead(self) -> "Future[None]":
        """Has the group computed that the next window draws from, too."""
        following = self._number + 1
        for group in [g for g in self._begins if g < following - PARTS]:
            del self._begins[group]
        if following < self._order.windows:
            return self._thread.submit(self._compute_all, following)
        nothing: Future[None] = Future()
        nothing.set_result(None)
        return nothing

    def _wait(self) -> None:
        begun = time.perf_counter()
        with suppress(NotYet):
            self._coming.exception(_SECONDS_BETWEEN_LOOKS)
        self._stats.seconds_waited += time.perf_counter() - begun

    def _compute_all(self, group: int) -> None:
        for _ in self._compute(group, None):
            if self._closed.is_set():
                return

    def _compute(self, group: int, wanted: np.ndarray | None) -> Iterator[int]:
        """Brings a group's rows into the pool, or those of them that are `wanted`; how many it has
        come past, piece by piece.
        """
        begun = time.perf_counter()
        ((first, stop),) = self._order.line(group, group)
        self._begins[group] = self.reader.place
        for piece in self.reader.take(stop - first):
            numbers = np.arange(first, first + len(next(iter(piece.values()))))
            first += len(numbers)
            kept = np.ones(len(numbers), bool) if wanted is None else _among(numbers, wanted)
            self._put(numbers[kept], piece, kept)
            yield len(numbers)
        self._stats.fills += 1
        self._stats.seconds_filling += time.perf_counter() - begun

    def _put(self, numbers: np.ndarray, piece: dict[str, Tensor], kept: np.ndarray) -> None:
        slots, self._free = self._free[: len(numbers)], self._free[len(numbers) :]
        self._slots[numbers % len(self._slots)] = slots
        places = torch.from_numpy(slots).to(self._device)
        for hook, table in self.tables.items():
            rows = piece[hook]
            if not kept.all():
                rows = rows[torch.from_numpy(kept).to(rows.device)]
            table[places] = rows.to(self._device)
            self._stats.bytes_read += rows.nbytes


def _among(numbers: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Which of `numbers` are among `wanted`, which is sorted."""
    places = np.searchsorted(wanted, numbers)
    return wanted[np.minimum(places, len(wanted) - 1)] == numbers


class Reader:
    """The rows of a stream, one after the other."""

    def __init__(self, stream: RowStream, start: Any | None, skip: int) -> None:
        self.stream = stream
        self._chunks = stream.chunks(start)
        self._chunk = Chunk({}, start)
        self._size, self._taken = 0, 0
        for _ in self.take(skip):
            pass

    @property
    def start(self) -> Any | None:
        """Of the chunk that was read last."""
        return self._chunk.start

    @property
    def place(self) -> tuple[Any | None, int]:
        """A chunk's start, and the rows after it that were taken already."""
        return self._chunk.start, self._taken

    def take(self, rows: int) -> Generator[dict[str, Tensor]]:
        """The next rows, by hook, in pieces."""
        while rows > 0:
            if self._taken == self._size:
                self._chunk, self._taken = next(self._chunks), 0
                self._size = len(next(iter(self._chunk.rows.values())))
            part = slice(self._taken, min(self._taken + rows, self._size))
            self._taken = part.stop
            rows -= part.stop - part.start
            if part.stop > part.start:
                yield {hook: tensor[part] for hook, tensor in self._chunk.rows.items()}

    def close(self) -> None:
        if isinstance(self._chunks, Generator):
            self._chunks.close()
