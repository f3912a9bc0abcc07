"""What training learns from the rows before it begins: normalization, center and directions."""

import pytest
import torch
from torch import Tensor

from lmsaes.sae import (
    SAE,
    BatchTopKConfig,
    GatedConfig,
    JumpReLUConfig,
    ReLUConfig,
    SAEConfig,
    TopKConfig,
)
from lmsaes.sae.config import NormalizationKind
from lmsaes.sae.topk_family import TopKFamily
from lmsaes.training.initialization import active_directions, geometric_median, new_sae
from lmsaes.training.normalization import Normalization

D = 8


class Statistics:
    """Of rows that are at hand."""

    def __init__(self, rows: Tensor) -> None:
        self.mean = rows.double().mean(0).tolist()
        self.variance = rows.double().var(0, correction=0).tolist()
        self.mean_norm = float(rows.double().norm(dim=1).mean())


def some_rows() -> Tensor:
    """Correlated, of unequal spread, far from zero."""
    generator = torch.Generator().manual_seed(0)
    spread = torch.logspace(0, 1, D)
    mixed = torch.randn(4000, D, generator=generator) * spread
    return mixed @ torch.randn(D, D, generator=generator) + 7


@pytest.mark.parametrize("kind", ["none", "mean_norm", "mean_square", "layer_norm", "whiten"])
def test_each_normalization_does_what_its_name_says(kind: NormalizationKind):
    rows = some_rows()
    normalization = Normalization.of(Statistics(rows), kind, rows)
    x = normalization(rows.half()).double()
    if kind == "mean_square":
        torch.testing.assert_close(x.mean(0), torch.zeros(D).double(), atol=0.01, rtol=0)
        assert float(x.square().mean()) == pytest.approx(1, rel=0.01)
    elif kind == "mean_norm":
        assert float(x.norm(dim=1).mean()) == pytest.approx(D**0.5, rel=0.01)
    elif kind == "layer_norm":
        torch.testing.assert_close(x.mean(1), torch.zeros(4000).double(), atol=1e-3, rtol=0)
        torch.testing.assert_close(x.square().mean(1), torch.ones(4000).double(), atol=1e-5, rtol=0)
    elif kind == "whiten":
        covariance = x.T @ x / 4000
        # All but the weakest directions, which the floor keeps below 1.
        variances = torch.linalg.eigvalsh(covariance)
        assert float(variances[-1]) == pytest.approx(1, rel=0.02)
        assert bool((variances[2:] > 0.9).all())
    else:
        torch.testing.assert_close(x, rows.half().double())
    center = torch.zeros(D) if normalization.center is None else normalization.center
    torch.testing.assert_close(center.double(), x.mean(0), atol=0.05, rtol=0.01)
    variance = float((x - x.mean(0)).square().sum(1).mean())
    assert normalization.variance == pytest.approx(variance, rel=0.01)


def test_hooks_side_by_side_are_normalized_as_they_are_alone():
    rows = some_rows()
    for kind in ("mean_norm", "mean_square", "layer_norm", "whiten"):
        alone = [Normalization.of(Statistics(r), kind, r) for r in (rows, 2 * rows.flip(1))]
        both = Normalization.joined(alone)
        expected = torch.cat([alone[0](rows), alone[1](2 * rows.flip(1))], 1)
        torch.testing.assert_close(both(torch.cat([rows, 2 * rows.flip(1)], 1)), expected)


def test_the_geometric_median_minds_no_outlier():
    rows = torch.randn(101, 3, generator=torch.Generator().manual_seed(0)) + 5
    median = geometric_median(rows)
    assert float((rows - median).norm(dim=1).mean()) <= float((rows - 5).norm(dim=1).mean())
    rows[0] = 1e6
    torch.testing.assert_close(geometric_median(rows), median, atol=0.1, rtol=0)
    assert float(rows.mean(0).norm()) > 1e3


def test_active_directions_hold_the_variance_and_no_fewer_than_a_quarter():
    basis = torch.linalg.qr(torch.randn(D, D)).Q
    spread = torch.tensor([100.0, 1, 1, 1, 1e-4, 1e-4, 1e-4, 1e-4])
    flat = torch.tensor([2.0, 1, 1, 1, 1e-4, 1e-4, 1e-4, 1e-4])
    for scales, rank in ((spread, 2), (flat, 4)):
        rows = torch.randn(5000, D) * scales @ basis.T
        directions = active_directions(rows)
        assert directions.shape == (rank, D)
        torch.testing.assert_close(directions @ directions.T, torch.eye(rank))
        assert float((directions @ basis[:, :4]).norm(dim=1).min()) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    "config",
    [
        TopKConfig(features=16, k=2),
        ReLUConfig(features=16),
        GatedConfig(features=16),
        JumpReLUConfig(features=16),
    ],
    ids=lambda c: c.architecture,
)
@pytest.mark.parametrize("center", ["mean", "geometric_median"])
def test_an_sae_starts_from_the_center_of_the_rows(config: SAEConfig, center: str):
    config = config.model_copy(update={"normalize": "none", "center": center, "init": "active"})
    rows = some_rows()
    normalization = Normalization.of(Statistics(rows), "none")
    sae = new_sae(config, normalization, normalization, rows, rows)
    middle = rows.mean(0) if center == "mean" else geometric_median(rows)
    torch.testing.assert_close(sae.b_dec.detach(), middle, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        sae.linear(middle[None]).detach(), torch.zeros(1, 16), rtol=0, atol=1e-3
    )
    directions = active_directions(rows)
    inside = sae.W_enc @ directions.T @ directions
    torch.testing.assert_close(inside, sae.W_enc.detach(), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "config",
    [TopKConfig(features=16, k=2), BatchTopKConfig(features=16, k=2), JumpReLUConfig(features=16)],
    ids=lambda config: config.architecture,
)
def test_decoder_rows_start_at_norm_one_and_the_encoder_along_them(config: SAEConfig):
    sae = SAE.create(config, D)
    torch.testing.assert_close(sae.W_dec.norm(dim=1), torch.ones(16))
    along = (sae.W_enc * sae.W_dec).sum(1, keepdim=True)
    torch.testing.assert_close(sae.W_enc, along * sae.W_dec)
    # Features overlap: k largest together would reconstruct too much with an encoder of norm 1.
    assert bool((along < 0.99).all()) is isinstance(sae, TopKFamily)
    assert bool((along > 0.5).all())
