"""Training finds a planted dictionary, and the trainer keeps its books."""

import math
import sys

import pytest
import torch
from torch import Tensor

from lmsaes.errors import ConfigError
from lmsaes.sae import (
    SAE,
    BatchTopKConfig,
    GatedConfig,
    JumpReLUConfig,
    MatryoshkaConfig,
    PAnnealingConfig,
    ReLUConfig,
    SAEConfig,
    TopKConfig,
)
from lmsaes.training import SAETrainer
from lmsaes.training.normalization import Normalization
from lmsaes.training.optimizers import forget, make_optimizers
from lmsaes.training.schedules import LRSchedule, aux_after_tokens, peak_lr

D, PLANTED, ACTIVE = 32, 64, 3
DIRECTIONS = torch.nn.functional.normalize(
    torch.randn(PLANTED, D, generator=torch.Generator().manual_seed(0)), dim=1
)


@pytest.fixture(autouse=True)
def _one_thread():
    """Products this small gain nothing from a second thread and lose much on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Statistics:
    mean = torch.ones(D).tolist()
    mean_norm = math.sqrt(D)
    # Each of the planted features fires on a share of the rows, with E f² = 13/12.
    variance = torch.full((D,), ACTIVE * 13 / 12 / D).tolist()


def rows(count: int, generator: torch.Generator) -> Tensor:
    """Sparse non-negative mixtures of the planted directions, around (1, …, 1)."""
    fires = torch.rand(count, PLANTED, generator=generator) < ACTIVE / PLANTED
    return (fires * (torch.rand(count, PLANTED, generator=generator) + 0.5)) @ DIRECTIONS + 1


def trained(config: SAEConfig, steps: int = 400, batch: int = 256) -> tuple[SAETrainer, SAE]:
    scale = Normalization.of(Statistics(), config.normalize)
    trainer = SAETrainer(SAE.create(config, D), steps, steps * batch, scale, scale)
    generator = torch.Generator().manual_seed(1)
    for step in range(steps):
        x = scale(rows(batch, generator))
        trainer.step(x, x)
        if step % 20 == 0:
            trainer.report()
    return trainer, trainer.finished_sae()


@pytest.mark.parametrize(
    "config",
    [TopKConfig(features=PLANTED, k=ACTIVE), BatchTopKConfig(features=PLANTED, k=ACTIVE)],
    ids=lambda c: c.architecture,
)
def test_a_planted_dictionary_is_recovered(config: SAEConfig):
    _, sae = trained(config)
    nearest = (DIRECTIONS @ sae.W_dec.T).max(dim=1).values
    assert float((nearest >= 0.95).float().mean()) >= 0.95


@pytest.mark.parametrize(
    "config",
    [
        ReLUConfig(features=PLANTED, l1=1.0),
        PAnnealingConfig(features=PLANTED, l1=1.0),
        GatedConfig(features=PLANTED, l1=1.0),
        JumpReLUConfig(features=PLANTED, l0=2 * ACTIVE),
        MatryoshkaConfig(features=PLANTED, k=ACTIVE),
        TopKConfig(features=PLANTED, k=ACTIVE, optimizer="muon"),
        TopKConfig(features=PLANTED, k=ACTIVE, optimizer="schedule-free"),
        TopKConfig(features=PLANTED, k=ACTIVE, optimizer="signum"),
        TopKConfig(features=2 * PLANTED, k=ACTIVE, optimizer="adam-8bit"),
        TopKConfig(features=PLANTED, k=ACTIVE, normalize="mean_norm"),
        TopKConfig(features=PLANTED, k=ACTIVE, normalize="none"),
    ],
    ids=lambda c: f"{c.architecture}-{c.normalize}-{c.optimizer}",
)
def test_every_architecture_learns_and_its_saved_form_does_as_well(config: SAEConfig):
    trainer, sae = trained(config, steps=300)
    x = rows(4000, torch.Generator().manual_seed(2))
    fvu = float(sae.residual(x).detach().square().sum() / (x - x.mean(0)).square().sum())
    metrics = trainer.final_metrics()
    assert fvu < 0.5
    assert fvu == pytest.approx(metrics.fvu, rel=0.15)
    assert float(sae.encode(x).nnz / 4000) == pytest.approx(metrics.l0, rel=0.15)


def test_silence_is_counted_in_tokens():
    config = TopKConfig(features=8, k=1, dead_window=100)
    scale = Normalization(torch.zeros(4), torch.ones(4), 4.0)
    trainer = SAETrainer(SAE.create(config, 4), 10, 400, scale, scale)
    with torch.no_grad():
        trainer.sae.b_enc[3] = 1000.0  # always the one that fires
    for _ in range(3):
        x = torch.randn(40, 4)
        trainer.step(x, x)
    _, dead = trainer.report()
    assert dead == 7 / 8
    assert trainer.silent.tolist() == [0, 1, 2, 4, 5, 6, 7]
    assert trainer.silent_for.tolist() == [120, 120, 120, 0, 120, 120, 120, 120]


def test_the_auxiliary_loss_starts_before_a_feature_counts_as_dead():
    config = TopKConfig(features=8, k=1, aux_after=40, dead_window=100)
    scale = Normalization(torch.zeros(4), torch.ones(4), 4.0)
    trainer = SAETrainer(SAE.create(config, 4), 10, 400, scale, scale)
    with torch.no_grad():
        trainer.sae.b_enc[3] = 1000.0  # always the one that fires
    x = torch.randn(40, 4)
    trainer.step(x, x)
    assert trainer.silent.tolist() == [0, 1, 2, 4, 5, 6, 7]
    assert trainer.report()[1] == 0


@pytest.mark.parametrize(
    ("config", "tokens"),
    [
        (TopKConfig(k=8), 40 * 1024 / 8),
        (JumpReLUConfig(l0=64), 40 * 1024 / 64),
        (ReLUConfig(), 40 * 1024 / 32),
        (TopKConfig(k=8, dead_window=500), 500),
        (TopKConfig(k=8, dead_window=500, aux_after=90), 90),
    ],
)
def test_the_auxiliary_loss_starts_when_a_typical_feature_would_have_fired_forty_times(
    config: SAEConfig, tokens: float
):
    assert aux_after_tokens(config, 1024) == tokens


def test_features_that_the_auxiliary_loss_reaches_soon_do_not_die():
    """Sixteen features a dimension on dense rows, in a short run."""
    d, features, batch, steps = 64, 1024, 256, 400
    spectrum = torch.arange(1, d + 1) ** -0.5
    spectrum *= (d / spectrum.square().sum()).sqrt()
    silent: list[float] = []
    for after in (None, steps * batch):
        config = TopKConfig(features=features, k=8, aux_after=after)
        scale = Normalization(torch.zeros(d), torch.ones(d), float(d))
        trainer = SAETrainer(SAE.create(config, d), steps, steps * batch, scale, scale)
        generator = torch.Generator().manual_seed(6)
        for _ in range(steps):
            x = torch.randn(batch, d, generator=generator) * spectrum
            trainer.step(x, x)
        silent.append(float((trainer.silent_for > 40 * batch).float().mean()))
    soon, never = silent
    assert soon < never / 4


def test_gradients_of_parts_add_up_to_those_of_the_batch():
    scale = Normalization.of(Statistics(), "mean_square")
    x = scale(rows(100, torch.Generator().manual_seed(4)))
    trainers = [
        SAETrainer(
            SAE.create(ReLUConfig(features=PLANTED, micro_batch=size), D), 10, 1000, scale, scale
        )
        for size in (None, 30)
    ]
    outputs = [trainer.step(x, x) for trainer in trainers]
    torch.testing.assert_close(outputs[0].loss, outputs[1].loss)
    torch.testing.assert_close(outputs[0].firings, outputs[1].firings)
    gradients = [[p.grad for p in trainer.sae.parameters()] for trainer in trainers]
    torch.testing.assert_close(*gradients)


def test_resampling_puts_dead_features_on_rows_that_are_explained_badly():
    config = TopKConfig(features=8, k=1, dead_window=1, resample=(0.5,))
    scale = Normalization(torch.zeros(4), torch.ones(4), 4.0)
    trainer = SAETrainer(SAE.create(config, 4), 4, 400, scale, scale)
    with torch.no_grad():
        trainer.sae.b_enc[3] = 1000.0  # always the one that fires
    x = torch.randn(40, 4)
    for _ in range(2):
        trainer.step(x, x)
    directions = torch.nn.functional.normalize(x, dim=1)
    others = torch.tensor([0, 1, 2, 4, 5, 6, 7])
    nearest = (trainer.sae.W_dec[others] @ directions.T).max(dim=1).values
    torch.testing.assert_close(nearest, torch.ones(7))
    assert trainer.silent_for.tolist() == [0] * 8
    state = trainer.optimizers[0].state[trainer.sae.W_dec]
    assert float(state["exp_avg"][others].abs().max()) == 0


def test_the_learning_rate_rises_stays_and_falls():
    factors = [LRSchedule(100, 10, 0.2).factor(step) for step in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[9:81] == [1.0] * 72
    assert factors[90] == pytest.approx(0.5)
    assert factors[99] == pytest.approx(0.05)


def test_the_default_rate_follows_the_run_and_a_given_one_stands():
    config = TopKConfig()
    rate = peak_lr(config, features=2048, d_in=512, steps=2000, batch=2048)
    assert peak_lr(config, 8 * 2048, 512, 2000, 2048) == pytest.approx(rate / 2)
    assert peak_lr(config, 2048, 4 * 512, 2000, 2048) == pytest.approx(rate / 2)
    assert peak_lr(config, 2048, 512, 8 * 2000, 2048) == pytest.approx(rate / 2)
    assert peak_lr(config, 2048, 512, 2000, 2048 / 8) == pytest.approx(rate / 2)
    assert peak_lr(JumpReLUConfig(), 2048, 512, 2000, 2048) == pytest.approx(rate / 2)
    assert peak_lr(TopKConfig(lr=0.5), 2048, 512, 2000, 2048) == 0.5


def test_the_default_rate_has_a_highest_value_that_falls_with_wide_inputs():
    shortest = [peak_lr(TopKConfig(), 64, d_in, steps=10, batch=4096) for d_in in (32, 256, 1024)]
    shorter = [peak_lr(TopKConfig(), 64, d_in, steps=20, batch=4096) for d_in in (32, 256, 1024)]
    assert shortest == shorter  # the length no longer matters
    assert shortest[0] == shortest[1] == pytest.approx(2 * shortest[2])


@pytest.mark.parametrize("normalize", ["none", "mean_norm", "layer_norm"])
def test_rows_that_keep_their_mean_and_l1_kinds_get_half_the_highest_rate(normalize: str):
    config = TopKConfig.model_validate({"normalize": normalize})
    highest = peak_lr(TopKConfig(), 64, 256, steps=10, batch=4096)
    assert peak_lr(ReLUConfig(), 64, 256, steps=10, batch=4096) == pytest.approx(highest / 2)
    assert peak_lr(config, 64, 256, steps=10, batch=4096) == pytest.approx(highest / 2)
    long = [peak_lr(each, 16384, 768, steps=10**5, batch=4096) for each in (config, TopKConfig())]
    assert long[0] == long[1]


OPTIMIZERS = ["adam", "muon", "schedule-free", "signum", "adam-8bit"]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_state_that_is_saved_and_loaded_continues_with_the_same_bits(optimizer: str):
    config = BatchTopKConfig.model_validate(
        {"features": PLANTED, "k": ACTIVE, "dead_window": 1000, "optimizer": optimizer}
    )
    scale = Normalization.of(Statistics(), config.normalize)
    generator = torch.Generator().manual_seed(3)
    batches = [scale(rows(64, generator)) for _ in range(40)]
    trainers = [SAETrainer(SAE.create(config, D), 40, 2560, scale, scale) for _ in range(2)]
    whole, first = trainers
    for step, x in enumerate(batches):
        whole.step(x, x)
        if step % 10 == 9:
            whole.report()
    for step, x in enumerate(batches[:25]):
        first.step(x, x)
        if step % 10 == 9:
            first.report()
    second = SAETrainer(SAE.create(config, D), 40, 2560, scale, scale)
    second.load_state({k: v.clone() for k, v in first.state_tensors().items()}, first.done)
    for step, x in enumerate(batches[25:], 25):
        second.step(x, x)
        if step % 10 == 9:
            second.report()
    expected, found = whole.state_tensors(), second.state_tensors()
    assert expected.keys() == found.keys()
    assert [key for key in expected if not torch.equal(expected[key], found[key])] == []


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_an_optimizer_forgets_rows_that_start_again(optimizer: str):
    config = TopKConfig.model_validate(
        {"features": 2 * PLANTED, "k": 2, "optimizer": optimizer, "weight_decay": 0.0}
    )
    sae = SAE.create(config, D)  # encoder and decoder are large enough to be kept in eight bits
    optimizers = make_optimizers(sae, 1e-2)
    for _ in range(2):
        for parameter in sae.parameters():
            parameter.grad = torch.randn(parameter.shape)
        for each in optimizers:
            each.step()
    forget(optimizers, sae.W_enc, torch.tensor([3, 5]))
    before = sae.W_enc.detach().clone()
    for parameter in sae.parameters():
        parameter.grad = torch.zeros(parameter.shape)
    for each in optimizers:
        each.step()
    moved = (sae.W_enc.detach() - before).abs().amax(1) > 1e-5
    forgotten = torch.isin(torch.arange(sae.features), torch.tensor([3, 5]))
    # Muon mixes rows; of the others a row without a gradient or a past does not move.
    if optimizer != "muon":
        assert torch.equal(moved, ~forgotten)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_encoder_alone_decays_by_its_share_of_the_rate(optimizer: str):
    config = TopKConfig.model_validate(
        {"features": 2 * PLANTED, "k": 2, "optimizer": optimizer, "weight_decay": 0.5, "lr": 1e-2}
    )
    sae = SAE.create(config, D)
    torch.nn.init.normal_(sae.b_enc)
    before = {name: weight.detach().clone() for name, weight in sae.named_parameters()}
    for parameter in sae.parameters():
        parameter.grad = torch.zeros(parameter.shape)
    for each in make_optimizers(sae, 1e-2):
        each.step()
    after = {name: weight.detach() for name, weight in sae.named_parameters()}
    torch.testing.assert_close(after["W_enc"], before["W_enc"] * (1 - 0.5e-2))
    assert [n for n in after if n != "W_enc" and not torch.equal(after[n], before[n])] == []


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "schedulefree", None)
    sae = SAE.create(TopKConfig(features=8, k=1, optimizer="schedule-free"), 4)
    with pytest.raises(ConfigError, match="needs the package schedulefree"):
        make_optimizers(sae, 1e-3)
