"""Every architecture's step against its formula, written densely in float64 for clarity."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lmsaes.sae import SAE, ReLU, ReLUConfig, SAEConfig, TopK, TopKConfig

ROWS, D, FEATURES = 12, 6, 32
Oracle = Callable[[SAE, Tensor, Tensor, Tensor], Tensor]


def keep_largest(values: Tensor, k: int) -> Tensor:
    """`values` with all but the k largest of each row set to zero."""
    kept = values.topk(k, dim=1).indices
    return values * torch.zeros_like(values).scatter(1, kept, 1.0)


def mean_square(error: Tensor) -> Tensor:
    return error.square().sum(1).mean() / error.shape[1]


def topk(sae: SAE, x: Tensor, target: Tensor, dead: Tensor) -> Tensor:
    assert isinstance(sae, TopK)
    pre = x @ sae.W_enc.T + sae.b_enc
    residual = target - keep_largest(pre.relu(), sae.k) @ sae.W_dec - sae.b_dec
    loss = mean_square(residual)
    if len(dead):
        k = min(sae.aux_k, len(dead))
        explained = keep_largest(pre[:, dead].relu(), k) @ sae.W_dec[dead]
        loss = loss + sae.aux_weight * mean_square(residual.detach() - explained)
    return loss


def relu(sae: SAE, x: Tensor, target: Tensor, dead: Tensor) -> Tensor:
    assert isinstance(sae, ReLU)
    f = (x @ sae.W_enc.T + sae.b_enc).relu()
    error = mean_square(target - f @ sae.W_dec - sae.b_dec)
    return error + sae.l1 * (f * sae.W_dec.norm(dim=1)).sum(1).mean() / target.shape[1]


CASES: list[tuple[SAEConfig, Oracle]] = [
    (TopKConfig(features=FEATURES, k=4), topk),
    (TopKConfig(features=FEATURES, k=FEATURES, aux_k=3), topk),
    (TopKConfig(features=FEATURES, k=1, aux_k=1), topk),
    (ReLUConfig(features=FEATURES, l1=0.5, sparse_below=1), relu),
    (ReLUConfig(features=FEATURES, l1=0.5, sparse_below=0), relu),
]


def make(config: SAEConfig, d_out: int) -> SAE:
    if d_out != D:
        config = config.model_copy(update={"target": "another hook"})
    sae = SAE.create(config, D, d_out).double()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in sae.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.add_(0.3 * noise)
    return sae


@pytest.mark.parametrize("d_out", [D, 4])
@pytest.mark.parametrize("dead", [[], [3], list(range(0, FEATURES, 2)), list(range(FEATURES))])
@pytest.mark.parametrize(("config", "oracle"), CASES)
def test_a_step_has_the_value_and_gradients_of_its_formula(
    config: SAEConfig, oracle: Oracle, dead: list[int], d_out: int
):
    sae = make(config, d_out)
    generator = torch.Generator().manual_seed(7)
    x = torch.randn(ROWS, D, generator=generator, dtype=torch.float64)
    target = x if d_out == D else torch.randn(ROWS, d_out, generator=generator, dtype=x.dtype)
    silent = torch.tensor(dead, dtype=torch.int64)
    parameters = dict(sae.named_parameters())
    plain = oracle(sae, x, target, silent)
    expected = torch.autograd.grad(plain, parameters.values())
    output = sae.step(x, target, dead=silent)
    found = torch.autograd.grad(output.loss, parameters.values())
    torch.testing.assert_close(output.loss, plain)
    for name, ours, theirs in zip(parameters, found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize(("config", "oracle"), CASES)
def test_a_step_reports_what_fired_and_what_was_missed(config: SAEConfig, oracle: Oracle):
    sae = make(config, D)
    x = torch.randn(ROWS, D, dtype=torch.float64)
    output = sae.step(x, x)
    f = sae.encode(x, dense=True)
    torch.testing.assert_close(output.firings.double(), (f > 0).sum(0).double())
    torch.testing.assert_close(output.squared_error, sae.error(x).square().sum())


def test_zeros_of_a_relu_get_no_gradient():
    sae = make(TopKConfig(features=FEATURES, k=FEATURES), D)
    with torch.no_grad():
        sae.b_enc.fill_(-100.0)
    x = torch.randn(ROWS, D, dtype=torch.float64)
    sae.step(x, x).loss.backward()
    assert sae.W_enc.grad is not None
    assert sae.W_enc.grad.abs().max() == 0


def test_the_auxiliary_loss_reaches_the_encoder_of_dead_features():
    sae = make(TopKConfig(features=FEATURES, k=4), D)
    dead = torch.tensor([2, 9])
    with torch.no_grad():
        sae.W_enc[dead] *= 1e-3  # too small to be among the k largest
        sae.b_enc[dead] = 1e-6
    x = torch.randn(ROWS, D, dtype=torch.float64)
    for silent, alive in ((torch.empty(0, dtype=torch.int64), False), (dead, True)):
        sae.zero_grad()
        sae.step(x, x, dead=silent).loss.backward()
        assert sae.W_enc.grad is not None
        assert bool((sae.W_enc.grad[dead].abs().sum(1) > 0).all()) is alive
