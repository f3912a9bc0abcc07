"""SparseRows: a sparse matrix of feature activations in CSR form, which all stages exchange."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Entries that are worth a thread of their own: to search them takes longer than to make it.
_WORTH_A_THREAD = 2**21


@dataclass(frozen=True, slots=True)
class FeatureOrder:
    """The entries of a SparseRows once more, sorted by feature (stably): rows of its transpose.

    Feature f's entries are those at `places[offsets[f]:offsets[f + 1]]`.
    """

    offsets: Tensor  # int64 [features + 1]
    places: Tensor  # int64 [nnz]
    rows: Tensor  # int64 [nnz]: the row of each


@dataclass(frozen=True, slots=True)
class SparseRows:
    """A [rows, features] matrix in compressed-sparse-row form.

    Row r holds `values[offsets[r]:offsets[r + 1]]` at the columns `indices[…]` of the same range.
    Columns of one row are distinct; they ascend unless the maker says otherwise.
    """

    offsets: Tensor  # int64 [rows + 1]
    indices: Tensor  # int64 [nnz]
    values: Tensor  # [nnz]
    features: int
    by_feature: FeatureOrder | None = None  # where they are sorted already

    @property
    def rows(self) -> int:
        return self.offsets.shape[0] - 1

    @property
    def nnz(self) -> int:
        return self.indices.shape[0]

    @property
    def device(self) -> torch.device:
        return self.values.device

    def counts(self) -> Tensor:
        """How many entries each row has, int64 [rows]."""
        return self.offsets.diff()

    def row_ids(self) -> Tensor:
        """The row of each entry, int64 [nnz]."""
        rows = torch.arange(self.rows, device=self.device)
        return rows.repeat_interleave(self.counts(), output_size=self.nnz)

    def dense(self) -> Tensor:
        """The same matrix with its zeros, [rows, features]."""
        out = torch.zeros(self.rows, self.features, dtype=self.values.dtype, device=self.device)
        out[self.row_ids(), self.indices] = self.values
        return out

    def with_values(self, values: Tensor) -> SparseRows:
        """The same entries with other values, [nnz]."""
        return replace(self, values=values)

    def ordered(self) -> SparseRows:
        """The same with `by_feature`, which several products can then share."""
        return self if self.by_feature is not None else replace(self, by_feature=self._sorted())

    def regrouped(self, offsets: Tensor) -> SparseRows:
        """The same entries cut into other rows: at `offsets` int64 [rows + 1], ascending."""
        cut = replace(self, offsets=offsets, by_feature=None)
        if self.by_feature is None:
            return cut
        rows = cut.row_ids()[self.by_feature.places]
        return replace(cut, by_feature=replace(self.by_feature, rows=rows))

    def _sorted(self) -> FeatureOrder:
        # Two bytes are sorted in a third of the time that eight take.
        ids = torch.int16 if self.features < 2**15 else torch.int32
        indices, places = self.indices.to(ids).sort(stable=True)
        features = torch.arange(self.features + 1, dtype=ids, device=self.device)
        rows = self.row_ids().index_select(0, places)
        return FeatureOrder(torch.searchsorted(indices, features), places, rows)

    def where(self, keep: Tensor) -> SparseRows:
        """Only the entries at which `keep`, bool [nnz], is true."""
        kept_before = torch.zeros(self.nnz + 1, dtype=torch.int64, device=self.device)
        torch.cumsum(keep, 0, out=kept_before[1:])
        return SparseRows(
            kept_before[self.offsets], self.indices[keep], self.values[keep], self.features
        )

    def columns(self, chosen: slice | Tensor) -> SparseRows:
        """Only the given columns (a slice or int64 ids), numbered by their place among these."""
        ids = torch.arange(self.features, device=self.device)[chosen]
        place = torch.full((self.features,), -1, device=self.device)
        place[ids] = torch.arange(ids.shape[0], device=self.device)
        kept = self.where(place[self.indices] >= 0)
        return SparseRows(kept.offsets, place[kept.indices], kept.values, ids.shape[0])

    def to(self, device: torch.device | str) -> SparseRows:
        """The same rows on another device."""
        return SparseRows(
            self.offsets.to(device), self.indices.to(device), self.values.to(device), self.features
        )

    @staticmethod
    def from_topk(values: Tensor, indices: Tensor, features: int) -> SparseRows:
        """From `torch.topk`'s two results, both [rows, k]; columns keep the order they come in."""
        rows, k = values.shape
        offsets = torch.arange(0, rows * k + 1, k, device=values.device)
        return SparseRows(offsets, indices.reshape(-1), values.reshape(-1), features)

    @staticmethod
    def above(dense: Tensor, floor: Tensor | float) -> SparseRows:
        """The entries of `dense` [rows, features] above `floor`, a number or [features]."""
        rows, features = dense.shape
        flat = _places_above(dense.detach(), floor)
        starts = torch.arange(0, rows * features + 1, features, device=dense.device)
        values = dense.reshape(-1).index_select(0, flat)
        return SparseRows(torch.searchsorted(flat, starts), flat % features, values, features)


def _places_above(dense: Tensor, floor: Tensor | float) -> Tensor:
    """Where entries lie above the floor, counted row by row, ascending."""
    if dense.device.type != "cpu":
        return (dense > floor).flatten().nonzero().squeeze(1)
    if dense.dtype == torch.bfloat16:  # which numpy doesn't have
        return torch.from_numpy(np.flatnonzero((dense > floor).numpy()))
    numbers, bound = dense.numpy(), floor.detach().numpy() if isinstance(floor, Tensor) else floor
    rows, features = dense.shape

    def places(start: int, end: int) -> NDArray[np.int64]:
        # numpy takes a third of torch's time to compare, and half of it to find.
        found = np.flatnonzero(np.greater(numbers[start:end], bound))
        found += start * features
        return found

    workers = min(torch.get_num_threads(), dense.numel() // _WORTH_A_THREAD)
    if workers <= 1:
        return torch.from_numpy(places(0, rows))
    cuts = [rows * worker // workers for worker in range(workers + 1)]
    with ThreadPoolExecutor(workers) as pool:
        return torch.from_numpy(np.concatenate(list(pool.map(places, cuts[:-1], cuts[1:]))))
