"""The GPU's kernels against the plain torch path: on a GPU where there is one, else interpreted."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lmsaes.sae import (
    SAE,
    BatchTopKConfig,
    HierarchicalTopKConfig,
    JumpReLUConfig,
    SAEConfig,
    SparseRows,
    TopKConfig,
)
from lmsaes.sae.sparse import active_set, ops

kernels = pytest.importorskip("lmsaes.sae.sparse.triton_kernels", reason="Triton is for Linux")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@st.composite
def problems(draw: st.DrawFn) -> tuple[SparseRows, Tensor, Tensor]:
    """Entries with empty rows and features, more than a tile of them; [features, d], [rows, d]."""
    rows, features = draw(st.integers(1, 5)), draw(st.sampled_from([1, 7, 40]))
    d = draw(st.sampled_from([1, 5, 130]))
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    values = torch.randn(rows, features, generator=generator, dtype=dtype)
    mask = torch.rand(rows, features, generator=generator) < draw(st.sampled_from([0.0, 0.3, 1.0]))
    mask[0] = False
    W_dec = torch.randn(features, d, generator=generator, dtype=dtype)
    gradient = torch.randn(d, rows, generator=generator, dtype=dtype).T  # not contiguous
    entries = SparseRows.above(mask.to(dtype), 0.5).with_values(values[mask])
    return entries, W_dec, gradient


@settings(max_examples=25)
@given(problems())
def test_every_product_equals_the_plain_one(problem: tuple[SparseRows, Tensor, Tensor]):
    plain, W_dec, gradient = problem
    sparse, right, left = plain.to(DEVICE), W_dec.to(DEVICE), gradient.to(DEVICE)
    order = sparse.ordered().by_feature
    assert order is not None
    decoded = kernels.segments_product(sparse.offsets, sparse.indices, sparse.values, right)
    transposed = kernels.segments_product(
        order.offsets, order.rows, sparse.values[order.places], left
    )
    at = kernels.products_at(sparse.offsets, sparse.indices, left, right)
    torch.testing.assert_close(decoded.cpu(), ops.rows_product(plain, W_dec))
    torch.testing.assert_close(transposed.cpu(), ops.columns_product(plain, gradient))
    torch.testing.assert_close(at.cpu(), ops.products_at(plain, gradient, W_dec))


@pytest.mark.parametrize(
    "config",
    [
        TopKConfig(features=24, k=3, aux_k=1),
        HierarchicalTopKConfig(features=24, k=3),
        BatchTopKConfig(features=24, k=3),
        JumpReLUConfig(features=24, l0=3),
    ],
    ids=lambda c: c.architecture,
)
def test_a_step_on_the_kernels_has_the_gradients_of_the_plain_step(
    config: SAEConfig, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(active_set.SPARSE_BELOW, DEVICE, 1.0)
    sae = SAE.create(config, 6).double().to(DEVICE)
    x = torch.randn(9, 6, dtype=torch.float64, device=DEVICE)
    dead = torch.arange(0, 24, 2, device=DEVICE)
    gradients: list[tuple[Tensor, ...]] = []
    for kernels_used in (False, True):
        monkeypatch.setattr(ops, "uses_kernels", lambda _, used=kernels_used: used)
        loss = sae.training_loss(x, x, dead=dead).loss
        gradients.append(torch.autograd.grad(loss, tuple(sae.parameters())))
    torch.testing.assert_close(*gradients)
