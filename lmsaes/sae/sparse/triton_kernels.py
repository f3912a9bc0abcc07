"""The sparse products on a GPU: each reads a row per entry and writes each result once.

Nothing of the size [entries, d] is ever stored, and nothing is added atomically, so a product
gives the same bits every time. Sums are in the dtype of the dense factor, which holds the float32
master weights. `ops.py` says what the products mean and has their plain torch form;
Triton's interpreter (TRITON_INTERPRET=1) runs the kernels where there is no GPU.
"""

# Triton's decorator and language carry no types that a strict checker could follow.
# pyright: reportUntypedFunctionDecorator=false
# pyright: reportMissingParameterType=false, reportArgumentType=false

import torch
import triton
import triton.language as tl
from torch import Tensor

# A tile of entries by dimensions fits the registers of one program of four warps.
_ENTRIES, _DIMENSIONS = 16, 128


def segments_product(offsets: Tensor, indices: Tensor, values: Tensor, dense: Tensor) -> Tensor:
    """Row r: Σ values·dense[indices] over the entries from offsets[r] to offsets[r + 1].

    `offsets` int64 [rows + 1], `indices` int64 [nnz], `values` [nnz], `dense` [n, d]; returns
    [rows, d]. With entries by row this is S · dense, with entries sorted by feature Sᵀ · dense.
    """
    dense = dense.contiguous()
    rows, d = offsets.shape[0] - 1, dense.shape[1]
    out = torch.empty(rows, d, dtype=dense.dtype, device=dense.device)
    if out.numel():
        grid = (rows, triton.cdiv(d, _DIMENSIONS))
        with torch.cuda.device_of(dense):
            _segments_product[grid](
                out, offsets, indices, values.contiguous(), dense, d, _ENTRIES, _DIMENSIONS
            )
    return out


def products_at(offsets: Tensor, indices: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """left[r] · right[indices] for the entries of each row r.

    `offsets` int64 [rows + 1], `indices` int64 [nnz], `left` [rows, d], `right` [n, d]; returns
    [nnz].
    """
    left, right = left.contiguous(), right.contiguous()
    rows, d = left.shape
    out = torch.empty(indices.shape[0], dtype=right.dtype, device=right.device)
    if out.numel():
        with torch.cuda.device_of(right):
            _products_at[(rows,)](out, offsets, indices, left, right, d, _ENTRIES, _DIMENSIONS)
    return out


@triton.jit
def _segments_product(
    out, offsets, indices, values, dense, d, ENTRIES: tl.constexpr, DIMENSIONS: tl.constexpr
):
    segment = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * DIMENSIONS + tl.arange(0, DIMENSIONS)
    inside = columns < d
    start = tl.load(offsets + segment)
    end = tl.load(offsets + segment + 1)
    total = tl.zeros((DIMENSIONS,), dtype=out.dtype.element_ty)
    for first in range(start, end, ENTRIES):
        entries = first + tl.arange(0, ENTRIES)
        here = entries < end
        index = tl.load(indices + entries, mask=here, other=0)
        value = tl.load(values + entries, mask=here, other=0.0)
        rows = tl.load(
            dense + index[:, None] * d + columns[None, :],
            mask=here[:, None] & inside[None, :],
            other=0.0,
        )
        total += tl.sum(value[:, None] * rows, axis=0)
    tl.store(out + segment * d + columns, total, mask=inside)


@triton.jit
def _products_at(
    out, offsets, indices, left, right, d, ENTRIES: tl.constexpr, DIMENSIONS: tl.constexpr
):
    row = tl.program_id(0).to(tl.int64)
    start = tl.load(offsets + row)
    end = tl.load(offsets + row + 1)
    for first in range(start, end, ENTRIES):
        entries = first + tl.arange(0, ENTRIES)
        here = entries < end
        index = tl.load(indices + entries, mask=here, other=0)
        total = tl.zeros((ENTRIES,), dtype=out.dtype.element_ty)
        for column in range(0, d, DIMENSIONS):
            columns = column + tl.arange(0, DIMENSIONS)
            inside = columns < d
            mine = tl.load(left + row * d + columns, mask=inside, other=0.0)
            others = tl.load(
                right + index[:, None] * d + columns[None, :],
                mask=here[:, None] & inside[None, :],
                other=0.0,
            )
            total += tl.sum(others * mine[None, :], axis=1)
        tl.store(out + entries, total, mask=here)
