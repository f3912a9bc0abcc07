"""The pre-activations that a loss can touch, sparse where few of them matter, dense where many do.

A loss is written once, as elementwise functions of `values` and three sums. Which of the two forms
it runs on is decided per batch by how many entries lie above the floor; the numbers are the same.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from lmsaes.sae.sparse.ops import column_sums, linear_at, linear_from, product, sparse_decode
from lmsaes.sae.sparse.rows import SparseRows

# Share of entries under which the sparse form is the faster one. Both forms' costs grow alike with
# rows, width and number of features, so that their crossing hardly moves: between 1/6 and 1/5 for
# d from 256 to 1024 (docs/notes/experiments.md; `benchmarks/train_step.py --crossover` finds it
# elsewhere). It is a constant and not measured in each run, so that a run gives the same bits
# again. On a GPU `nonzero` would make the host wait in every step.
SPARSE_BELOW = {"cpu": 1 / 6}
# Rows that are counted to estimate the share.
_SAMPLE = 64


@dataclass(frozen=True, slots=True)
class SparseActiveSet:
    """Entries above the floor alone; all others are taken to contribute nothing."""

    values: Tensor  # [nnz]
    rows: SparseRows  # where they are; its values carry no graph

    def at(self, per_feature: Tensor) -> Tensor:
        """A feature's number ([features]) at each of its entries."""
        return per_feature.index_select(0, self.rows.indices)

    def decode(self, activations: Tensor, W_dec: Tensor) -> Tensor:
        """activations (like `values`) · W_dec, [rows, d_out]."""
        return sparse_decode(self.rows.with_values(activations), W_dec)

    def column_sums(self, values: Tensor) -> Tensor:
        """The sum of each feature's entries, [features]."""
        return column_sums(self.rows.indices, values, self.rows.features)


@dataclass(frozen=True, slots=True)
class DenseActiveSet:
    """Every entry."""

    values: Tensor  # [rows, features]
    matmul_dtype: torch.dtype  # of the product

    def at(self, per_feature: Tensor) -> Tensor:
        """A feature's number ([features]), to be broadcast over rows."""
        return per_feature

    def decode(self, activations: Tensor, W_dec: Tensor) -> Tensor:
        """activations (like `values`) · W_dec, [rows, d_out]."""
        return product(activations, W_dec, self.matmul_dtype)

    def column_sums(self, values: Tensor) -> Tensor:
        """The sum of each feature's entries, [features]."""
        return values.sum(0)


def select_active(
    floor: Tensor | float, pre: Tensor, x: Tensor, W_enc: Tensor, b_enc: Tensor
) -> SparseActiveSet | DenseActiveSet:
    """The entries of `pre` [rows, features] above `floor` (a number or [features]).

    Their values are differentiable in W_enc and b_enc; dense products, and those of their
    gradients, are made in the precision of `pre`.
    """
    limit = SPARSE_BELOW.get(pre.device.type, 0.0)
    if limit >= 1 or (limit > 0 and _share_above(floor, pre) <= limit):
        rows = SparseRows.above(pre, floor).ordered()
        return SparseActiveSet(linear_at(rows, x, W_enc, b_enc), rows)
    return DenseActiveSet(linear_from(pre, x, W_enc, b_enc), pre.dtype)


def _share_above(floor: Tensor | float, pre: Tensor) -> float:
    sample = pre[:: max(1, pre.shape[0] // _SAMPLE)]
    return int(torch.count_nonzero(sample > floor)) / max(sample.numel(), 1)
