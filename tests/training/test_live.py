"""`train` without a cache: a model that runs while the SAEs train, stopped and gone on with."""

import json
import os
import signal
from collections import deque
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from lmsaes import ActivationCache, cache_activations, evaluate
from lmsaes.capture import LiveConfig, LiveRows
from lmsaes.cli.app import app
from lmsaes.demo import HELDOUT, MODEL
from lmsaes.errors import ConfigError
from lmsaes.loader import Chunk, StreamLoader
from lmsaes.sae import SAE, BatchTopKConfig, JumpReLUConfig, SAEConfig, TopK, TopKConfig
from lmsaes.training import SAETrainer, train
from tests.support.small_capture import SMALL

RESID, IN, OUT = "blocks.1.hook_resid_post", "blocks.1.mlp.hook_in", "blocks.1.hook_mlp_out"
FIRST = "blocks.0.hook_resid_post"
LIVE = {key: SMALL[key] for key in ("model", "dataset", "device", "context_size", "batch_size")}
CONFIGS: list[SAEConfig] = [
    TopKConfig(hook=RESID, features=64, k=4, normalize="whiten"),
    BatchTopKConfig(hook=IN, target=OUT, features=64, k=4, skip=True, name="transcoder"),
    JumpReLUConfig(hooks=(FIRST, RESID), features=64, l0=4, name="crosscoder"),
]
SETTINGS: dict[str, Any] = {
    "live": LIVE,
    "tokens": 3000,
    "batch_size": 128,
    "shuffle_buffer": "2MiB",
    "allow_poor_shuffle": True,
    "checkpoint_every": 5,
    "device": "cpu",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a run, and a cache of the beginning of the same text."""
    folder = tmp_path_factory.mktemp("live")
    train(None, CONFIGS, out=folder / "run", **SETTINGS)
    cache_activations(**SMALL, hooks=[RESID, IN, OUT, FIRST], tokens=6400, out=folder / "cache")
    return folder


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> LiveRows:
    """On a text of 24 contexts."""
    text = tmp_path_factory.mktemp("text") / "short.jsonl"
    text.write_text(json.dumps({"text": "Every cloud has a silver lining, they say. " * 70}))
    return LiveRows(LiveConfig.of(LIVE | {"dataset": text}), [RESID, FIRST], 1000)


def test_its_rows_are_those_that_a_cache_of_the_same_text_would_hold(folder: Path):
    cache = ActivationCache.open(folder / "cache")
    live = LiveRows(LiveConfig.of(LIVE), [RESID, FIRST], 3000)
    assert live.identity == cache.identity
    tokens = cache.tokens(0, cache.contexts)
    valid = cache.valid_positions(tokens)
    expected = cache.activations(RESID, 0, cache.contexts)[valid]
    loader = StreamLoader(live.stream([RESID], True, ()), 3000, 128, pool_rows=640)
    rows = torch.cat([batch[RESID] for batch in loader])
    assert not torch.equal(rows, expected[:3000])
    assert torch.equal(_in_order(rows), _in_order(expected[:3000]))


def _in_order(rows: torch.Tensor) -> torch.Tensor:
    """Rows sorted by their first values."""
    keys = rows[:, 0].double() + rows[:, 1].double() * 1e-5
    return rows[keys.argsort()]


def test_a_text_that_ends_is_read_again_and_places_lead_back(
    live: LiveRows, caplog: pytest.LogCaptureFixture
):
    stream = live.stream([RESID, FIRST], True, (3, -1))
    chunks = stream.chunks(None)
    found: list[Chunk] = [next(chunks) for _ in range(16)]
    assert "read again from its start" in caplog.text
    passes = [chunk.start["passes"] for chunk in found]
    second = passes.index(1)
    assert torch.equal(found[second].rows[FIRST], found[0].rows[FIRST])
    assert stream.contexts_read(found[second - 1].start) == 4 * second
    assert stream.contexts_read(found[second].start) is None
    for at in (2, second + 1):
        again = next(stream.chunks(json.loads(json.dumps(found[at].start))))
        assert all(torch.equal(rows, found[at].rows[hook]) for hook, rows in again.rows.items())
    assert found[0].rows[RESID].shape[0] == 4 * (32 - 3)  # the first, the fourth and the last


def test_rows_that_the_dtype_cant_hold_are_left_out_and_counted(
    live: LiveRows, monkeypatch: pytest.MonkeyPatch
):
    found = live.model.activations

    def huge(tokens: torch.Tensor, hooks: Any) -> dict[str, torch.Tensor]:
        rows = {hook: each.clone() for hook, each in found(tokens, hooks).items()}
        rows[FIRST][0, 5] = 1e6
        return rows

    monkeypatch.setattr(live.model, "activations", huge)
    stream = live.stream([RESID, FIRST], True, ())
    chunks = stream.chunks(None)
    first, second = next(chunks), next(chunks)
    assert first.rows[RESID].shape[0] == 4 * 31 - 1
    assert stream.not_finite(second.start) == 1
    monkeypatch.setattr(live.model, "activations", lambda t, h: {x: huge(t, h)[x] / 0 for x in h})
    with pytest.raises(ConfigError, match="no row of the text is left"):
        deque(stream.chunks(None), 0)


def test_a_text_of_less_than_a_context_is_refused(tmp_path: Path):
    (tmp_path / "short.txt").write_text("few words")
    settings: dict[str, Any] = SETTINGS | {"live": LIVE | {"dataset": tmp_path / "short.txt"}}
    with pytest.raises(ConfigError, match="does not fill one context"):
        train(None, CONFIGS, out=tmp_path / "run", **settings)


def test_a_run_that_was_stopped_goes_on_to_the_same_bits(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    unpatched = SAETrainer.step

    def interrupted(self: SAETrainer, x: torch.Tensor, target: torch.Tensor):
        if self.done == 16 and isinstance(self.sae, TopK):
            os.kill(os.getpid(), signal.SIGINT)
        return unpatched(self, x, target)

    with monkeypatch.context() as patched:
        patched.setattr(SAETrainer, "step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(None, CONFIGS, out=tmp_path / "run", **SETTINGS)
    state = json.loads(next(tmp_path.glob("run/checkpoints/step-*/state.json")).read_text())
    assert state["step"] == 17
    train(None, CONFIGS, out=tmp_path / "run", **SETTINGS)
    for config in CONFIGS:
        whole, stopped = (SAE.load(at / "run" / config.name) for at in (folder, tmp_path))
        assert whole.provenance == stopped.provenance
        for name, weights in whole.state_dict().items():
            assert torch.equal(weights, stopped.state_dict()[name]), name


def test_its_saes_are_evaluated_on_a_cache_of_text_that_they_did_not_see(folder: Path):
    cache = ActivationCache.open(folder / "cache")
    found = evaluate([folder / "run"], cache, model="none")
    assert {each.name for each in found} == {f"run:{config.name}" for config in CONFIGS}
    assert not any(each.seen_in_training for each in found)
    for each in found:
        trained = SAE.load(folder / "run" / each.name.partition(":")[2]).provenance
        assert trained is not None
        assert each.fvu is not None
        if each.name != "run:topk-4":  # whose FVU while it trained is of whitened rows
            assert each.fvu == pytest.approx(trained.metrics.fvu, abs=0.2)
    provenance = SAE.load(folder / "run" / "crosscoder").provenance
    assert provenance is not None
    assert provenance.cache is None
    assert 97 <= (provenance.contexts or 0) <= 108  # 3000 rows of 31 a context


def test_the_command_takes_the_same_settings(folder: Path, tmp_path: Path):
    (tmp_path / "sweep.toml").write_text(
        """
        batch_size = 128
        shuffle_buffer = "2MiB"
        allow_poor_shuffle = true
        device = "cpu"
        [live]
        context_size = 99
        [[sae]]
        k = 4
        normalize = "whiten"
        [[sae]]
        architecture = "batchtopk"
        k = 4
        hook = "blocks.1.mlp.hook_in"
        target = "blocks.1.hook_mlp_out"
        skip = true
        name = "transcoder"
        [[sae]]
        architecture = "jumprelu"
        l0 = 4
        hooks = ["blocks.0.hook_resid_post", "blocks.1.hook_resid_post"]
        name = "crosscoder"
        """
    )
    words = [
        "train", "--config", str(tmp_path / "sweep.toml"), "--hook", RESID, "--features", "64",
        "--tokens", "3000", "--live", "--model", str(MODEL), "--dataset", str(HELDOUT),
        "--context-size", "32", "--live-batch-size", "4", "--live-device", "cpu",
        "--out", str(folder / "run"),
    ]  # fmt: skip
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "next: lmsaes cache --model" in done.stdout
    other = CliRunner().invoke(app, [*words, "--live-seed", "1"])
    assert other.exit_code == 1
    assert "live.seed: 0 → 1" in other.stderr


def test_what_it_cant_do_is_refused_by_name(tmp_path: Path):
    for settings, why in (
        ({"heldout": 0.1}, "heldout needs a cache"),
        ({"max_norm": 3}, "max-norm needs a cache"),
        ({"live": None}, "--cache is missing"),
        ({"live": {"model": "gpt2"}}, "live: --dataset is missing"),
        ({"live": LIVE | {"dtyp": "float32"}}, "live has no setting 'dtyp'"),
    ):
        asked: dict[str, Any] = SETTINGS | settings
        with pytest.raises(ConfigError, match=why):
            train(None, CONFIGS, out=tmp_path / "run", **asked)
    with pytest.raises(ConfigError, match="--hook is missing"):
        train(None, TopKConfig(k=4), out=tmp_path / "run", **SETTINGS)
    refused = CliRunner().invoke(app, ["train", "--cache", "c", "--out", "r", "--model", "gpt2"])
    assert "add --live, or leave it out" in refused.stderr
