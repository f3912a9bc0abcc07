"""Layer norm of rows against the formulas of those who train with it."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from lmsaes.sae import SAE, SAEConfig, TopKConfig, normalize_rows

D = 48


def rows() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    spread = torch.logspace(-3, 3, 40)[:, None]  # eps is a hundredth of the smallest deviation
    return spread * torch.randn(40, D, generator=generator) + 5 * spread


def plain_sae(sae: SAE, normalized: Tensor) -> Tensor:
    """The same weights without layer norm, in float64."""
    pre = normalized @ sae.W_enc.T.double() + sae.b_enc.double()
    kept = pre.topk(5, dim=1)
    f = torch.zeros_like(pre).scatter(1, kept.indices, kept.values.relu())
    return f @ sae.W_dec.double() + sae.b_dec.double()


def saved(config: SAEConfig, folder: Path) -> SAE:
    sae = SAE.create(config, D)
    with torch.no_grad():
        for parameter in sae.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    sae.save(folder)
    return SAE.load(folder)


def test_with_eps_and_ddof_layer_norm_is_saelens_and_openais(tmp_path: Path):
    config = TopKConfig(
        features=96, k=5, normalize="layer_norm", layer_norm_eps=1e-5, layer_norm_ddof=1
    )
    sae = saved(config, tmp_path)
    x = rows().double()
    mean, deviation = x.mean(1, keepdim=True), x.std(1, keepdim=True)
    expected = plain_sae(sae, (x - mean) / (deviation + 1e-5)) * deviation + mean
    error = (sae(x.float()) - expected).norm(dim=1) / expected.norm(dim=1)
    assert float(error.max()) < 1e-6


def test_by_default_layer_norm_has_no_eps_and_divides_by_d(tmp_path: Path):
    sae = saved(TopKConfig(features=96, k=5, normalize="layer_norm"), tmp_path)
    x = rows().double()
    mean, deviation = x.mean(1, keepdim=True), x.std(1, correction=0, keepdim=True)
    expected = plain_sae(sae, (x - mean) / deviation) * deviation + mean
    error = (sae(x.float()) - expected).norm(dim=1) / expected.norm(dim=1)
    assert float(error.max()) < 1e-6


@pytest.mark.parametrize("eps", [0.0, 1e-5])
def test_a_constant_row_is_restored_as_it_was(eps: float):
    x = torch.full((2, D), 3.0)
    normalized = normalize_rows(x, 1, eps, 1)
    assert torch.equal(normalized.rows, torch.zeros(2, D))
    assert torch.equal(normalized.restored(torch.randn(2, D)), x)


def test_hooks_side_by_side_have_statistics_of_their_own():
    x = rows()
    both = normalize_rows(torch.cat([x, 9 * x.flip(1) - 4], 1), 2)
    alone = [normalize_rows(part, 1) for part in (x, 9 * x.flip(1) - 4)]
    torch.testing.assert_close(both.rows, torch.cat([part.rows for part in alone], 1))
    restored = torch.cat([part.restored(x) for part in alone], 1)
    torch.testing.assert_close(both.restored(torch.cat([x, x], 1)), restored)
