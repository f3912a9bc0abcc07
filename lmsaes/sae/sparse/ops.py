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

The last two run over the entries sorted by feature. They are sorted once per step where their
maker calls `SparseRows.ordered`. On a GPU with Triton the three kinds of product are kernels of our
own (`triton_kernels.py`); the plain torch form is what they are tested against, and runs elsewhere.
Apple's GPUs have no sparse products: there S is multiplied with its zeros.
"""

import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from lmsaes.sae.sparse.rows import SparseRows

# torch warns once per process, at the first CSR tensor, that they are in beta; tests hold what is
# used of them. The first one is made here, where no other thread can meet the changed filters.
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch.sparse_csr_tensor(torch.tensor([0]), torch.tensor([]), torch.tensor([]), (0, 0))  # pyright: ignore[reportUnknownMemberType]

# Share of entries other than zero above which they are all multiplied.
_WORTH_KEEPING = 0.8

_HAS_TRITON = find_spec("triton") is not None


def uses_kernels(tensor: Tensor) -> bool:
    """Whether products with this tensor run on our Triton kernels."""
    return tensor.is_cuda and _HAS_TRITON


def lacks_sparse_products(tensor: Tensor) -> bool:
    """Whether this tensor's device has no sparse products."""
    return tensor.device.type == "mps"


def sparse_decode(features: SparseRows, W_dec: Tensor) -> Tensor:
    """Sum of the active features' rows of `W_dec` [features, d], weighted by their values.

    Returns [rows, d]; differentiable in `features.values` and `W_dec`.
    """
    values = features.values
    pattern = features.with_values(values.detach())
    return cast(Tensor, _Decode.apply(values, W_dec, pattern))  # pyright: ignore[reportUnknownMemberType]


