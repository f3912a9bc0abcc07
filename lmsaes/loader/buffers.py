"""Memory for batches, used again when nobody holds the batch any more.

A batch of a few megabytes is fresh memory each time, as the C library sees it, and the system
clears and maps every page of it (docs/notes/experiments.md has what that costs).
"""

import math
import weakref

import numpy as np
import torch
from torch import Tensor


class BatchMemory:
    """Hands out uninitialized tensors, and takes their memory back when the last view is gone."""

    def __init__(self, kept: int, pinned: bool) -> None:
        """kept: the most pieces of a size to keep. pinned: for a GPU to read from; torch keeps such
        memory, and a GPU's own, itself.
        """
        self._kept, self._pinned = kept, pinned
        self._free: dict[int, list[np.ndarray]] = {}

    def like(self, table: Tensor, rows: int) -> Tensor:
        """A tensor of the table's kind with so many rows, on the table's device."""
        shape, dtype = (rows, *table.shape[1:]), table.dtype
        if self._pinned or table.device.type != "cpu":
            return torch.empty(shape, dtype=dtype, device=table.device, pin_memory=self._pinned)
        size = math.prod(shape) * table.itemsize
        free = self._free.setdefault(size, [])
        memory = free.pop() if free else np.empty(size, np.uint8)
        # A view of its own, which lives as long as any tensor of the batch: torch holds on to it.
        view = memory[:]
        weakref.finalize(view, self._take_back, memory).atexit = False
        return torch.from_numpy(view).view(dtype).view(shape)

    def _take_back(self, memory: np.ndarray) -> None:
        free = self._free[memory.nbytes]
        if len(free) < self._kept:
            free.append(memory)
