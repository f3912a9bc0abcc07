"""Metrics also go to TensorBoard's event files when asked."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from lmsaes.errors import ConfigError
from lmsaes.sae import ReLUConfig, TopKConfig
from lmsaes.training import train
from tests.support.made_up_cache import made_up_cache

SETTINGS: dict[str, Any] = {
    "tokens": 800, "batch_size": 16, "shuffle_buffer": "1MiB", "device": "cpu", "log_every": 10,
    "tensorboard": True,
}  # fmt: skip


def test_each_sae_has_its_curves(tmp_path: Path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_file_loader")
    cache = made_up_cache(tmp_path / "cache", 64, hooks={"hook": 8}, block_contexts=4)
    saes = [TopKConfig(features=16, k=2), ReLUConfig(features=16)]
    for result in train(cache, saes, out=tmp_path / "run", **SETTINGS):
        lines = [json.loads(x) for x in (result.path / "metrics.jsonl").read_text().splitlines()]
        (file,) = (tmp_path / "run" / "tensorboard" / result.name).glob("events.*")
        found = {
            (value.tag, event.step): value.tensor.float_val[0]
            for event in events.EventFileLoader(str(file)).Load()
            for value in event.summary.value
        }
        for line in lines:
            assert found["metrics/l0", line["step"]] == pytest.approx(line["l0"])
            median = found["density_quantiles/50", line["step"]]
            assert median == pytest.approx(line["density_quantiles"][2])


def test_without_the_package_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard.writer", None)
    cache = made_up_cache(tmp_path / "cache", 64, hooks={"hook": 8}, block_contexts=4)
    with pytest.raises(ConfigError, match="needs the package tensorboard"):
        train(cache, TopKConfig(features=16, k=2), out=tmp_path / "run", **SETTINGS)
