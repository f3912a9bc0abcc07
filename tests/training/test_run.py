"""`train`: from a cache on disk to SAE folders, stopped and continued, refused and repeated."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from lmsaes.cache.reader import ActivationCache
from lmsaes.cache.writer import CacheWriter
from lmsaes.cli.app import app
from lmsaes.configuration import read_config
from lmsaes.errors import ConfigError
from lmsaes.loader import ShuffledLoader
from lmsaes.provenance import TextPosition
from lmsaes.sae import SAE, BatchTopKConfig, ReLUConfig, SAEConfig, TopK, TopKConfig
from lmsaes.training import SAETrainer, TrainConfig, train
from tests.support.holed_cache import holed_cache
from tests.support.made_up_cache import made_up_manifest, write_made_up_cache

D, CONTEXT = 16, 16
IN, OUT = "blocks.0.hook_resid_pre", "blocks.0.hook_mlp_out"


@pytest.fixture(scope="module")
def cache_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """256 contexts of 16 rows: sparse mixtures of 32 planted directions, far from zero."""
    folder = tmp_path_factory.mktemp("caches") / "made-up"
    manifest = made_up_manifest(
        256, CONTEXT, {IN: D, OUT: D}, shard_contexts=128, block_contexts=16, batch_size=64
    )
    generator = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(32, D, generator=generator), dim=1)
    valid = torch.ones(64, CONTEXT, dtype=torch.bool)
    valid[:, 0] = False
    with CacheWriter(folder, manifest) as writer:
        for batch in range(4):
            fires = torch.rand(64, CONTEXT, 32, generator=generator) < 3 / 32
            rows = fires * torch.rand(fires.shape, generator=generator) @ directions * 9 + 5
            tokens = torch.ones(64, CONTEXT, dtype=torch.int64)
            writer.write(
                tokens, {IN: rows, OUT: rows.flip(-1) * 2}, valid, TextPosition(document=batch)
            )
        writer.finish()
    return folder


CONFIGS: list[SAEConfig] = [TopKConfig(features=48, k=4), ReLUConfig(features=48, l1=1.0)]
Train = Callable[..., list[SAE]]


@pytest.fixture
def run(cache_path: Path, tmp_path: Path) -> Train:
    def train_with(
        configs: list[SAEConfig] | SAEConfig = CONFIGS, out: str = "run", **options: object
    ) -> list[SAE]:
        settings = {"tokens": 12_000, "batch_size": 256, "shuffle_buffer": "16MiB", "hook": IN}
        cache = ActivationCache.open(cache_path)
        results = train(cache, configs, out=tmp_path / out, **(settings | options))  # pyright: ignore
        return [SAE.load(result.path) for result in results]

    return train_with


def rows_of(cache_path: Path, hook: str) -> torch.Tensor:
    cache = ActivationCache.open(cache_path)
    return cache.activations(hook, 0, cache.contexts)[:, 1:].reshape(-1, D)


def fvu(sae: SAE, x: torch.Tensor, target: torch.Tensor) -> float:
    return float(sae.residual(x, target).square().sum() / (target - target.mean(0)).square().sum())


def test_saved_saes_take_raw_activations_and_explain_them(run: Train, cache_path: Path):
    x = rows_of(cache_path, IN)
    for sae in run(tokens=40_000):
        assert sae.provenance is not None
        assert fvu(sae, x, x) < 0.3
        assert fvu(sae, x, x) == pytest.approx(sae.provenance.metrics.fvu, rel=0.2)
        l0 = float((sae.encode(x, dense=True) > 0).sum(1).float().mean())
        assert l0 == pytest.approx(sae.provenance.metrics.l0, rel=0.2)
        torch.testing.assert_close(sae.W_dec.norm(dim=1), torch.ones(48))


def test_a_run_leaves_config_weights_and_metrics_and_no_checkpoints(run: Train, tmp_path: Path):
    run()
    assert {p.name for p in (tmp_path / "run").glob("[!.]*")} == {
        "run.json",
        "speed.jsonl",
        "train.toml",
        "topk-4",
        "relu-1",
    }
    folder = tmp_path / "run" / "topk-4"
    assert {p.name for p in folder.iterdir()} == {
        "config.json",
        "metrics.jsonl",
        "weights.safetensors",
    }
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert (records[-1]["step"], records[-1]["tokens"]) == (47, 47 * 256)
    assert records[-1]["fvu"] == pytest.approx(1 - records[-1]["explained_variance"])
    assert records[-1]["gradient_norm"] > 0
    assert 0 < records[-1]["loss_reconstruction"] <= records[-1]["loss"]
    # every feature that fires is in a bin; 4 of 48 do on a row
    assert 24 < sum(records[-1]["density_histogram"]) <= 48
    quantiles = records[-1]["density_quantiles"]
    assert quantiles == sorted(quantiles)
    assert 0 < quantiles[2] < 0.5
    provenance = json.loads((folder / "config.json").read_text())["provenance"]
    assert provenance["hooks"] == [IN]
    assert provenance["model"] == "made-up"


def test_the_same_arguments_give_the_same_bits(run: Train):
    for one, other in zip(run(out="a"), run(out="b"), strict=True):
        assert all(map(torch.equal, one.state_dict().values(), other.state_dict().values()))


def test_an_sae_does_not_depend_on_its_company(run: Train):
    alone, together = run(CONFIGS[1], out="alone")[0], run(out="together")[1]
    assert torch.equal(alone.W_enc, together.W_enc)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_continues_bit_for_bit(
    run: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
):
    whole = run(out="whole", log_every=7)
    step = SAETrainer.step

    def interrupted_step(self: SAETrainer, x: torch.Tensor, target: torch.Tensor):
        if self.done == 19 and isinstance(self.sae, TopK):
            os.kill(os.getpid(), number)
        return step(self, x, target)

    with monkeypatch.context() as patched:
        patched.setattr(SAETrainer, "step", interrupted_step)
        with pytest.raises(KeyboardInterrupt):
            run(out="parts", log_every=7)
    assert (tmp_path / "parts" / "checkpoints" / "step-00000020").is_dir()
    with pytest.raises(ConfigError, match="log_every: 7 → 50"):
        run(out="parts")
    parts = run(out="parts", log_every=7)
    for one, other in zip(whole, parts, strict=True):
        assert all(map(torch.equal, one.state_dict().values(), other.state_dict().values()))
    steps = [
        json.loads(line)["step"]
        for line in (tmp_path / "parts" / "topk-4" / "metrics.jsonl").read_text().splitlines()
    ]
    assert steps == sorted(set(steps))


def test_a_run_killed_between_checkpoints_repeats_the_lost_steps(
    run: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    whole = run(out="whole", log_every=5)
    step = SAETrainer.step

    def failing_step(self: SAETrainer, x: torch.Tensor, target: torch.Tensor):
        if self.done == 18:
            raise MemoryError
        return step(self, x, target)

    with monkeypatch.context() as patched:
        patched.setattr(SAETrainer, "step", failing_step)
        with pytest.raises(MemoryError):
            run(out="parts", log_every=5, checkpoint_every=12)
    parts = run(out="parts", log_every=5)
    assert torch.equal(whole[0].W_dec, parts[0].W_dec)
    metrics = [tmp_path / out / "topk-4" / "metrics.jsonl" for out in ("whole", "parts")]
    assert metrics[0].read_text() == metrics[1].read_text()


def test_a_finished_run_says_so(run: Train, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    first = run()
    written = (tmp_path / "run" / "topk-4" / "weights.safetensors").stat().st_mtime_ns
    with caplog.at_level("INFO", logger="lmsaes"):
        again = run()
    assert "is finished" in caplog.text
    assert torch.equal(first[0].W_enc, again[0].W_enc)
    assert (tmp_path / "run" / "topk-4" / "weights.safetensors").stat().st_mtime_ns == written


def test_other_arguments_are_refused_by_name_unless_overwritten(run: Train, tmp_path: Path):
    run()
    with pytest.raises(ConfigError, match=r"batch_size: 256 → 128.*saes\[0\]\.k: 4 → 5"):
        run([TopKConfig(features=48, k=5), CONFIGS[1]], batch_size=128)
    run([TopKConfig(features=48, k=5)], overwrite=True)
    assert {p.name for p in (tmp_path / "run").glob("[!.]*")} == {
        "run.json",
        "speed.jsonl",
        "train.toml",
        "topk-5",
    }


def test_a_share_that_is_held_out_is_not_trained_on(run: Train, monkeypatch: pytest.MonkeyPatch):
    loaders: list[ShuffledLoader] = []

    class Noted(ShuffledLoader):
        def __init__(self, *arguments: object, **settings: object) -> None:
            super().__init__(*arguments, **settings)  # pyright: ignore
            loaders.append(self)

    monkeypatch.setattr("lmsaes.training.source.ShuffledLoader", Noted)
    short = {"tokens": 1_000}
    assert run(CONFIGS[0], heldout=0.25, **short)[0].provenance.contexts == 192  # pyright: ignore
    assert run(CONFIGS[0], out="all", **short)[0].provenance.contexts == 256  # pyright: ignore
    assert [loader.rows for loader in loaders] == [192 * (CONTEXT - 1), 256 * (CONTEXT - 1)]
    with pytest.raises(ConfigError, match=r"heldout 0\.999 leaves none"):
        run(CONFIGS[0], out="none", heldout=0.999)


def test_a_folder_of_something_else_is_left_alone(run: Train, tmp_path: Path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("")
    for overwrite in (False, True):
        with pytest.raises(ConfigError, match="is not empty"):
            run(overwrite=overwrite)


def test_a_transcoder_maps_one_hook_to_another(run: Train, cache_path: Path):
    (sae,) = run(TopKConfig(features=48, k=4, target=OUT), tokens=40_000)
    assert fvu(sae, rows_of(cache_path, IN), rows_of(cache_path, OUT)) < 0.3


def test_a_transcoder_with_a_skip_needs_few_features(run: Train, cache_path: Path):
    (sae,) = run(TopKConfig(features=48, k=1, target=OUT, skip=True), tokens=40_000)
    assert fvu(sae, rows_of(cache_path, IN), rows_of(cache_path, OUT)) < 0.2


@pytest.mark.parametrize(
    "config",
    [
        TopKConfig(features=48, k=4, hooks=(IN, OUT)),
        BatchTopKConfig(features=48, k=4, hooks=(IN, OUT)),
        ReLUConfig(features=48, l1=1, hooks=(IN, OUT)),
    ],
    ids=lambda c: c.architecture,
)
def test_a_crosscoder_reads_and_writes_several_hooks(
    run: Train, cache_path: Path, config: SAEConfig
):
    (sae,) = run(config, tokens=40_000, hook=None)
    x = torch.cat([rows_of(cache_path, IN), rows_of(cache_path, OUT)], 1)
    assert sae.W_dec.shape == (48, 2 * D)
    assert fvu(sae, x, x) < 0.3


@pytest.mark.parametrize(
    "setting",
    [
        {"normalize": "layer_norm"},
        {"normalize": "whiten"},
        {"normalize": "mean_norm", "center": "geometric_median"},
        {"init": "active"},
        {"normalize": "layer_norm", "hooks": (IN, OUT)},
        {"normalize": "whiten", "hooks": (IN, OUT)},
        {"normalize": "layer_norm", "target": OUT, "skip": True},
        {"normalize": "whiten", "target": OUT, "skip": True},
    ],
    ids=lambda setting: "-".join(str(value) for value in setting.values()),
)
def test_a_saved_sae_takes_raw_rows_however_they_were_normalized(
    run: Train, cache_path: Path, setting: dict[str, object]
):
    config = TopKConfig.model_validate({"features": 48, "k": 6} | setting)
    (sae,) = run(config, tokens=20_000, hook=None if config.hooks else IN)
    x = torch.cat([rows_of(cache_path, hook) for hook in config.inputs or (IN,)], 1)
    target = x if config.target is None else rows_of(cache_path, config.target)
    assert fvu(sae, x, target) < 0.4


def test_saes_share_one_normalized_batch(run: Train, monkeypatch: pytest.MonkeyPatch):
    batches: dict[str, list[int]] = {}
    step = SAETrainer.step

    def noting_step(self: SAETrainer, x: torch.Tensor, target: torch.Tensor):
        batches.setdefault(self.sae.config.name, []).append(id(x))
        assert (x is target) is (self.sae.config.target is None)
        return step(self, x, target)

    monkeypatch.setattr(SAETrainer, "step", noting_step)
    others = [TopKConfig(features=48, k=3, target=OUT), ReLUConfig(features=48, normalize="none")]
    run([*CONFIGS, *others], tokens=256)
    whole, again, transcoder, raw = (ids[0] for ids in batches.values())
    assert whole == again == transcoder != raw


def test_a_short_run_says_which_defaults_it_shortens(run: Train, caplog: pytest.LogCaptureFixture):
    with caplog.at_level("INFO", logger="lmsaes"):
        run([TopKConfig(features=48, k=4, dead_window=100), CONFIGS[1]], tokens=2_000)
    assert "counts as dead after 250 silent tokens, not 10M" in caplog.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hook": "blocks.9.hook_resid_pre"}, "does not hold hook"),
        ({"hook": None}, "hook"),
        ({"tokens": 0}, "tokens"),
        ({"device": "abacus"}, "device 'abacus' can't be used"),
        ({"configs": []}, "no SAE"),
        ({"configs": [TopKConfig(k=4), TopKConfig(k=4, lr=1.0)]}, "two SAEs are called 'topk-4'"),
        ({"configs": [TopKConfig(features=2_000_000_000, k=4)]}, "of memory"),
    ],
)
def test_arguments_that_cannot_work_are_refused(
    run: Train, options: dict[str, object], message: str
):
    with pytest.raises(ConfigError, match=message):
        run(**options)


def test_the_command_trains_a_sweep_from_a_file(cache_path: Path, tmp_path: Path):
    file = tmp_path / "sweep.toml"
    file.write_text(
        f"""
        cache = "{cache_path}"
        hook = "{IN}"
        tokens = "5k"
        batch_size = 256

        [[sae]]
        architecture = "topk"
        features = 32
        k = 3

        [[sae]]
        architecture = "relu"
        features = 32
        """
    )
    result = CliRunner().invoke(
        app, ["train", "--config", str(file), "--out", str(tmp_path / "run")]
    )
    assert result.exit_code == 0, result.output
    assert "topk-3" in result.output
    assert f"lmsaes analyze {tmp_path / 'run'}" in result.output.replace("\n", "")
    assert SAE.load(tmp_path / "run" / "relu-2").features == 32


def test_recipes_that_come_with_the_project_are_valid(tmp_path: Path):
    root = Path(__file__).parents[2]
    recipes = [*root.glob("examples/*.toml"), root / "lmsaes/demo/sweep.toml"]
    assert len(recipes) > 1
    for recipe in recipes:
        config = TrainConfig.of({"cache": "c", "out": "o"} | read_config(recipe))
        labels = [sae.name for sae in config.saes]
        assert len(set(labels)) == len(labels)


def test_rows_that_are_not_finite_are_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    cache = holed_cache(tmp_path / "cache")
    configs: list[SAEConfig] = [
        TopKConfig(features=12, k=2, hook="a"),
        TopKConfig(features=12, k=2, hook="b", normalize="whiten", name="whitened"),
    ]
    with caplog.at_level("INFO", logger="lmsaes"):
        results = train(cache, configs, out=tmp_path / "run", tokens=500, batch_size=64)
    assert "left out: 3 rows that are not finite, of 224" in caplog.text
    for result in results:
        provenance = SAE.load(result.path).provenance
        assert provenance is not None
        assert (provenance.cache_rows, provenance.rows, provenance.rows_not_finite) == (256, 221, 3)


def test_an_incomplete_cache_is_called_so_and_its_rows_are_recorded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    manifest = made_up_manifest(64, 8, {"hook": 6}, shard_contexts=16)
    write_made_up_cache(tmp_path / "cache", manifest, stop_after=32)
    config = TopKConfig(features=12, k=2)
    with caplog.at_level("INFO", logger="lmsaes"):
        (result,) = train(tmp_path / "cache", config, out=tmp_path / "run", tokens=500)
    assert "this cache is incomplete: 256 of 512 tokens" in caplog.text
    provenance = SAE.load(result.path).provenance
    assert provenance is not None
    assert provenance.cache_rows == 256
    write_made_up_cache(tmp_path / "cache", manifest)
    with pytest.raises(ConfigError, match="cache_rows: 256 → 512"):
        train(tmp_path / "cache", config, out=tmp_path / "run", tokens=500)
