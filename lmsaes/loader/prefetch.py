"""Batches, gathered ahead of their user and sent to the device.

windows.py: which rows, and where they are ─► gathering threads ─► device ─► user
"""

import itertools
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lmsaes.cache import BlockFiles
from lmsaes.loader.buffers import BatchMemory
from lmsaes.loader.order import EpochOrder
from lmsaes.loader.pool import Pool
from lmsaes.loader.row_filters import RowMask
from lmsaes.loader.windows import LoaderStats, Window, Windows
from lmsaes.parallel import threads_that_compute


@dataclass(frozen=True)
class PendingBatch:
    """A batch on its way to the device: a tensor per array, and the rows' numbers."""

    tensors: list[Tensor]
    rows: Tensor
    uploaded: Any  # torch.cuda.Event, or None where nothing is on its way


class Prefetcher:
    """Gathers batches from a pool and keeps the pool filled."""

    def __init__(
        self,
        arrays: Sequence[BlockFiles],
        mask: RowMask,
        pool: Pool,
        device: torch.device,
        finish: Callable[[list[Tensor]], list[Tensor]],
        stats: LoaderStats,
    ) -> None:
        """`finish`: what is made of the gathered arrays on the device."""
        self._mask, self._pool, self._stats = mask, pool, stats
        self._device, self._finish = device, finish
        self._row_bytes = sum(array.row_bytes for array in arrays)
        self._next: Windows | None = None  # of the epoch to come
        self._filler = ThreadPoolExecutor(1, "fill pool")
        workers = min(4, os.cpu_count() or 1)
        self._ahead = workers + 1
        self._gatherers = threads_that_compute(workers, 1, "gather rows")
        self._on_host = pool.device.type == "cpu"
        uploads = self._on_host and device.type == "cuda"
        self._upload = torch.cuda.Stream(device) if uploads else None
        self._memory = BatchMemory(self._ahead + 1, pinned=uploads)

    def batches(
        self,
        order: EpochOrder,
        position: int,
        end: int,
        batch_size: int,
        following: EpochOrder | None,
    ) -> Iterator[PendingBatch]:
        """The batches between two global positions of the epoch.

        following: the order of the next epoch, where there will be one.
        """
        windows = self._begin(order, position)
        ahead: deque[Future[PendingBatch]] = deque()
        cuts = itertools.pairwise([*range(position, end, batch_size), end])
        sizes = deque(order.positions(start, stop) for start, stop in cuts)
        last = time.perf_counter()
        try:
            while sizes or ahead:
                # rather hand out what is there than wait for the next window
                while sizes and len(ahead) < self._ahead and (not ahead or windows.has(sizes[0])):
                    ahead.append(self._gather(windows, sizes.popleft()))
                windows.raise_failure()  # now, and not when its rows are due
                if following is not None and windows.last_begun:
                    if windows.can_follow(following):
                        self._next = self._windows(following, 0, windows)
                    following = None
                pending: PendingBatch = self._stats.wait_for(ahead.popleft())
                now = time.perf_counter()
                self._stats.seconds, last = self._stats.seconds + now - last, now
                self._stats.rows += len(pending.rows)
                self._stats.bytes += len(pending.rows) * self._row_bytes
                yield pending
        finally:
            for batch in ahead:
                batch.cancel()
            windows.close()
            wait(ahead)

    def _begin(self, order: EpochOrder, position: int) -> Windows:
        windows, self._next = self._next, None
        if windows is not None:
            if windows.order == order and position == 0:
                return windows
            windows.close()
        return self._windows(order, position, None)

    def _windows(self, order: EpochOrder, position: int, before: Windows | None) -> Windows:
        return Windows(order, self._mask, self._pool, self._filler, self._stats, position, before)

    def deliver(self, pending: PendingBatch) -> list[Tensor]:
        """The batch, ready for the stream that its user computes on."""
        if pending.uploaded is None:
            return pending.tensors
        stream = torch.cuda.current_stream(self._device)
        stream.wait_event(pending.uploaded)
        for tensor in pending.tensors:
            tensor.record_stream(stream)
        return self._finish(pending.tensors)

    def close(self) -> None:
        if self._next is not None:
            self._next.close()
        self._filler.shutdown(cancel_futures=True)
        self._gatherers.shutdown(cancel_futures=True)

    def _gather(self, windows: Windows, size: int) -> Future[PendingBatch]:
        """Has the next `size` rows gathered, in as many pieces as they lie in windows."""
        stored = [self._memory.like(table, size) for table in self._pool.tables]
        rows = torch.empty(size, dtype=torch.int64)
        begun: list[Future[None]] = []
        done = 0
        while True:
            window, part = windows.take(size - done)
            here = slice(done, done + part.stop - part.start)
            rows[here] = torch.from_numpy(window.rows[part])
            piece = self._pool.tables, window, part, [tensor[here] for tensor in stored]
            done = here.stop
            if done == size:
                break
            begun.append(self._run(_gather, *piece))
            windows.use(begun[-1])
        last = self._run(self._gather_last_and_send, piece, begun, stored, rows)
        windows.use(last)
        return last

    def _gather_last_and_send(
        self, piece: Any, begun: list[Future[None]], stored: list[Tensor], rows: Tensor
    ) -> PendingBatch:
        """The last piece of a batch, and the batch to the device when all others are there."""
        _gather(*piece)
        for other in begun:
            other.result()
        if self._upload is None:
            moved = [tensor.to(self._device) for tensor in stored]
            return PendingBatch(self._finish(moved), rows, None)
        with torch.cuda.stream(self._upload):
            moved = [tensor.to(self._device, non_blocking=True) for tensor in stored]
            return PendingBatch(moved, rows, self._upload.record_event())

    def _run(self, task: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """On the host in the background; on a GPU, which makes nobody wait, at once."""
        if self._on_host:
            return self._gatherers.submit(task, *arguments)
        done: Future[Any] = Future()
        done.set_result(task(*arguments))
        return done


def _gather(tables: list[Tensor], window: Window, part: slice, out: list[Tensor]) -> None:
    for target, table, index in zip(out, tables, window.index, strict=True):
        torch.index_select(table, 0, index[part], out=target)
