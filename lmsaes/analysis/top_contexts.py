"""The pass over the cache: what each feature does, in memory that grows with features alone.

A chunk of contexts goes in as SparseRows; counters, histograms and each feature's top contexts
with their activations token by token come out. When a context enters a feature's top list its
activations are at hand, so nothing is read or encoded twice.
"""

import numpy as np
import torch
from torch import Tensor

from lmsaes.sae import SparseRows

BINS = 64


class FeatureStatistics:
    """Counters, histograms and top contexts of `features` features.

    A context ranks by its largest activation of the feature; of equal ones the earlier first.
    """

    def __init__(self, features: int, context_size: int, top: int, device: torch.device) -> None:
        self.features, self.context_size, self.top = features, context_size, top
        self.firings = torch.zeros(features, dtype=torch.int64, device=device)
        self.sums = torch.zeros(features, dtype=torch.float64, device=device)
        self.maximum = torch.zeros(features, device=device)
        # Bins are equal parts of (0, 2^exponent]; when a larger value comes, neighbors merge.
        self._histogram = torch.zeros((features, BINS), dtype=torch.int64, device=device)
        self._exponent = torch.full((features,), _NEVER, dtype=torch.int64, device=device)
        self._values = torch.zeros((features, top), device=device)
        self._contexts = torch.full((features, top), -1, dtype=torch.int64, device=device)
        # A feature owns `top` slots, each with one context's activations token by token. They stay
        # in the slot they were put in, and the ranking holds slot numbers: a newcomer that shifts
        # all ranks moves numbers, not rows of activations, and takes the slot of the one it drops.
        self._slots = torch.arange(features * top, device=device).reshape(features, top)
        # Each in float16 over a power of two of its own, by which its peak comes to lie just below
        # float16's end: values of 1e6 and of 1e-6 keep all of float16's digits.
        self._activations = torch.zeros(
            (features * top, context_size), dtype=torch.float16, device=device
        )
        self._exponents = torch.zeros(features * top, dtype=torch.int32, device=device)

    def add(self, first: int, rows: SparseRows) -> None:
        """Takes the next chunk: whole contexts, of which `first` is the number of the first."""
        contexts = rows.rows // self.context_size
        row = rows.row_ids()
        context, position = row // self.context_size, row % self.context_size
        feature, value = rows.indices, rows.values.float()
        self.firings += torch.bincount(feature, minlength=self.features)
        self.sums.index_add_(0, feature, value.double())
        cell = feature * contexts + context
        peaks = torch.zeros(self.features * contexts, device=value.device)
        peaks.scatter_reduce_(0, cell, value, "amax")
        peaks = peaks.reshape(self.features, contexts)
        highest = peaks.amax(1)
        self.maximum = torch.maximum(self.maximum, highest)
        self._count(feature, value, highest)
        self._rank(first, peaks, highest, cell, position, value)

    def _count(self, feature: Tensor, value: Tensor, highest: Tensor) -> None:
        """Adds values to the histograms, whose ranges grow by doubling where they must."""
        needed = torch.where(highest > 0, torch.ceil(torch.log2(highest)).long(), self._exponent)
        growing = needed > self._exponent
        fresh = growing & (self._exponent == _NEVER)
        self._exponent = torch.where(fresh, needed, self._exponent)
        while (behind := (needed > self._exponent).nonzero().squeeze(-1)).numel():
            half = self._histogram[behind].reshape(-1, BINS // 2, 2).sum(-1)
            self._histogram[behind] = torch.cat([half, torch.zeros_like(half)], 1)
            self._exponent[behind] += 1
        width = torch.exp2((self._exponent[feature]).double()) / BINS
        # a bin holds its upper end: (0, w], (w, 2w], …
        bins = (torch.ceil(value.double() / width) - 1).clamp(0, BINS - 1).long()
        self._histogram.view(-1).index_add_(0, feature * BINS + bins, torch.ones_like(feature))

    def _rank(
        self,
        first: int,
        peaks: Tensor,
        highest: Tensor,
        cell: Tensor,
        position: Tensor,
        value: Tensor,
    ) -> None:
        """Lets the chunk's contexts into the top lists of features they beat."""
        changed = (highest > self._values[:, -1]).nonzero().squeeze(-1)
        if len(changed) == 0:
            return
        contexts = peaks.shape[1]
        numbers = torch.arange(first, first + contexts, device=peaks.device)
        values = torch.cat([self._values[changed], peaks[changed]], 1)
        ids = torch.cat([self._contexts[changed], numbers.expand(len(changed), -1)], 1)
        # Earlier contexts stand first, so a stable sort lets them win ties.
        values, order = values.sort(dim=1, descending=True, stable=True)
        order = order[:, : self.top]
        came = order >= self.top
        stayed = torch.zeros(order.shape, dtype=torch.int8, device=order.device)
        stayed.scatter_reduce_(1, order.clamp(max=self.top - 1), (~came).to(torch.int8), "amax")
        slots = self._slots[changed]
        # As many left as came in each row, so the two lists pair up in row order.
        freed = slots[stayed == 0]
        slots = slots.gather(1, order.clamp(max=self.top - 1))
        slots[came] = freed
        self._values[changed] = values[:, : self.top]
        self._contexts[changed] = ids.gather(1, order)
        self._slots[changed] = slots
        self._activations[freed] = 0
        self._exponents[freed] = torch.frexp(values[:, : self.top][came]).exponent
        where = changed[came.nonzero()[:, 0]] * contexts + order[came] - self.top
        slot_of_cell = torch.full((peaks.numel(),), -1, dtype=torch.int64, device=peaks.device)
        slot_of_cell[where] = freed
        slot = slot_of_cell[cell]
        wanted = slot >= 0
        slot, unit = slot[wanted], torch.exp2(_TOP - self._exponents[slot[wanted]].double())
        scaled = value[wanted].double() * unit
        self._activations[slot, position[wanted]] = scaled.half()

    def histogram(self, feature: int) -> tuple[np.ndarray, float]:
        """(counts in equal bins of (0, end], end), without the empty bins above the maximum."""
        if int(self.firings[feature]) == 0:
            return np.zeros(1, np.int64), 0.0
        counts = self._histogram[feature].cpu().numpy()
        used = int(np.flatnonzero(counts)[-1]) + 1
        return counts[:used], 2.0 ** int(self._exponent[feature]) * used / BINS

    def top_contexts(self, feature: int) -> tuple[np.ndarray, np.ndarray]:
        """(context numbers [n], activations float32 [n, context_size]), strongest first; the
        activations have float16's relative precision.
        """
        found = self._values[feature] > 0
        contexts, slots = self._contexts[feature][found], self._slots[feature][found]
        unit = torch.exp2(self._exponents[slots].double() - _TOP)[:, None]
        activations = (self._activations[slots].double() * unit).float()
        return contexts.cpu().numpy(), activations.cpu().numpy()

    def stored_contexts(self) -> Tensor:
        """Numbers of all contexts in some top list, ascending."""
        return self._contexts[self._contexts >= 0].unique()


_NEVER = -(1 << 30)
_TOP = 15  # 2^15 is half of float16's range, and no peak is rounded up to more than twice that
