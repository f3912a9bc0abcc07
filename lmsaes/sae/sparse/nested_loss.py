"""Errors of reconstructions by growing parts of the same active features, in one sparse product."""

from typing import Any, cast

import torch
from torch import Tensor

from lmsaes.parallel import Collectives
from lmsaes.sae.sparse.ops import sparse_decode
from lmsaes.sae.sparse.rows import SparseRows


def nested_error(
    features: SparseRows,
    bounds: Tensor,
    W_dec: Tensor,
    b_dec: Tensor,
    target: Tensor,
    ranks: Collectives,
) -> tuple[Tensor, Tensor]:
    """What the first entries of each row miss of `target` [rows, d], for several ends.

    `bounds` int64 [rows, levels + 1] cuts each row's entries: level j takes those from
    `bounds[:, 0]` (the row's first) to `bounds[:, j + 1]`, the last level all of them. Each entry
    is multiplied once, as a row of its own part; the levels are running sums of the parts. `ranks`
    are those that the features are spread over, each with its entries' bounds.

    Returns the squared error, summed over rows and dimensions and averaged over levels, and the
    residual of the last level [rows, d], which carries no graph.
    """
    rows, levels = bounds.shape[0], bounds.shape[1] - 1
    offsets = torch.cat([bounds[:, :-1].reshape(-1), features.offsets[-1:]])
    parts = ranks.sum(sparse_decode(features.regrouped(offsets), W_dec))
    parts = parts.view(rows, levels, W_dec.shape[1])
    error, residual = cast(
        tuple[Tensor, Tensor],
        _NestedError.apply(parts, target - b_dec),  # pyright: ignore[reportUnknownMemberType]
    )
    return error / levels, residual


class _NestedError(torch.autograd.Function):
    """Σ over levels j of ‖base − part_0 − … − part_j‖², and the last difference.

    Few passes over [rows, levels, d]: autograd's running sums, squares and derivatives make many.
    """

    @staticmethod
    def forward(ctx: Any, parts: Tensor, base: Tensor):
        residuals = torch.empty_like(parts)
        left = base
        for level in range(parts.shape[1]):
            left = torch.sub(left, parts[:, level], out=residuals[:, level])
        error, last = torch.linalg.vector_norm(residuals).square(), left.clone()
        # A part is in all levels from its own on: its gradient is the sum of their residuals.
        for level in range(parts.shape[1] - 2, -1, -1):
            residuals[:, level] += residuals[:, level + 1]
        ctx.save_for_backward(residuals)
        ctx.mark_non_differentiable(last)
        return error, last

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor):
        (sums,) = ctx.saved_tensors
        to_parts = sums * (-2 * gradients[0])
        return to_parts, -to_parts[:, 0]
