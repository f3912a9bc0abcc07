"""The rows a loader can gather from at any one time: in the page cache, or in memory of its own.

A pool holds whole blocks. A row is found by its block's place in the pool's table, so that one
`index_select` gathers a batch from blocks of any number of files.
"""

import ctypes
import math
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from lmsaes.cache import Block, BlockFiles, Location, map_file
from lmsaes.errors import CacheError


class Pool(Protocol):
    """Blocks by number, and a table per array that holds their rows."""

    tables: list[Tensor]
    device: torch.device
    capacity: int  # blocks that fit

    def hold(self, wanted: np.ndarray, mark: Any) -> int:
        """Lets go of all blocks but `wanted` and brings in those that are missing.

        Each is checked the first time. What leaves may be overwritten when the device has come
        past `mark`. Returns the bytes that came in; raises CacheError for a damaged block.
        """
        ...

    def index(self, blocks: np.ndarray, inside: np.ndarray) -> list[Tensor]:
        """Where in each table rows are: places `inside` the blocks of these numbers."""
        ...

    def mark(self) -> Any:
        """A mark behind all gathers that the device was asked for so far."""
        ...

    def close(self) -> None: ...


def can_map(arrays: Sequence[BlockFiles], blocks: Sequence[Block]) -> bool:
    """Whether the blocks can be handed out from where the page cache holds them."""
    size = {array: array.spec.numpy_dtype.itemsize for array in arrays}
    return all(array.can_map for array in arrays) and all(
        array.locate(block).offset % size[array] == 0 for array in arrays for block in blocks
    )


class MappedPool:
    """Rows where they are: the files, mapped into memory, of which the page cache is the pool.

    A pass over each block that is to come checks it and has it read from the disk in large
    pieces; from then on its rows are memory like any other.
    """

    def __init__(
        self,
        arrays: Sequence[BlockFiles],
        blocks: Sequence[Block],
        threads: ThreadPoolExecutor,
        check: bool,
    ) -> None:
        self.device, self.capacity = torch.device("cpu"), len(blocks)
        self._blocks, self._threads, self._check = blocks, threads, check
        self._maps = [_Map(array, blocks) for array in arrays]
        self.tables = [each.table for each in self._maps]
        self._checked = np.zeros(len(blocks), bool)
        self._held = np.zeros(len(blocks), bool)

    def hold(self, wanted: np.ndarray, mark: Any) -> int:
        missing = wanted[~self._held[wanted]]
        tasks = [self._threads.submit(self._bring, int(number)) for number in missing]
        size = sum(_results(tasks))
        self._held[:] = False
        self._held[wanted] = True
        return size

    def _bring(self, number: int) -> int:
        size = 0
        for each in self._maps:
            bytes_ = each.bytes_of(number)
            each.files.bring(
                self._blocks[number], bytes_, self._check and not self._checked[number]
            )
            size += len(bytes_)
        self._checked[number] = True
        return size

    def index(self, blocks: np.ndarray, inside: np.ndarray) -> list[Tensor]:
        return [torch.from_numpy(m.first[blocks] + inside * m.stride) for m in self._maps]

    def mark(self) -> Any:
        return None

    def close(self) -> None:
        self.tables = []
        self._maps = []


