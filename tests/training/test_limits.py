"""Settings that can't be meant are refused in one line before anything is made."""

import math
from pathlib import Path
from typing import Any

import pytest

from lmsaes.cache import ActivationCache
from lmsaes.errors import ConfigError
from lmsaes.training import TrainConfig, train
from tests.support.made_up_cache import made_up_cache


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> ActivationCache:
    folder = tmp_path_factory.mktemp("caches") / "cache"
    return made_up_cache(folder, 64, hooks={"hook": 8}, block_contexts=4, context_size=8)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seed": -1}, "seed should be greater than or equal to 0, not -1"),
        ({"seed": 2**63}, "seed should be less than"),
        ({"seed": 2**63 - 1, "seeds": 2}, "seed . seeds is too large"),
        ({"seeds": 10**9}, "seeds should be less than or equal to 1000"),
        ({"tokens": 0}, "tokens should be greater than 0"),
        ({"tokens": "nan"}, "'nan' is not a count"),
        ({"features": 10**9}, "needs about 477 GiB of memory, .* are free"),
        ({"features": 2**62}, "needs about .* of memory, .* are free"),
        ({"batch_size": 10**12}, "needs about .* of memory, .* are free"),
        ({"expansion": 1e-9}, "8 dimensions make 0 features"),
        ({"expansion": 1e300}, "expansion = 1e.300 is out of range"),
        ({"k": 100, "features": 10}, "k = 100 is more than the 10 features"),
        ({"k": 10**6}, "8 dimensions make 128 features, and k is 1000000"),
        ({"lr": math.inf}, "lr should be a finite number, not inf"),
        ({"lr": math.nan}, "lr should be a finite number, not nan"),
        ({"lr": 1e300}, "lr = 1e.300 is out of range"),
        ({"lr": 0.0}, "lr should be greater than 0"),
        ({"architecture": "jumprelu", "threshold": 1e300}, "threshold = 1e.300 is out of range"),
        ({"architecture": "hierarchical", "levels": [0, 4]}, "levels lie between 1 and k = 32"),
        ({"architecture": "matryoshka", "prefixes": [math.nan, 1]}, "finite number, not nan"),
        ({"resample": [2.0]}, "resample: shares of the run lie between 0 and 1"),
        ({"max_norm": 1e-300}, "no row of the cache is left to train on"),
        ({"name": "x" * 300}, "too long for a folder's name"),
        ({"name": "é" * 150}, "too long for a folder's name"),
        ({"name": "a/b"}, "'a/b' can't be a folder's name"),
        ({"name": "a\0b"}, "can't be a folder's name"),
        ({"name": ".."}, "'..' can't be a folder's name"),
        ({"name": "diverged"}, "'diverged' can't be an SAE's folder"),
        ({"name": "wandb"}, "'wandb' can't be an SAE's folder"),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, dict) else "",
)
def test_a_setting_out_of_range_is_refused_in_one_line(
    cache: ActivationCache, tmp_path: Path, settings: dict[str, Any], message: str
):
    def train_with() -> None:
        config = TrainConfig.of(
            {"cache": str(cache.path), "out": str(tmp_path / "run"), "device": "cpu"}
            | {"tokens": 1000, "batch_size": 64, "shuffle_buffer": "1MiB"}
            | settings
        )
        given = {name: value for name, value in config if name not in ("sae", "cache", "out")}
        train(cache, config.sae, out=config.out, **given)

    with pytest.raises(ConfigError, match=message) as error:
        train_with()
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run/run.json").exists()
