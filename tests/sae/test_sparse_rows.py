"""SparseRows: the same matrix as its dense form, whatever is in it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lmsaes.sae import SparseRows


@st.composite
def sparse_matrices(draw: st.DrawFn) -> torch.Tensor:
    rows, features = draw(st.integers(1, 9)), draw(st.integers(1, 12))
    density = draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    values = torch.rand(rows, features, generator=generator) + 0.1
    return values * (torch.rand(rows, features, generator=generator) < density)


@settings(deadline=None, max_examples=50)
@given(sparse_matrices())
def test_dense_and_sparse_hold_the_same(matrix: torch.Tensor):
    rows = SparseRows.above(matrix, 0.0)
    assert torch.equal(rows.dense(), matrix)
    assert rows.nnz == int((matrix > 0).sum())
    assert torch.equal(rows.counts(), (matrix > 0).sum(1))


@settings(deadline=None, max_examples=50)
@given(sparse_matrices())
def test_columns_of_a_row_ascend_and_row_ids_match(matrix: torch.Tensor):
    rows = SparseRows.above(matrix, 0.0)
    assert torch.equal(torch.stack([rows.row_ids(), rows.indices], 1), (matrix > 0).nonzero())


@settings(deadline=None, max_examples=50)
@given(sparse_matrices(), st.data())
def test_columns_are_the_dense_columns(matrix: torch.Tensor, data: st.DataObject):
    features = matrix.shape[1]
    ids = torch.tensor(data.draw(st.lists(st.integers(0, features - 1), unique=True)), dtype=int)
    assert torch.equal(SparseRows.above(matrix, 0.0).columns(ids).dense(), matrix[:, ids])
    assert torch.equal(SparseRows.above(matrix, 0.0).columns(slice(0, 2)).dense(), matrix[:, :2])


@settings(deadline=None, max_examples=50)
@given(sparse_matrices())
def test_where_keeps_what_it_is_told(matrix: torch.Tensor):
    rows = SparseRows.above(matrix, 0.0)
    kept = rows.where(rows.values > 0.6)
    assert torch.equal(kept.dense(), torch.where(matrix > 0.6, matrix, 0.0))


@settings(deadline=None, max_examples=50)
@given(sparse_matrices(), st.sampled_from([torch.float32, torch.float64, torch.bfloat16]))
def test_above_a_floor_of_each_feature(matrix: torch.Tensor, dtype: torch.dtype):
    matrix = matrix.to(dtype)
    floor = torch.linspace(-0.2, 1.2, matrix.shape[1], dtype=dtype)
    above = matrix > floor
    rows = SparseRows.above(matrix, floor)
    assert torch.equal(torch.stack([rows.row_ids(), rows.indices], 1), above.nonzero())
    assert torch.equal(rows.values, matrix[above])


@pytest.mark.parametrize("rows", [1, 7])
def test_threads_find_what_one_finds(rows: int, monkeypatch: pytest.MonkeyPatch):
    matrix = torch.rand(rows, 11, generator=torch.Generator().manual_seed(0))
    floor = torch.linspace(0.2, 0.9, 11)
    alone = SparseRows.above(matrix, floor)
    monkeypatch.setattr("lmsaes.sae.sparse.rows._WORTH_A_THREAD", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    found = SparseRows.above(matrix, floor)
    assert torch.equal(found.dense(), alone.dense())
    assert torch.equal(found.offsets, alone.offsets)
    assert torch.equal(found.indices, alone.indices)


@pytest.mark.parametrize("features", [2**15 - 1, 2**15, 2**16 + 1])
def test_the_order_by_feature_holds_for_wide_dictionaries(features: int):
    generator = torch.Generator().manual_seed(0)
    matrix = torch.rand(5, features, generator=generator)
    matrix[:, -1] = matrix[2, 7] = 1.0
    rows = SparseRows.above(matrix, 0.999).ordered()
    order = rows.by_feature
    assert order is not None
    wanted = (matrix.T > 0.999).nonzero()
    assert torch.equal(order.rows, wanted[:, 1])
    assert torch.equal(order.offsets.diff(), (matrix > 0.999).sum(0))
    assert torch.equal(rows.indices[order.places], wanted[:, 0])


def test_from_topk_keeps_the_k_largest():
    matrix = torch.tensor([[1.0, 3.0, 2.0], [6.0, 5.0, 4.0]])
    rows = SparseRows.from_topk(*matrix.topk(2, dim=1), features=3)
    assert rows.dense().tolist() == [[0.0, 3.0, 2.0], [6.0, 5.0, 0.0]]
