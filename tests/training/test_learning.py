"""Schedules of the learning rate and of k, and the weights' running mean."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from lmsaes.cache import ActivationCache
from lmsaes.errors import ConfigError
from lmsaes.sae import SAE, BatchTopKConfig, SAEConfig, TopKConfig
from lmsaes.training import SAETrainer, TrainConfig, train
from lmsaes.training.schedules import LRSchedule
from tests.support.made_up_cache import made_up_cache

HOW = {"tokens": 640, "batch_size": 16, "shuffle_buffer": "1MiB", "device": "cpu", "log_every": 10}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> ActivationCache:
    folder = tmp_path_factory.mktemp("caches") / "cache"
    return made_up_cache(folder, 64, hooks={"hook": 8}, block_contexts=4)


def falling(**settings: Any) -> list[float]:
    """A hundred steps, the whole of which is the fall."""
    schedule = LRSchedule(100, 0, 1.0, **settings)
    return [schedule.factor(step) for step in range(100)]


def test_the_shapes_fall_from_the_peak_to_the_end():
    linear, cosine, constant = falling(), falling(shape="cosine"), LRSchedule(100, 0, 0.0)
    assert linear == pytest.approx([1 - step / 100 for step in range(100)])
    assert cosine == pytest.approx([(1 + math.cos(math.pi * s / 100)) / 2 for s in range(100)])
    assert {constant.factor(step) for step in range(100)} == {1.0}
    assert falling(end=0.2) == pytest.approx([0.2 + 0.8 * value for value in linear])


@pytest.mark.parametrize("shape", ["linear", "cosine"])
def test_restarts_cut_the_fall_into_equal_pieces(shape: str):
    factors = falling(shape=shape, restarts=3, end=0.1)
    assert [step for step in range(100) if factors[step] == pytest.approx(1.0)] == [0, 25, 50, 75]
    assert factors[25:50] == pytest.approx(factors[:25])
    assert factors[:25] == sorted(factors[:25], reverse=True)


def test_warming_up_comes_before_whatever_falls():
    schedule = LRSchedule(100, 10, 0.5, "cosine")
    assert [schedule.factor(step) for step in range(50)] == pytest.approx(
        [min(1.0, (step + 1) / 10) for step in range(50)]
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr": 1e-3, "lr_end": 1e-2}, "lr_end = 0.01 is above the peak, 0.001"),
        ({"schedule": "constant", "lr_end": 1e-4}, "has neither lr_end nor restarts"),
        ({"k_start": 100}, "k_start = 100 is more than the 24 features"),
        ({"k_anneal": 0.5}, "k_anneal needs k_start"),
        ({"architecture": "hierarchical", "k_start": 8}, "leave k_start out"),
        ({"freeze": ["encoder", "decoder", "bias"]}, "nothing is left to train"),
        ({"fine_tune": "shrinkage"}, "fine_tune needs start_from"),
        ({"ema": 1.0}, "less than 1"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    cache: ActivationCache, tmp_path: Path, settings: dict[str, Any], message: str
):
    def run() -> None:
        config = TrainConfig.of({"cache": "c", "out": "o", "features": 24, "k": 2} | settings)
        train(cache, config.sae, out=tmp_path / "run", **HOW)

    with pytest.raises(ConfigError, match=message):
        run()


def watched(
    cache: ActivationCache, out: Path, config: SAEConfig, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[float], list[dict[str, torch.Tensor]]]:
    """L0 of each step of a run, and the weights after it."""
    step, l0, weights = SAETrainer.step, list[float](), list[dict[str, torch.Tensor]]()

    def noting(self: SAETrainer, x: torch.Tensor, target: torch.Tensor):
        output = step(self, x, target)
        l0.append(float(output.firings.sum()) / x.shape[0])
        weights.append({n: p.detach().clone() for n, p in self.sae.named_parameters()})
        return output

    with monkeypatch.context() as patched:
        patched.setattr(SAETrainer, "step", noting)
        train(cache, config, out=out, **HOW)
    return l0, weights


@pytest.mark.parametrize("kind", [TopKConfig, BatchTopKConfig])
def test_k_falls_from_its_start_to_k(
    cache: ActivationCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[TopKConfig]
):
    config = kind(features=24, k=2, k_start=10, k_anneal=0.5)
    l0, _ = watched(cache, tmp_path / "run", config, monkeypatch)
    steps = len(l0)
    for step, found in enumerate(l0):
        k = 2 + round(8 * max(0.0, 1 - step / steps / 0.5))
        assert found <= k * 1.1
        assert found > k * 0.4  # fewer where pre-activations are negative
    assert l0[0] > 3 * l0[-1]
    sae = SAE.load(tmp_path / "run" / config.name)
    assert sae.config == config.model_copy(update={"hook": "hook"})
    x = cache.activations("hook", 0, 64).reshape(-1, 8)
    assert float((sae.encode(x, dense=True) > 0).sum(1).float().mean()) < 3


def test_the_running_mean_of_the_weights_is_saved(
    cache: ActivationCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    config = TopKConfig(features=24, k=2, ema=0.9, normalize="none")
    _, weights = watched(cache, tmp_path / "run", config, monkeypatch)
    mean = SAE.create(config, 8).b_dec.detach()
    mean = torch.tensor(cache.hooks["hook"].valid.mean) if cache.hooks["hook"].valid else mean
    for count, after in enumerate(weights, 1):
        decay = min(0.9, (1 + count) / (10 + count))
        mean = decay * mean + (1 - decay) * after["b_dec"]
    sae = SAE.load(tmp_path / "run/topk-2")
    torch.testing.assert_close(sae.b_dec, mean, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(sae.b_dec, weights[-1]["b_dec"], atol=1e-5)
    torch.testing.assert_close(sae.W_dec.norm(dim=1), torch.ones(24))


def test_a_run_with_all_of_it_goes_on_bit_for_bit(
    cache: ActivationCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    config = BatchTopKConfig(
        features=24, k=2, ema=0.9, k_start=8, schedule="cosine", restarts=1, lr_end=1e-5,
        freeze=("bias",),
    )  # fmt: skip
    (whole,) = train(cache, config, out=tmp_path / "whole", **HOW)
    step = SAETrainer.step

    def failing(self: SAETrainer, x: torch.Tensor, target: torch.Tensor):
        if self.done == 14:
            raise MemoryError
        return step(self, x, target)

    with monkeypatch.context() as patched:
        patched.setattr(SAETrainer, "step", failing)
        with pytest.raises(MemoryError):
            train(cache, config, out=tmp_path / "parts", checkpoint_every=5, **HOW)
    (parts,) = train(cache, config, out=tmp_path / "parts", checkpoint_every=5, **HOW)
    one, other = (SAE.load(result.path).state_dict() for result in (whole, parts))
    assert all(torch.equal(one[name], other[name]) for name in one)
