"""Training goes on from any SAE, on any cache, as the same function; parts of it may stay."""

from pathlib import Path
from typing import Any

import pytest
import torch

from lmsaes.cache import ActivationCache
from lmsaes.cache.writer import CacheWriter
from lmsaes.errors import ConfigError, LmsaesError
from lmsaes.provenance import TextPosition
from lmsaes.sae import (
    SAE,
    BatchTopKConfig,
    GatedConfig,
    Imported,
    JumpReLUConfig,
    MatryoshkaConfig,
    ReLUConfig,
    SAEConfig,
    TopKConfig,
)  # fmt: skip
from lmsaes.training import Normalization, SAETrainer, TrainConfig, train
from lmsaes.training.split import _refusal
from lmsaes.training.start_from import started_sae
from tests.support.made_up_cache import made_up_manifest

D = 8
HOW = {"batch_size": 32, "shuffle_buffer": "1MiB", "device": "cpu", "drop_special": False}
KINDS: list[SAEConfig] = [
    TopKConfig(features=24, k=2),
    BatchTopKConfig(features=24, k=2),
    MatryoshkaConfig(features=32, k=2),
    ReLUConfig(features=24, l1=1),
    GatedConfig(features=24, l1=1),
    JumpReLUConfig(features=24, l0=2),
    TopKConfig(features=24, k=2, normalize="whiten", name="whitened"),
    TopKConfig(features=24, k=2, normalize="layer_norm", name="row-normed"),
]


def rows_around(mean: float, scale: float, seed: int) -> torch.Tensor:
    """Sparse mixtures of 12 planted directions."""
    planted = torch.nn.functional.normalize(
        torch.randn(12, D, generator=torch.Generator().manual_seed(0)), dim=1
    )
    generator = torch.Generator().manual_seed(seed)
    fires = torch.rand(64, 16, 12, generator=generator) < 1 / 6
    return fires * torch.rand(fires.shape, generator=generator) @ planted * scale + mean


def cache_of(folder: Path, rows: torch.Tensor) -> ActivationCache:
    """A cache of `rows` [64, 16, D]."""
    manifest = made_up_manifest(64, 16, {"hook": D}, shard_contexts=64, batch_size=64)
    with CacheWriter(folder, manifest) as writer:
        valid = torch.ones(64, 16, dtype=torch.bool)
        writer.write(valid.long(), {"hook": rows}, valid, TextPosition(document=0))
        writer.finish()
    return ActivationCache.open(folder)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> ActivationCache:
    return cache_of(tmp_path_factory.mktemp("c") / "one", rows_around(3, 5, 1))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> ActivationCache:
    """Of other data: around another mean, at another scale."""
    return cache_of(tmp_path_factory.mktemp("c") / "two", rows_around(-1, 11, 2))


