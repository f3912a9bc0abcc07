"""What is reported of a step: the loss by its terms, and how much of a row's norm comes back."""

import copy

import pytest
import torch
from torch import Tensor

from lmsaes.sae import (
    SAE,
    BatchTopKConfig,
    GatedConfig,
    HierarchicalTopKConfig,
    JumpReLUConfig,
    MatryoshkaConfig,
    PAnnealingConfig,
    ReLUConfig,
    SAEConfig,
    TopKConfig,
)
from lmsaes.training import SAETrainer
from lmsaes.training.normalization import Normalization
from lmsaes.training.wandb_log import saelens_name

D, ROWS = 6, 40
UNITS = Normalization(torch.linspace(-3, 5, D), torch.linspace(0.5, 2, D), float(D))
TERMS = ("loss_reconstruction", "loss_sparsity", "loss_auxiliary")


def batch(seed: int) -> Tensor:
    return torch.randn(ROWS, D, generator=torch.Generator().manual_seed(seed))


def trainer_of(config: SAEConfig, units: Normalization = UNITS) -> SAETrainer:
    trainer = SAETrainer(SAE.create(config, D), 10, 10 * ROWS, units, units, log_every=3)
    trainer.silent_for[::2] = 10**9  # so that half of the features count as dead
    trainer._look_for_silent()  # pyright: ignore[reportPrivateUsage]
    return trainer


CONFIGS = [
    TopKConfig(features=20, k=2),
    BatchTopKConfig(features=20, k=2, micro_batch=13),
    MatryoshkaConfig(features=20, k=2),
    HierarchicalTopKConfig(features=20, k=2),
    ReLUConfig(features=20, l1=0.5, l1_warmup=0),
    ReLUConfig(features=20, l1=0.5, l1_warmup=0.9, aux_weight=0.3, micro_batch=13),
    PAnnealingConfig(features=20, l1=0.5),
    GatedConfig(features=20, l1=0.5, ghost_weight=1),
    JumpReLUConfig(features=20, l0=2),
    JumpReLUConfig(features=20, sparsity="tanh", aux_weight=0.3),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_the_terms_add_up_to_the_loss(config: SAEConfig):
    trainer = trainer_of(config)
    for seed in range(3):
        trainer.step(batch(seed), batch(seed))
    averages, _ = trainer.report()
    found = trainer.figures.read()
    terms = [found[name] for name in TERMS]
    assert all(isinstance(term, float) for term in terms)
    reconstruction, sparsity, auxiliary = (float(term) for term in terms)  # pyright: ignore
    rest = averages.loss - reconstruction - sparsity - auxiliary
    if config.architecture in ("matryoshka", "hierarchical"):
        assert abs(rest) > 1e-3  # nested SAEs miss something else than the whole one
    else:
        assert rest == pytest.approx(0, abs=1e-5 * averages.loss)
    assert (sparsity > 0) == (not hasattr(config, "k"))
    trains_silent = config.aux_weight > 0 or config.ghost_weight > 0
    assert (auxiliary > 0) == (trains_silent or config.architecture == "gated")


def test_the_penalty_is_reported_with_its_weight():
    trainer = trainer_of(ReLUConfig(features=20, l1=0.5, l1_warmup=0))
    x, sae = batch(0), copy.deepcopy(trainer.sae)
    trainer.step(x, x)
    norms = sae.W_dec.norm(dim=1)
    expected = 0.5 * (sae.activations(x) * norms).sum().detach() / x.numel()
    assert trainer.figures.read()["loss_sparsity"] == pytest.approx(float(expected), rel=1e-5)


WHITENED = Normalization(torch.linspace(-3, 5, D), torch.eye(D) + 0.2 * torch.ones(D, D), float(D))


@pytest.mark.parametrize("units", [UNITS, WHITENED], ids=["scaled", "whitened"])
@pytest.mark.parametrize(
    "config",
    [
        ReLUConfig(features=20),
        ReLUConfig(features=20, micro_batch=7),
        ReLUConfig(features=20, hook="in", target="out", skip=True),
    ],
    ids=["sae", "in parts", "skip transcoder"],
)
def test_the_norm_ratio_is_that_of_the_last_steps_rows_in_their_own_units(
    config: SAEConfig, units: Normalization
):
    trainer = trainer_of(config, units)
    with torch.no_grad():
        trainer.sae.W_dec.add_(0.3)
    for seed in range(3):
        x, y = batch(seed), batch(seed + 10)
        before = copy.deepcopy(trainer.sae)
        trainer.step(x, y)
    raw = units.mean + y @ torch.linalg.inv(_matrix(units))  # pyright: ignore
    found = units.mean + before(x) @ torch.linalg.inv(_matrix(units))  # pyright: ignore
    expected = (found.norm(dim=1) / raw.norm(dim=1)).mean()
    assert trainer.figures.read()["norm_ratio"] == pytest.approx(float(expected), rel=1e-4)
    assert trainer.figures.read()["norm_ratio"] is None  # of no rows


def _matrix(units: Normalization) -> Tensor:
    return units.scale if units.scale.dim() == 2 else units.scale.diag()


def test_saelens_names_the_penalty_by_the_kind_of_sae():
    names = {kind: saelens_name("loss_sparsity", kind) for kind in ("relu", "jumprelu", "topk")}
    assert names == {
        "relu": "losses/l1_loss", "jumprelu": "losses/l0_loss", "topk": "loss_sparsity",
    }  # fmt: skip
    assert saelens_name("norm_ratio", "topk") == "metrics/l2_ratio"
