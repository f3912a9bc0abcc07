"""Sparse products against dense float64 ones, values and gradients."""

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lmsaes.sae.sparse import ops
from lmsaes.sae.sparse.ops import (
    columns_product,
    linear_at,
    products_at,
    rows_of,
    rows_product,
    sparse_decode,
)
from lmsaes.sae.sparse.rows import SparseRows


@st.composite
def problems(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor]:
    """A sparse [rows, features] matrix with empty rows, [features, d] and [rows, d]."""
    rows, features, d = (draw(st.integers(1, 8)) for _ in range(3))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    density = draw(st.sampled_from([0.0, 0.2, 1.0]))

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    mask = torch.rand(rows, features, generator=generator) < density
    mask[0] = False
    return normal(rows, features) * mask, normal(features, d), normal(rows, d)


def entries_of(matrix: Tensor, mask: Tensor | None = None) -> SparseRows:
    """Those at which the mask is true; without one, those other than zero."""
    mask = matrix != 0 if mask is None else mask
    return SparseRows.above(mask.to(matrix.dtype), 0.5).with_values(matrix[mask])


@settings(deadline=None, max_examples=50)
@given(problems())
def test_decode_and_its_gradients_equal_the_dense_product(problem: tuple[Tensor, Tensor, Tensor]):
    matrix, W_dec, upstream = problem
    entries = entries_of(matrix)
    values = entries.values.clone().requires_grad_()
    W_dec = W_dec.requires_grad_()
    sparse = SparseRows(entries.offsets, entries.indices, values, matrix.shape[1])
    out = sparse_decode(sparse, W_dec)
    torch.testing.assert_close(out, matrix @ W_dec)
    to_values, to_W_dec = torch.autograd.grad(out, (values, W_dec), upstream)
    torch.testing.assert_close(to_W_dec, matrix.T @ upstream)
    torch.testing.assert_close(to_values, (upstream @ W_dec.T)[matrix != 0])


@settings(deadline=None, max_examples=50)
@given(problems())
def test_linear_at_has_the_gradients_of_a_linear_layer(problem: tuple[Tensor, Tensor, Tensor]):
    matrix, weight, x = problem
    mask = matrix != 0
    weight = weight.requires_grad_()
    bias = torch.zeros(weight.shape[0], dtype=torch.float64, requires_grad=True)
    dense = torch.nn.functional.linear(x, weight, bias)
    entries = entries_of(dense.detach(), mask)
    values = linear_at(entries, x, weight, bias)
    torch.testing.assert_close(values, dense[mask])
    fast = torch.autograd.grad(values.square().sum(), (weight, bias))
    plain = torch.autograd.grad(dense[mask].square().sum(), (weight, bias))
    torch.testing.assert_close(fast, plain)


@settings(deadline=None, max_examples=50)
@given(problems(), st.sampled_from([0.1, 0.5, 0.9]))
def test_entries_of_value_zero_change_no_product(
    problem: tuple[Tensor, Tensor, Tensor], share: float
):
    matrix, W_dec, x = problem
    zeroed = torch.rand(matrix.shape, generator=torch.Generator().manual_seed(0)) < share
    entries = entries_of(matrix.masked_fill(zeroed, 0.0), matrix != 0)
    torch.testing.assert_close(rows_product(entries, W_dec), entries.dense() @ W_dec)
    torch.testing.assert_close(columns_product(entries, x), entries.dense().T @ x)


def test_gradients_of_chosen_rows_add_to_those_of_the_whole():
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(7, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    ids = torch.tensor([1, 4, 5])
    for first in (weight.square().sum(), 0.0):
        for last in (weight.exp().sum(), 0.0):
            loss = first + rows_of(weight, ids).pow(3).sum() + last
            plain = first + weight[ids].pow(3).sum() + last
            (found,) = torch.autograd.grad(loss, weight, retain_graph=True)
            (wanted,) = torch.autograd.grad(plain, weight, retain_graph=True)
            torch.testing.assert_close(found.to_dense(), wanted)


@settings(deadline=None, max_examples=50)
@given(problems())
def test_products_do_not_care_about_the_order_of_columns(problem: tuple[Tensor, Tensor, Tensor]):
    matrix, W_dec, x = problem
    k = max(1, matrix.shape[1] // 2)
    entries = SparseRows.from_topk(*matrix.topk(k, dim=1), features=matrix.shape[1])
    out = columns_product(entries, x)
    torch.testing.assert_close(out, entries.dense().T @ x)
    for each in (entries, entries.ordered()):
        at = products_at(each, x, W_dec)
        torch.testing.assert_close(at, (x @ W_dec.T)[entries.row_ids(), entries.indices])


@settings(deadline=None, max_examples=50)
@given(problems())
def test_devices_without_sparse_products_give_the_same(problem: tuple[Tensor, Tensor, Tensor]):
    matrix, W_dec, x = problem
    entries = entries_of(matrix)
    ids = torch.arange(0, len(W_dec), 2)

    def results() -> list[Tensor]:
        weight = W_dec.clone().requires_grad_()
        rows_of(weight, ids).exp().sum().backward()
        assert weight.grad is not None
        made = [partial(rows_product, entries, W_dec), partial(columns_product, entries, x)]
        made += [partial(products_at, each, x, W_dec) for each in (entries, entries.ordered())]
        return [weight.grad.to_dense(), *(make() for make in made)]

    expected = results()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ops, "lacks_sparse_products", lambda tensor: True)
        patched.setattr(torch, "sparse_csr_tensor", None)  # what such a device would refuse
        patched.setattr(torch, "sparse_coo_tensor", None)
        patched.setattr(torch.nn.functional, "embedding_bag", None)
        torch.testing.assert_close(results(), expected)


def test_non_contiguous_inputs_are_welcome():
    wide = torch.randn(6, 10, dtype=torch.float64)
    x, W_dec = wide[:, ::2], torch.randn(5, 8, dtype=torch.float64).T.requires_grad_()
    entries = SparseRows.from_topk(*torch.randn(6, 8, dtype=torch.float64).topk(3), features=8)
    out = sparse_decode(entries, W_dec)
    torch.testing.assert_close(out, entries.dense() @ W_dec)
    (gradient,) = torch.autograd.grad(out, W_dec, x)
    torch.testing.assert_close(gradient, entries.dense().T @ x)


@pytest.mark.parametrize("k", [1, 4])
def test_gradcheck(k: int):
    torch.manual_seed(0)
    x = torch.randn(5, 3, dtype=torch.float64)
    weight = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(4, dtype=torch.float64, requires_grad=True)
    W_dec = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    indices = torch.rand(5, 4).topk(k, dim=1).indices

    def reconstruct(weight: Tensor, bias: Tensor, W_dec: Tensor) -> Tensor:
        pre = torch.nn.functional.linear(x, weight, bias).detach()
        entries = SparseRows.from_topk(pre.gather(1, indices), indices, 4)
        values = linear_at(entries, x, weight, bias)
        return sparse_decode(SparseRows(entries.offsets, entries.indices, values, 4), W_dec)

    assert torch.autograd.gradcheck(reconstruct, (weight, bias, W_dec))
