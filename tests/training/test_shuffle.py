"""What `train` asks of the loader: rows mixed well, and an order that stays the run's own."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from lmsaes.cache.reader import ActivationCache
from lmsaes.errors import ConfigError
from lmsaes.loader.loader import ENOUGH_BLOCKS, ShuffledLoader
from lmsaes.sae import TopKConfig
from lmsaes.training import train
from lmsaes.units import parse_bytes
from tests.support.made_up_cache import made_up_cache


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> ActivationCache:
    """250 blocks of 64 rows."""
    folder = tmp_path_factory.mktemp("caches") / "c"
    return made_up_cache(folder, 4000, block_contexts=16, shard_contexts=1600, batch_size=400)


@pytest.fixture
def run(cache: ActivationCache, tmp_path: Path) -> Callable[..., None]:
    def train_with(memory: int | str, tokens: int = 2000, **options: object) -> None:
        config = TopKConfig(features=8, k=2)
        train(
            cache, config, out=tmp_path / "run", tokens=tokens, batch_size=500,
            shuffle_buffer=memory, **options,  # pyright: ignore
        )  # fmt: skip

    return train_with


@pytest.fixture
def small(cache: ActivationCache) -> int:
    """Memory for a pool of a part of the rows."""
    with ShuffledLoader(cache, "hook", drop_special=True, pool_rows=3072) as loader:
        return loader.memory_for(3072)


def test_a_pool_of_few_blocks_is_refused_with_the_memory_that_would_do(run, small):
    with pytest.raises(ConfigError, match=f"{ENOUGH_BLOCKS} are enough") as error:
        run(small)
    assert error.value.hint
    assert "--allow-poor-shuffle" in error.value.hint
    enough = error.value.hint.split()[2].rstrip(",")
    run(parse_bytes(enough))


def test_a_poor_shuffle_is_made_when_asked_for_and_told(run, small, caplog):
    with caplog.at_level(logging.INFO, "lmsaes"):
        run(small, allow_poor_shuffle=True)
    assert "draws from 3.07k rows" in caplog.text
    assert "fills of the pool" in caplog.text


def test_a_run_keeps_its_pool_whatever_memory_it_is_given_later(run, small, tmp_path, monkeypatch):
    stop = KeyboardInterrupt("stopped")

    def stopped(*_: object) -> None:
        raise stop

    with monkeypatch.context() as patch:
        patch.setattr("lmsaes.training.sweep.Sweep._finish", stopped)
        with pytest.raises(KeyboardInterrupt):
            run(small, allow_poor_shuffle=True)
    with pytest.raises(ConfigError, match="a pool of 3072 rows takes") as error:
        run(small // 2)
    assert error.value.hint
    run("1GiB")
    assert json.loads((tmp_path / "run/run.json").read_text())["pool_rows"] == 3072


def test_what_is_left_out_belongs_to_a_run(run):
    run("1GiB", max_norm=3.0, skip_positions=[1])
    with pytest.raises(ConfigError, match="max_norm"):
        run("1GiB", skip_positions=[1])
    with pytest.raises(ConfigError, match="skip_positions"):
        run("1GiB", max_norm=3.0)
