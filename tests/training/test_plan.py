"""What a run would take is told before it starts, and which SAE didn't fit."""

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from lmsaes.cache import ActivationCache
from lmsaes.cli.app import app
from lmsaes.errors import ConfigError, LmsaesError
from lmsaes.sae import SAE, ReLU, ReLUConfig, TopKConfig
from lmsaes.training import plan_training, train
from tests.support.made_up_cache import made_up_cache

SAES = [TopKConfig(features=24, k=2), ReLUConfig(features=40, micro_batch=8)]
HOW = {"tokens": 400, "batch_size": 16, "shuffle_buffer": "1MiB", "device": "cpu"}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> ActivationCache:
    folder = tmp_path_factory.mktemp("caches") / "cache"
    return made_up_cache(folder, 64, hooks={"hook": 8}, block_contexts=4)


def test_a_plan_has_the_sizes_of_the_run_and_writes_nothing(cache: ActivationCache, tmp_path: Path):
    plan = plan_training(cache, SAES, out=tmp_path / "run", **HOW)
    assert plan.state == "new"
    assert not (tmp_path / "run").exists()
    results = train(cache, SAES, out=tmp_path / "run", **HOW)
    for planned, result in zip(plan.memory.saes, results, strict=True):
        sae = SAE.load(result.path)
        assert sae.provenance is not None
        assert planned.weights == 4 * (sae.W_enc.numel() + sae.W_dec.numel())
        assert planned.optimizer == 2 * planned.weights  # Adam's moments
        assert plan.steps == sae.provenance.steps
        assert plan.rows == sae.provenance.rows
    # one batch's rows, and eight of them at a time
    assert [sae.activations for sae in plan.memory.saes] == [4 * 16 * 24, 4 * 8 * 40]
    assert plan_training(cache, SAES, out=tmp_path / "run", **HOW).state == "finished"


def test_a_dry_run_prints_the_plan_and_refuses_what_cannot_fit(
    cache: ActivationCache, tmp_path: Path
):
    options = ["train", "--cache", str(cache.path), "--out", str(tmp_path / "run"), "--dry-run",
               "--tokens", "400", "--batch-size", "16", "--shuffle-buffer", "1MiB"]  # fmt: skip
    fits = CliRunner().invoke(app, [*options, "--features", "24", "--k", "2", "--seeds", "2"])
    assert fits.exit_code == 0, fits.output
    assert "topk-2-seed1" in fits.output
    assert "nothing was started" in fits.output
    too_large = CliRunner().invoke(app, [*options, "--features", "1000000000"])
    assert too_large.exit_code == 1
    assert "the largest part: topk-32" in too_large.output
    assert not (tmp_path / "run").exists()


def test_an_sae_that_runs_out_of_memory_is_named_with_what_to_lower(
    cache: ActivationCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def far_too_much(self: ReLU, *_: object) -> None:
        torch.empty(1 << 58)

    with monkeypatch.context() as patched:
        patched.setattr(ReLU, "loss", far_too_much)
        with pytest.raises(LmsaesError, match="relu-2 ran out of memory: its 40 features") as error:
            train(cache, SAES, out=tmp_path / "run", **HOW)
    assert error.value.hint
    assert "lower its features" in error.value.hint
    assert len(train(cache, SAES, out=tmp_path / "run", **HOW)) == 2  # nothing is in the way


def test_other_failures_of_a_step_are_left_as_they_are(
    cache: ActivationCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def wrong(self: ReLU, *_: object) -> None:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(ReLU, "loss", wrong)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        train(cache, SAES, out=tmp_path / "run", **HOW)


def test_a_plan_refuses_what_a_run_would_refuse(cache: ActivationCache, tmp_path: Path):
    train(cache, SAES, out=tmp_path / "run", **HOW)
    with pytest.raises(ConfigError, match="tokens: 400 → 800"):
        plan_training(cache, SAES, out=tmp_path / "run", **HOW | {"tokens": 800})