@pytest.fixture(scope="module")
def run(cache: ActivationCache, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    train(cache, KINDS, out=out, tokens=4000, **HOW)
    return out


def normalization(cache: ActivationCache, config: SAEConfig) -> Normalization:
    record = cache.hooks["hook"]
    assert record.statistics is not None
    rows = cache.activations("hook", 0, 64).reshape(-1, D)
    return Normalization.of(record.statistics, config.normalize, rows)


def continued(start: Path, **settings: Any) -> SAEConfig:
    (config,) = TrainConfig.of({"cache": "c", "out": "o", "start_from": str(start)} | settings).saes
    return config


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_it_starts_as_the_same_function_on_another_cache(
    run: Path, other: ActivationCache, kind: SAEConfig
):
    source, config = SAE.load(run / kind.name), continued(run / kind.name)
    assert config.architecture == kind.architecture
    units = normalization(other, config)
    sae = started_sae(config, units, units)
    again = sae.fold_normalization(units.mean, units.scale, units.mean, units.scale)
    x = rows_around(-1, 11, 3).reshape(-1, D)
    torch.testing.assert_close(again(x), source(x), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(
        again.encode(x, dense=True), source.encode(x, dense=True), rtol=1e-3, atol=1e-3
    )


def test_an_imported_sae_with_an_input_bias_is_continued(
    run: Path, other: ActivationCache, tmp_path: Path
):
    """Its settings are known in part, and it subtracts its bias from what goes in."""
    source = SAE.load(run / "relu-1")
    source.input_bias = torch.full((D,), 300.0)
    source.imported = Imported(
        format="saelens", source="x", file_sha256={}, hooks=("hook",), dtype="float32"
    )
    source.provenance, source.config = None, ReLUConfig(features=24)
    source.save(tmp_path / "imported")
    config = continued(tmp_path / "imported")
    assert (config.architecture, config.hook) == ("relu", "hook")
    units = normalization(other, config)
    sae = started_sae(config, units, units)
    x = rows_around(299, 11, 3).reshape(-1, D)
    torch.testing.assert_close(
        sae.fold_normalization(units.mean, units.scale, units.mean, units.scale)(x), source(x),
        rtol=1e-3, atol=1e-2,
    )  # fmt: skip
    (result,) = train(other, config, out=tmp_path / "run", tokens=500, **HOW)
    assert SAE.load(result.path).input_bias is None


def test_a_short_run_from_an_sae_is_better_than_one_from_nothing(
    run: Path, cache: ActivationCache, tmp_path: Path
):
    short = {"tokens": 320, **HOW}
    (new,) = train(cache, KINDS[0], out=tmp_path / "new", **short)
    (goes_on,) = train(
        cache,
        TopKConfig(start_from=str(run / "topk-2"), lr=1e-4),
        out=tmp_path / "goes-on",
        **short,
    )
    assert new.metrics is not None
    assert goes_on.metrics is not None
    assert goes_on.metrics.fvu is not None
    assert new.metrics.fvu is not None
    assert goes_on.metrics.fvu < 0.8 * new.metrics.fvu
    provenance = SAE.load(goes_on.path).provenance
    assert provenance is not None
    assert provenance.started_from == str(run / "topk-2")
    assert provenance.started_from_sha256 is not None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hook": "other"}, "was trained on hook, not on other"),
        ({"architecture": "relu"}, "is a topk SAE, and can't go on as relu"),
        ({"start_from": "nowhere"}, "nowhere is not a folder"),
    ],
)
def test_what_cannot_be_continued_is_refused(run: Path, settings: dict[str, Any], message: str):
    with pytest.raises(LmsaesError, match=message):
        continued(run / "topk-2", **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"features": 32}, "its features: 24; here: 32"),
        ({"normalize": "layer_norm"}, "its normalization: weights alone"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(
    run: Path, cache: ActivationCache, tmp_path: Path, settings: dict[str, Any], message: str
):
    config = continued(run / "topk-2", **settings)
    with pytest.raises(ConfigError, match=message):
        train(cache, config, out=tmp_path / "run", tokens=500, **HOW)


def test_settings_come_from_the_sae_but_for_those_of_its_run(run: Path):
    config = continued(run / "relu-1", lr=1e-4)
    assert (config.features, config.l1, config.l1_warmup, config.lr, config.seed) == (
        24, 1, 0, 1e-4, 0,
    )  # pyright: ignore[reportAttributeAccessIssue]  # fmt: skip


@pytest.mark.parametrize(
    ("freeze", "stays"),
    [
        (("encoder",), {"W_enc", "threshold"}),
        (("decoder",), {"W_dec"}),
        (("bias",), {"b_enc", "b_dec"}),
        (("encoder", "bias"), {"W_enc", "threshold", "b_enc", "b_dec"}),
    ],
)
@pytest.mark.parametrize("kind", ["batchtopk", "jumprelu"])
def test_what_is_frozen_stays_to_the_bit(
    cache: ActivationCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    freeze: tuple[str, ...], stays: set[str], kind: str,
):  # fmt: skip
    seen: list[dict[str, torch.Tensor]] = []
    step = SAETrainer.step

    def noting(self: SAETrainer, x: torch.Tensor, target: torch.Tensor):
        seen.append({name: value.clone() for name, value in self.sae.state_dict().items()})
        return step(self, x, target)

    monkeypatch.setattr(SAETrainer, "step", noting)
    (config,) = TrainConfig.of(
        {"cache": "c", "out": "o", "architecture": kind, "features": 24, "freeze": freeze}
        | ({"k": 2} if kind == "batchtopk" else {"l0": 2})
    ).saes
    train(cache, config, out=tmp_path / "run", tokens=320, **HOW)
    same = {name for name, value in seen[0].items() if torch.equal(value, seen[-1][name])}
    assert same == stays


def test_fine_tuning_against_shrinkage_keeps_what_fires_and_lengthens_it(
    run: Path, cache: ActivationCache, tmp_path: Path
):
    x = rows_around(3, 5, 4).reshape(-1, D)
    config = ReLUConfig(start_from=str(run / "relu-1"), fine_tune="shrinkage", lr=1e-2)
    (result,) = train(cache, config, out=tmp_path / "run", tokens=8000, **HOW)
    before, after = SAE.load(run / "relu-1"), SAE.load(result.path)
    fired, still = (sae.encode(x, dense=True) > 1e-4 for sae in (before, after))
    assert (fired == still).float().mean() > 0.999  # but for the rounding of units
    assert after.residual(x).square().sum() < 0.7 * before.residual(x).square().sum()
    mean = x.mean(0)
    norms = [(sae(x) - mean).norm(dim=1).mean() / (x - mean).norm(dim=1).mean()
             for sae in (before, after)]  # fmt: skip
    assert norms[0] < norms[1] <= 1.02


def test_the_start_belongs_to_a_run(run: Path, cache: ActivationCache, tmp_path: Path):
    config = TopKConfig(start_from=str(run / "topk-2"))
    train(cache, config, out=tmp_path / "run", tokens=320, **HOW)
    moved = SAE.load(run / "topk-2")
    moved.save(tmp_path / "moved")
    with pytest.raises(ConfigError, match="start_from"):
        train(cache, TopKConfig(start_from=str(tmp_path / "moved")), out=tmp_path / "run",
              tokens=320, **HOW)  # fmt: skip


@pytest.mark.parametrize("mode", ["features", "rows"])
def test_fine_tuning_is_not_shared_out_among_ranks(run: Path, cache: ActivationCache, mode: str):
    config = continued(run / "relu-1", fine_tune="shrinkage")
    assert "relu-1 is fine-tuned" in str(_refusal(mode, [config], cache, 2))
    assert _refusal("saes", [config], cache, 2) is None
