"""Pruning leaves out features that don't count, and what is left is the same SAE."""

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from lmsaes.cache import ActivationCache
from lmsaes.cli.app import app
from lmsaes.errors import ConfigError
from lmsaes.sae import (
    SAE,
    BatchTopKConfig,
    GatedConfig,
    JumpReLUConfig,
    MatryoshkaConfig,
    ReLUConfig,
    SAEConfig,
    TopKConfig,
    read_evaluation,
)  # fmt: skip
from lmsaes.training import prune
from tests.support.made_from_rows import sae_from_rows
from tests.support.made_up_cache import made_up_cache

DEAD = [0, 3, 4, 15]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> ActivationCache:
    folder = tmp_path_factory.mktemp("caches") / "cache"
    return made_up_cache(folder, 64, hooks={"hook": 8}, block_contexts=4)


def sae_with_dead(cache: ActivationCache, config: SAEConfig, folder: Path) -> SAE:
    """Of 16 features, those in DEAD can't fire; feature 1 has a short decoder row."""
    sae = sae_from_rows(cache, config, folder)
    with torch.no_grad():
        sae.W_enc[DEAD] = 0
        sae.b_enc[DEAD] = -1
        sae.W_dec[1] *= 1e-3
    sae.save(folder)
    return SAE.load(folder)


@pytest.mark.parametrize(
    "config",
    [
        TopKConfig(features=16, k=2, hook="hook"),
        BatchTopKConfig(features=16, k=2, hook="hook"),
        MatryoshkaConfig(features=16, k=2, hook="hook", prefixes=(1 / 16, 7 / 16, 0.5)),
        ReLUConfig(features=16, hook="hook"),
        GatedConfig(features=16, hook="hook"),
        JumpReLUConfig(features=16, hook="hook", threshold=0.1),
    ],
    ids=lambda config: config.architecture,
)
def test_what_is_left_is_the_same_function(
    cache: ActivationCache, tmp_path: Path, config: SAEConfig
):
    whole = sae_with_dead(cache, config, tmp_path / "whole")
    x = cache.activations("hook", 0, 64).reshape(-1, 8)
    alive = (whole.encode(x, dense=True) > 0).any(0)
    result = prune(tmp_path / "whole", cache, tmp_path / "small", device="cpu")
    small = SAE.load(tmp_path / "small")
    assert set(DEAD) <= set(result.removed["dead"])
    assert set(result.kept) <= set(alive.nonzero().squeeze(1).tolist())
    assert small.features == len(result.kept) < 16
    torch.testing.assert_close(
        small.encode(x, dense=True), whole.encode(x, dense=True)[:, result.kept]
    )
    valid = cache.valid_positions(cache.tokens(0, 64)).reshape(-1)
    torch.testing.assert_close(small(x[valid]), whole(x[valid]))
    assert result.evaluations[0].fvu == pytest.approx(result.evaluations[1].fvu)
    assert read_evaluation(tmp_path / "small") is not None
    record = json.loads((tmp_path / "small/pruned.json").read_text())
    assert [old for old, new in enumerate(record["new_index"]) if new is not None] == result.kept
    assert [new for new in record["new_index"] if new is not None] == [*range(small.features)]


def test_weak_and_short_features_go_by_their_reason(cache: ActivationCache, tmp_path: Path):
    whole = sae_with_dead(cache, ReLUConfig(features=16, hook="hook"), tmp_path / "whole")
    x = cache.activations("hook", 0, 64).reshape(-1, 8)
    x = x[cache.valid_positions(cache.tokens(0, 64)).reshape(-1)]
    largest = whole.encode(x, dense=True).amax(0)
    cut = float(largest[largest > 0].median())
    result = prune(
        tmp_path / "whole", cache, tmp_path / "small", device="cpu", min_activation=cut,
        min_norm=0.01,
    )  # fmt: skip
    weak = [i for i in range(16) if 0 < largest[i] < cut]
    assert result.removed["weak"] == weak
    assert result.removed["short"] == ([] if 1 in [*weak, *result.removed["dead"]] else [1])
    every = sorted(i for indices in result.removed.values() for i in indices)
    assert sorted([*every, *result.kept]) == list(range(16))


def test_too_much_is_refused_and_nothing_is_written(cache: ActivationCache, tmp_path: Path):
    sae_with_dead(cache, TopKConfig(features=16, k=8, hook="hook"), tmp_path / "whole")
    with pytest.raises(ConfigError, match="features would be left, fewer than 8"):
        prune(tmp_path / "whole", cache, tmp_path / "small", device="cpu", min_activation=1e6)
    assert not (tmp_path / "small").exists()
    with pytest.raises(ConfigError, match="would replace itself"):
        prune(tmp_path / "whole", cache, tmp_path / "whole", device="cpu")
    (tmp_path / "small").mkdir()
    (tmp_path / "small/thesis.tex").write_text("")
    with pytest.raises(ConfigError, match="is there already"):
        prune(tmp_path / "whole", cache, tmp_path / "small", device="cpu")


def test_the_command_shows_both(cache: ActivationCache, tmp_path: Path):
    sae_with_dead(cache, ReLUConfig(features=16, hook="hook"), tmp_path / "whole")
    result = CliRunner().invoke(
        app,
        ["prune", str(tmp_path / "whole"), "--cache", str(cache.path), "--out",
         str(tmp_path / "small"), "--device", "cpu"],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "removed: " in result.output
    assert "lmsaes analyze" in result.output