def linear_at(entries: SparseRows, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The values of `x · weightᵀ + bias` at the given entries, differentiable in weight and bias.

    `entries.values` must already hold them (they were computed to find the entries); only the
    gradient is this function's work. `x` [rows, d] gets none: it is data. Returns [nnz].
    """
    return cast(Tensor, _LinearAt.apply(weight, bias, x, entries))  # pyright: ignore[reportUnknownMemberType]


def linear_from(pre: Tensor, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`pre` = x · weightᵀ + bias, differentiable in weight and bias; [rows, features].

    In weight's dtype; the gradient's product is made in the precision of `pre`.
    """
    arguments = (weight, bias, x, pre)
    return cast(Tensor, _LinearFrom.apply(*arguments))  # pyright: ignore[reportUnknownMemberType]


def rows_of(weight: Tensor, ids: Tensor) -> Tensor:
    """The rows `ids` int64 [n], distinct and ascending, of `weight` [features, d]: [n, d].

    Its gradient is a sparse tensor, which autograd adds in place to what other parts of a loss have
    for the same weight; indexing makes a [features, d] of zeros for it.
    """
    return cast(Tensor, _RowsOf.apply(weight, ids))  # pyright: ignore[reportUnknownMemberType]


def product(left: Tensor, right: Tensor, matmul_dtype: torch.dtype) -> Tensor:
    """left · right made in a precision, in left's dtype."""
    return (left.to(matmul_dtype) @ right.to(matmul_dtype)).to(left.dtype)


def rows_product(entries: SparseRows, dense: Tensor) -> Tensor:
    """S · dense; dense [features, d], result [rows, d]."""
    return _segments(entries.offsets, entries.indices, entries.values, dense)


def columns_product(entries: SparseRows, dense: Tensor) -> Tensor:
    """Sᵀ · dense; dense [rows, d], result [features, d]."""
    order = entries.ordered().by_feature
    assert order is not None
    return _segments(order.offsets, order.rows, entries.values.index_select(0, order.places), dense)


def products_at(entries: SparseRows, left: Tensor, right: Tensor) -> Tensor:
    """(left · rightᵀ) at S's entries; left [rows, d], right [features, d], result [nnz]."""
    if uses_kernels(left):
        from lmsaes.sae.sparse import triton_kernels

        return triton_kernels.products_at(entries.offsets, entries.indices, left, right)
    order = entries.by_feature
    if order is None:
        return _sampled(entries.offsets, entries.indices, left, right)
    # Feature by feature: a row of `right`, the larger factor, then serves all its entries at once.
    sampled = _sampled(order.offsets, order.rows, right, left)
    return torch.empty_like(sampled).index_copy_(0, order.places, sampled)


def _sampled(offsets: Tensor, indices: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """left[r] · right[indices] for the entries of each row r."""
    if lacks_sparse_products(left):
        rows = SparseRows(offsets, indices, indices, right.shape[0]).row_ids()
        return (left @ right.T)[rows, indices]
    pattern = torch.sparse_csr_tensor(  # pyright: ignore[reportUnknownMemberType]
        offsets,
        indices,
        torch.zeros(indices.shape[0], dtype=left.dtype, device=left.device),
        (left.shape[0], right.shape[0]),
        check_invariants=False,
    )
    sampled_addmm = cast(Callable[..., Tensor], torch.sparse.sampled_addmm)  # pyright: ignore[reportUnknownMemberType]
    return sampled_addmm(pattern, left, right.T, beta=0.0).values()


def _segments(offsets: Tensor, indices: Tensor, values: Tensor, dense: Tensor) -> Tensor:
    """Row r: Σ values·dense[indices] over the entries from offsets[r] to offsets[r + 1]."""
    if uses_kernels(dense):
        from lmsaes.sae.sparse import triton_kernels

        return triton_kernels.segments_product(offsets, indices, values, dense)
    if lacks_sparse_products(dense):
        return SparseRows(offsets, indices, values, dense.shape[0]).dense() @ dense
    if values.device.type == "cpu":
        offsets, indices, values = _without_zeros(offsets, indices, values)
        if indices.shape[0] < 2**31:  # a tenth to a fifth faster in four bytes
            offsets, indices = offsets.int(), indices.int()
    return torch.nn.functional.embedding_bag(
        indices, dense, offsets, mode="sum", per_sample_weights=values, include_last_offset=True
    )


def _without_zeros(
    offsets: Tensor, indices: Tensor, values: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Without the entries that add nothing, where there are enough of them to save time."""
    kept = torch.from_numpy(np.flatnonzero((values != 0).numpy()))
    if kept.shape[0] > _WORTH_KEEPING * values.shape[0]:
        return offsets, indices, values
    return (
        torch.searchsorted(kept, offsets),
        indices.index_select(0, kept),
        values.index_select(0, kept),
    )


def column_sums(indices: Tensor, values: Tensor, features: int) -> Tensor:
    """The sum of each column's entries, [features]."""
    return torch.zeros(features, dtype=values.dtype, device=values.device).index_add_(
        0, indices, values
    )


def row_norms(weight: Tensor) -> Tensor:
    """The Euclidean norm along the last dimension."""
    return torch.linalg.vector_norm(weight, dim=-1)


def sum_of_squares(residual: Tensor) -> Tensor:
    """Over rows and dimensions; with its gradient two passes, where squares and a sum take five."""
    return row_norms(residual).square().sum()


class _Decode(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, W_dec: Tensor, pattern: SparseRows):
        ctx.save_for_backward(W_dec)
        ctx.entries = pattern
        return rows_product(pattern, W_dec)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor):
        (W_dec,) = ctx.saved_tensors
        gradient = gradients[0].contiguous()
        to_values = to_decoder = None
        if ctx.needs_input_grad[0]:
            to_values = products_at(ctx.entries, gradient, W_dec)
        if ctx.needs_input_grad[1]:
            to_decoder = columns_product(ctx.entries, gradient)
        return to_values, to_decoder, None


class _LinearAt(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, bias: Tensor, x: Tensor, entries: SparseRows):
        ctx.save_for_backward(x)
        ctx.entries = entries
        return entries.values.to(weight.dtype, copy=True)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor):
        (x,) = ctx.saved_tensors
        gradient = gradients[0].contiguous()
        to_weight = columns_product(ctx.entries.with_values(gradient), x)
        to_bias = column_sums(ctx.entries.indices, gradient, ctx.entries.features)
        return to_weight, to_bias, None, None


class _LinearFrom(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, bias: Tensor, x: Tensor, pre: Tensor):
        ctx.save_for_backward(x)
        ctx.matmul_dtype = pre.dtype
        return pre.to(weight.dtype) if pre.dtype != weight.dtype else pre.view_as(pre)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor):
        (x,) = ctx.saved_tensors
        return product(gradients[0].T, x, ctx.matmul_dtype), gradients[0].sum(0), None, None


class _RowsOf(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, ids: Tensor):
        ctx.save_for_backward(ids)
        ctx.shape = weight.shape
        return weight.index_select(0, ids)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor):
        (ids,) = ctx.saved_tensors
        if lacks_sparse_products(ids):
            return gradients[0].new_zeros(ctx.shape).index_copy_(0, ids, gradients[0]), None
        # Coalesced, as it is: a GPU would make the host wait to find out.
        sparse = torch.sparse_coo_tensor(
            ids[None], gradients[0], ctx.shape, is_coalesced=True, check_invariants=False
        )
        return sparse, None