class _Map:
    """One array's files in one table.

    They are mapped wherever the system likes. The table begins at the lowest of them, and its
    rows overlap: row n begins n units after the table's first byte, and every row that is stored
    begins at such a place. Only those are ever touched.
    """

    def __init__(self, files: BlockFiles, blocks: Sequence[Block]) -> None:
        self.files = files
        stored = [files.locate(block) for block in blocks]
        self._sizes = [each.bytes for each in stored]
        ends: dict[Location, int] = {}
        for each in stored:
            ends[each.path] = max(ends.get(each.path, 0), each.offset + each.bytes)
        self._mappings = {path: map_file(path, end) for path, end in ends.items()}
        places = [self._mappings[each.path].data_ptr() + each.offset for each in stored]
        lowest = min(places)
        highest = max(p + size for p, size in zip(places, self._sizes, strict=True))
        self._starts = [place - lowest for place in places]
        unit = math.gcd(files.row_bytes, *self._starts)
        span = (ctypes.c_ubyte * (highest - lowest)).from_address(lowest)
        self._memory = np.frombuffer(memoryview(span), np.uint8)
        whole = len(self._memory) // files.spec.numpy_dtype.itemsize
        values = self._memory[: whole * files.spec.numpy_dtype.itemsize]
        flat = files.spec.to_torch(values.view(files.spec.numpy_dtype))
        shape = files.spec.shape[1:]
        rows = (len(self._memory) - files.row_bytes) // unit + 1
        inner = [math.prod(shape[i + 1 :]) for i in range(len(shape))]
        self.table = flat.as_strided((rows, *shape), (unit // flat.itemsize, *inner))
        self.first = np.array(self._starts, np.int64) // unit
        self.stride = files.row_bytes // unit

    def bytes_of(self, block: int) -> np.ndarray:
        start = self._starts[block]
        return self._memory[start : start + self._sizes[block]]


class FramePool:
    """Rows in memory of the pool's own, on any device, in frames of a block each."""

    def __init__(
        self,
        arrays: Sequence[BlockFiles],
        blocks: Sequence[Block],
        threads: ThreadPoolExecutor,
        check: bool,
        device: torch.device,
        frames: int,
    ) -> None:
        self._arrays, self._blocks, self._threads, self._check = arrays, blocks, threads, check
        self.device, self.capacity = device, frames
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._block_rows = arrays[0].spec.block_contexts * arrays[0].spec.shape[0]
        self.tables = [self._memory(array, frames) for array in arrays]
        self._free = list(range(frames))[::-1]
        self._frame = np.full(len(blocks), -1, np.int64)  # of each block; -1: not here
        self._checked = np.zeros(len(blocks), bool)

    def hold(self, wanted: np.ndarray, mark: Any) -> int:
        if mark is not None:
            mark.synchronize()
        keep = np.zeros(len(self._frame), bool)
        keep[wanted] = True
        leaving = np.flatnonzero((self._frame >= 0) & ~keep)
        self._free += self._frame[leaving].tolist()
        self._frame[leaving] = -1
        missing = wanted[self._frame[wanted] < 0]
        self._grow(len(missing))
        frames = [self._free.pop() for _ in missing]
        tasks = [
            self._threads.submit(self._read, int(number), frame)
            for number, frame in zip(missing, frames, strict=True)
        ]
        try:
            size = sum(_results(tasks))
        except CacheError:
            self._free += frames
            raise
        if self._stream is not None:
            self._stream.synchronize()  # gathers are asked for on another stream
        self._frame[missing] = frames
        return size

    def _read(self, number: int, frame: int) -> int:
        check, size = self._check and not self._checked[number], 0
        for array, table in zip(self._arrays, self.tables, strict=True):
            rows = slice(frame * self._block_rows, (frame + 1) * self._block_rows)
            target = table[rows]
            if self._stream is not None:
                target = torch.empty_like(target, device="cpu", pin_memory=True)
            array.read_into(self._blocks[number], _bytes(target), check)
            if self._stream is not None:
                with torch.cuda.stream(self._stream):
                    table[rows].copy_(target, non_blocking=True)
            size += array.block_bytes
        self._checked[number] = True
        return size

    def index(self, blocks: np.ndarray, inside: np.ndarray) -> list[Tensor]:
        index = torch.from_numpy(self._frame[blocks] * self._block_rows + inside)
        if self._stream is not None:
            with torch.cuda.stream(self._stream):
                index = index.to(self.device)
            index.record_stream(torch.cuda.default_stream(self.device))
        return [index] * len(self._arrays)

    def mark(self) -> Any:
        if self._stream is None:
            return None
        return torch.cuda.current_stream(self.device).record_event()

    def _grow(self, missing: int) -> None:
        """Adds frames where filters left some blocks so few rows that more of them are needed."""
        more = missing - len(self._free)
        if more > 0:
            frames = len(self.tables[0]) // self._block_rows
            self._free = [*range(frames + more - 1, frames - 1, -1), *self._free]
            self.tables = [
                torch.cat([table, self._memory(array, more)])
                for array, table in zip(self._arrays, self.tables, strict=True)
            ]

    def _memory(self, array: BlockFiles, frames: int) -> Tensor:
        shape = (frames * self._block_rows, *array.spec.shape[1:])
        if self.device.type == "cpu":
            # numpy asks for huge pages, which are quicker to fill and to gather from
            return array.spec.to_torch(np.empty(shape, array.spec.numpy_dtype))
        dtype = array.spec.to_torch(np.empty(0, array.spec.numpy_dtype)).dtype
        return torch.empty(shape, dtype=dtype, device=self.device)

    def close(self) -> None:
        self.tables = []


def _results(tasks: Sequence[Future[int]]) -> list[int]:
    """All results; after the first failure what has not begun is left undone."""
    wait(tasks, return_when=FIRST_EXCEPTION)
    if any(task.done() and not task.cancelled() and task.exception() for task in tasks):
        for task in tasks:
            task.cancel()
        wait(tasks)
        failed = [task for task in tasks if not task.cancelled() and task.exception()]
        return [failed[0].result()]
    return [task.result() for task in tasks]


def _bytes(tensor: Tensor) -> np.ndarray:
    """A tensor's memory, uint8."""
    return tensor.view(-1).view(torch.uint8).numpy()
