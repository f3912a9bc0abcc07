"""Products that touch only the features that fire.

A trained SAE has about 1 % of its features active on a token. With `S` [rows, features] sparse,
a training step needs four products, and none of them needs S dense:

    decode              S · W_dec                    [rows, d]
    value gradients     (G · W_decᵀ) at S's entries  [nnz]
    decoder gradient    Sᵀ · G                       [features, d]
    encoder gradient    dSᵀ · x                      [features, d]

G [rows, d] is the gradient at the reconstruction. `sparse_decode` and `linear_at` are autograd
functions, so losses are written as formulas and their gradients are exact, whatever is added to
the loss.
"""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor

from lmsaes.sae.sparse_rows import SparseRows


def sparse_decode(features: SparseRows, W_dec: Tensor) -> Tensor:
    """Sum of the active features' rows of `W_dec` [features, d], weighted by their values.

    Returns [rows, d]; differentiable in `features.values` and `W_dec`.
    """
    arguments = (features.values, W_dec, features.offsets, features.indices)
    return cast(Tensor, _Decode.apply(*arguments))  # pyright: ignore[reportUnknownMemberType]


def linear_at(entries: SparseRows, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The values of `x · weightᵀ + bias` at the given entries, differentiable in weight and bias.

    `entries.values` must already hold them (they were computed to find the entries); only the
    gradient is this function's work. `x` [rows, d] gets none: it is data. Returns [nnz].
    """
    arguments = (weight, bias, x, entries.offsets, entries.indices, entries.values)
    return cast(Tensor, _LinearAt.apply(*arguments))  # pyright: ignore[reportUnknownMemberType]


def linear_from(pre: Tensor, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`pre` = x · weightᵀ + bias as it is, differentiable in weight and bias; [rows, features]."""
    arguments = (weight, bias, x, pre)
    return cast(Tensor, _LinearFrom.apply(*arguments))  # pyright: ignore[reportUnknownMemberType]


def rows_product(offsets: Tensor, indices: Tensor, values: Tensor, dense: Tensor) -> Tensor:
    """S · dense for S in compressed rows; dense [features, d], result [rows, d]."""
    return torch.nn.functional.embedding_bag(
        indices, dense, offsets, mode="sum", per_sample_weights=values, include_last_offset=True
    )


def columns_product(
    offsets: Tensor, indices: Tensor, values: Tensor, dense: Tensor, features: int
) -> Tensor:
    """Sᵀ · dense for S [rows, features] in compressed rows; dense [rows, d], result [features, d].

    S's compressed rows are Sᵀ's compressed columns, so nothing is sorted or copied.
    """
    transposed = torch.sparse_csc_tensor(  # pyright: ignore[reportUnknownMemberType]
        offsets, indices, values, (features, dense.shape[0]), check_invariants=False
    )
    return transposed @ dense


def products_at(offsets: Tensor, indices: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """(left · rightᵀ) at the given entries; left [rows, d], right [features, d], result [nnz]."""
    pattern = torch.sparse_csr_tensor(  # pyright: ignore[reportUnknownMemberType]
        offsets,
        indices,
        torch.zeros(indices.shape[0], dtype=left.dtype, device=left.device),
        (left.shape[0], right.shape[0]),
        check_invariants=False,
    )
    sampled_addmm = cast(Callable[..., Tensor], torch.sparse.sampled_addmm)  # pyright: ignore[reportUnknownMemberType]
    return sampled_addmm(pattern, left, right.T, beta=0.0).values()


def column_sums(indices: Tensor, values: Tensor, features: int) -> Tensor:
    """The sum of each column's entries, [features]."""
    return torch.zeros(features, dtype=values.dtype, device=values.device).index_add_(
        0, indices, values
    )


def row_norms(weight: Tensor) -> Tensor:
    """The Euclidean norm along the last dimension."""
    return torch.linalg.vector_norm(weight, dim=-1)


class _Decode(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, W_dec: Tensor, offsets: Tensor, indices: Tensor):
        ctx.save_for_backward(values, W_dec, offsets, indices)
        return rows_product(offsets, indices, values, W_dec)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor):
        values, W_dec, offsets, indices = ctx.saved_tensors
        gradient = gradients[0].contiguous()
        to_values = to_decoder = None
        if ctx.needs_input_grad[0]:
            to_values = products_at(offsets, indices, gradient, W_dec)
        if ctx.needs_input_grad[1]:
            to_decoder = columns_product(offsets, indices, values, gradient, W_dec.shape[0])
        return to_values, to_decoder, None, None


class _LinearAt(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        weight: Tensor,
        bias: Tensor,
        x: Tensor,
        offsets: Tensor,
        indices: Tensor,
        values: Tensor,
    ):
        ctx.save_for_backward(x, offsets, indices)
        ctx.features = weight.shape[0]
        return values.to(weight.dtype, copy=True)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor):
        x, offsets, indices = ctx.saved_tensors
        gradient = gradients[0].contiguous()
        to_weight = columns_product(offsets, indices, gradient, x, ctx.features)
        to_bias = column_sums(indices, gradient, ctx.features)
        return to_weight, to_bias, None, None, None, None


class _LinearFrom(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, bias: Tensor, x: Tensor, pre: Tensor):
        ctx.save_for_backward(x)
        return pre.to(weight.dtype) if pre.dtype != weight.dtype else pre.view_as(pre)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor):
        (x,) = ctx.saved_tensors
        return gradients[0].T @ x, gradients[0].sum(0), None, None
