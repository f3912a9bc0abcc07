"""Where the rest of an SAE's features, or of a batch's rows, is while several processes train it.

    features   each rank holds every size-th feature and sees all rows:
               reconstructions are added up, cuts are taken over all ranks
    rows       each rank holds all features and sees its share of the rows: what a loss takes from
               the whole batch (cuts, ratios, L0) is taken over all ranks; gradients are added up
               by whoever trains

On a rank of its own everything is here and each method gives back what it is given, so that a loss
is written once.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lmsaes.parallel import Collectives, OneRank


class Shards:
    """The ranks among which features or rows are shared out, and this batch's share of the rows."""

    def __init__(
        self, features: Collectives | None = None, rows: Collectives | None = None
    ) -> None:
        self.features = features or OneRank()
        self.rows = rows or OneRank()
        self._rows_here = self._batch_rows = 0
        self.places = torch.empty(0, dtype=torch.int64)

    def __deepcopy__(self, memo: dict[int, Any]) -> Shards:
        return self  # a copy of an SAE is spread over the same ranks

    @property
    def entries(self) -> Collectives:
        """The ranks among which a batch's pre-activations are shared out, in either way."""
        return self.features if self.features.size > 1 else self.rows

    def begin_batch(self, places: Tensor, rows: int) -> None:
        """The batch that comes next has so many rows, of which those at `places` int64 [rows here]
        are on this rank.
        """
        self.places, self._rows_here, self._batch_rows = places, places.shape[0], rows

    def batch_rows(self, rows_here: int) -> int:
        """How many rows a batch has on all ranks that has `rows_here` on this one."""
        return rows_here if self.rows.size == 1 else self._batch_rows

    def row_sum(self, values: Tensor) -> Tensor:
        """Sums over the rows here made sums over all rows, in proportion to the rows here; without
        a gradient. Ratios of two of them are those of the whole batch.
        """
        if self.rows.size == 1:
            return values.detach()
        return self.rows.sum(values.detach()) * self._share

    def row_mean(self, values: Tensor) -> Tensor:
        """Means over the rows here made means over all rows; the gradient is that of the rows here,
        whose loss is weighted by their share.
        """
        if self.rows.size == 1:
            return values
        here = values.detach()
        return values + (self.rows.sum(here * self._share) - here)

    @property
    def _share(self) -> float:
        return self._rows_here / self._batch_rows


ALONE = Shards()
"""Everything is here."""


def row_cuts(values: Tensor, k: int, ranks: Collectives) -> Tensor:
    """The k largest of each row of all ranks, largest first: [rows, k], −∞ where there are fewer.

    `values` [rows, n ≤ k] are the largest of this rank, in any order: a row's k largest are among
    every rank's k largest, so that the result is exact, and no column travels.
    """
    padded = torch.nn.functional.pad(values, (0, k - values.shape[1]), value=-torch.inf)
    together = ranks.gather(padded).permute(1, 0, 2).reshape(values.shape[0], ranks.size * k)
    return together.topk(k, dim=1).values


def batch_cut(largest: Tensor, count: int, ranks: Collectives) -> tuple[Tensor, bool]:
    """The smallest positive value among the `count` largest of all ranks ([], 0 where none is
    positive), and whether every rank has sent enough to know it.

    `largest` [n] are this rank's largest, padded with zeros; every rank sends equally many.
    """
    together = ranks.gather(largest)
    flat = together.flatten()
    cut = flat.topk(min(count, flat.shape[0])).values[-1] if flat.shape[0] else flat.new_zeros(())
    enough = not (together.amin(1) > cut).any()
    if cut <= 0:  # fewer are positive than may fire
        positive = flat[flat > 0]
        cut = positive.min() if positive.shape[0] else flat.new_zeros(())
    return cut, enough
