"""Metrics also go to Weights & Biases when asked; here offline, into files of its own."""

from pathlib import Path

import pytest

from lmsaes.sae import ReLUConfig, TopKConfig
from lmsaes.training import train
from tests.support.made_up_cache import made_up_cache


def test_each_sae_becomes_a_run_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    cache = made_up_cache(tmp_path / "cache", 64, hooks={"hook": 8}, block_contexts=4)
    saes = [TopKConfig(features=16, k=2), ReLUConfig(features=16)]
    results = train(
        cache, saes, out=tmp_path / "run", tokens=800, batch_size=16, shuffle_buffer="1MiB",
        device="cpu", log_every=10, wandb="lmsaes-tests",
    )  # fmt: skip
    assert len(results) == 2
    logged = sorted((tmp_path / "run/wandb").glob("offline-run-*/*.wandb"))
    assert len(logged) == 2
    content = b"".join(path.read_bytes() for path in logged)
    for name in (b"metrics/explained_variance", b"losses/mse_loss", b"details/n_training_samples"):
        assert name in content
    assert b"lmsaes-tests" in content
