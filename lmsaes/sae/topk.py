"""TopK: the k largest pre-activations of each row fire (Gao et al. 2024, arXiv 2406.04093)."""

from typing import Literal, overload

import numpy as np
import torch
from torch import Tensor

from lmsaes.sae.config import TopKConfig
from lmsaes.sae.shards import row_cuts
from lmsaes.sae.sparse.rows import SparseRows
from lmsaes.sae.topk_family import TopKFamily

_NARROW = 1 << 13  # features: of wider SAEs torch's selection is as fast
_IN_CACHE = 1 << 18  # pre-activations that are looked through again while a core still holds them


class TopK(TopKFamily):
    """f = relu(topk(W_enc·x + b_enc)),  x̂ = W_decᵀ·f + b_dec, decoder rows of unit norm."""

    config_type = TopKConfig

    def activations(self, x: Tensor, features: slice | Tensor | None = None) -> Tensor:
        return self.encode(x, features).dense()

    @overload
    def encode(
        self, x: Tensor, features: slice | Tensor | None = None, *, dense: Literal[False] = False
    ) -> SparseRows: ...
    @overload
    def encode(
        self, x: Tensor, features: slice | Tensor | None = None, *, dense: Literal[True]
    ) -> Tensor: ...
    def encode(
        self, x: Tensor, features: slice | Tensor | None = None, *, dense: bool = False
    ) -> SparseRows | Tensor:
        """As in `SAE.encode`. Which features fire depends on all of them, so a subset costs as
        much as the whole.
        """
        pre, k = self.linear(x), min(self.k, self.features)
        if self.shards.features.size > 1:
            cuts = row_cuts(top_of_rows(pre, k)[0].detach(), self.k, self.shards.features)
            pre = pre.where(~(pre < cuts[:, -1:]), 0)
        rows = positive_top_of_rows(pre, k)
        if features is not None:
            rows = rows.columns(features)
        return rows.dense() if dense else rows

    def select(self, pre: Tensor) -> SparseRows:
        values, indices = top_of_rows(pre, min(self.k, self.features))
        entries = SparseRows.from_topk(values, indices, self.features)
        if self.shards.features.size == 1:
            return entries
        cuts = row_cuts(values, self.k, self.shards.features)
        return entries.where(~(values < cuts[:, -1:]).flatten())  # NaN stays: it is to be found


def positive_top_of_rows(pre: Tensor, k: int) -> SparseRows:
    """Of the k largest values of each row those above 0, columns ascending.

    On a CPU without sorting, where there are few features: the k-th largest of a row's group maxima
    is a floor that k entries reach and few others, so one pass collects the candidates, and the
    rows with more than k of them are cut once more, of equal ones to the lower columns.
    """
    narrow = pre.device.type == "cpu" and pre.shape[1] <= _NARROW
    if narrow and pre.dtype == torch.float32 and not pre.requires_grad:
        found = _above_floors(pre.numpy(), k)
        if found is not None:
            return found
    values, indices = top_of_rows(pre, k)
    indices, order = indices.sort(dim=1)
    rows = SparseRows.from_topk(values.gather(1, order), indices, pre.shape[1])
    return rows.where(rows.values > 0)


def _above_floors(pre: np.ndarray, k: int) -> SparseRows | None:
    """`positive_top_of_rows`; None where groups would not help, or values are NaN."""
    rows, features = pre.shape
    size = 1
    while features % (2 * size) == 0 and features // (2 * size) >= 4 * k:
        size *= 2
    if size < 4 or features % 8 or not rows:
        return None
    found: list[np.ndarray] = []
    step = max(1, _IN_CACHE // features)
    for first in range(0, rows, step):
        block = pre[first : first + step]
        maxima = block
        for _ in range(size.bit_length() - 1):  # group g holds columns g, g + groups, …
            half = maxima.shape[1] // 2
            maxima = np.maximum(maxima[:, :half], maxima[:, half:])
        if np.isnan(maxima).any():
            return None
        cut = maxima.shape[1] - k
        floors = np.partition(maxima, cut, axis=1)[:, cut, None]
        floors = np.maximum(floors, np.finfo(np.float32).smallest_subnormal)
        found.append(_places(block >= floors) + first * features)
    places = np.concatenate(found)
    values = pre.reshape(-1).take(places)
    bounds = np.searchsorted(places, np.arange(rows + 1) * features)
    if len(over := np.flatnonzero(np.diff(bounds) > k)):
        keep = _cut(values, bounds, over, k)
        places, values = places[keep], values[keep]
        bounds = np.concatenate([[0], np.cumsum(keep)])[bounds]
    return SparseRows(
        torch.from_numpy(bounds),
        torch.from_numpy(places % features),
        torch.from_numpy(values),
        features,
    )


def _places(mask: np.ndarray) -> np.ndarray:
    """Where a mask with few entries is true, eight columns at a time: `np.flatnonzero`."""
    words = mask.view(np.uint64).reshape(-1)
    some = np.flatnonzero(words != 0)
    inside = np.flatnonzero(mask.reshape(-1, 8)[some])
    return some[inside >> 3] * 8 + (inside & 7)


def _cut(values: np.ndarray, bounds: np.ndarray, over: np.ndarray, k: int) -> np.ndarray:
    """Which entries stay, bool: of rows `over` the k largest, of equal ones the first."""
    counts = np.diff(bounds)[over]
    width = int(counts.max())
    inside = np.arange(width) < counts[:, None]
    table = np.full(inside.shape, -np.inf, np.float32)
    at = (bounds[over][:, None] + np.arange(width))[inside]
    table[inside] = values[at]
    cut = np.partition(table, width - k, axis=1)[:, width - k, None]
    stays = table >= cut
    for row in np.flatnonzero(stays.sum(1) > k):  # ties are rare
        tied = np.flatnonzero(table[row] == cut[row])
        stays[row, tied[k - int(stays[row].sum()) :]] = False
    keep = np.ones(len(values), bool)
    keep[at] = stays[inside]
    return keep


def top_of_rows(pre: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest values of each row and their columns, both [rows, k], in no order.

    On a CPU torch's selection copies every entry, which takes an eighth of the encoder's time.
    Columns g, g + n, g + 2n, … form group g of n. The k groups with the largest maxima hold the k
    largest entries: whatever else a group would offer lies below k maxima. So a selection among
    the maxima and one among these groups' entries do, and again in the same way.
    """
    rows, features = pre.shape
    size = 1
    while 8 * size * size * k <= features and features % (2 * size) == 0:  # as measured
        size *= 2
    if pre.is_cuda or size < 4:
        values, indices = pre.topk(k, dim=1, sorted=False)
        return values, indices
    groups = pre.view(rows, size, features // size)
    _, best = top_of_rows(groups.amax(1), k)
    candidates = groups.gather(2, best[:, None].expand(rows, size, k)).reshape(rows, size * k)
    values, places = top_of_rows(candidates, k)
    return values, places // k * groups.shape[2] + best.gather(1, places % k)
