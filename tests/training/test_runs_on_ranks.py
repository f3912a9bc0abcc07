"""`train` by two processes that share each step: stopped by one of them, with an SAE that diverges,
and continued by another number of processes."""

import json
import os
import signal
from pathlib import Path
from unittest import mock

import pytest
import torch

from lmsaes.cache import ActivationCache
from lmsaes.errors import ConfigError, ReportedError
from lmsaes.parallel import OneRank
from lmsaes.sae import SAE, BatchTopKConfig, ReLUConfig, SAEConfig, TopKConfig
from lmsaes.training import SAETrainer, TrainConfig, train
from lmsaes.training.checkpoint import load_checkpoint
from lmsaes.training.split import split_run
from tests.support.made_up_cache import made_up_cache
from tests.support.processes import run_ranks

WILD = TopKConfig(name="wild", features=16, k=2, lr=1e30)
CONFIGS: list[SAEConfig] = [BatchTopKConfig(features=25, k=4), ReLUConfig(features=16), WILD]
SETTINGS = {"tokens": 640, "batch_size": 50, "shuffle_buffer": "4MiB", "hook": "hook",
            "log_every": 4, "checkpoint_every": 2, "keep": 1}  # fmt: skip
STOP_AT = 5


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> ActivationCache:
    folder = tmp_path_factory.mktemp("caches") / "made-up"
    return made_up_cache(folder, 64, context_size=8, hooks={"hook": 8})


def train_share(cache: Path, folder: Path) -> None:
    """What each process does in each mode: a run to its end, and one in which the second process
    alone is told to stop."""
    step = SAETrainer.step

    def step_and_stop(self: SAETrainer, *batch: torch.Tensor):
        if os.environ["RANK"] == "1" and self.done == STOP_AT - 1 and self.features == 25:
            signal.raise_signal(signal.SIGTERM)
        return step(self, *batch)

    for mode in ("features", "rows"):
        train(cache, CONFIGS, out=folder / f"{mode}-whole", parallel=mode, **SETTINGS)  # pyright: ignore
        with mock.patch.object(SAETrainer, "step", step_and_stop), pytest.raises(KeyboardInterrupt):
            train(cache, CONFIGS, out=folder / f"{mode}-stopped", parallel=mode, **SETTINGS)  # pyright: ignore
    with pytest.raises((ConfigError, ReportedError)) as raised:
        train(cache, [WILD], out=folder / "wild", parallel="rows", **SETTINGS)  # pyright: ignore
    (folder / f"error-{os.environ['RANK']}").write_text(raised.type.__name__)


@pytest.fixture(scope="module")
def runs(cache: ActivationCache, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    run_ranks(2, train_share, cache.path, folder)
    train(cache, CONFIGS, out=folder / "one", **SETTINGS)  # pyright: ignore
    return folder


@pytest.mark.parametrize("mode", ["features", "rows"])
def test_the_run_is_that_of_one_process(runs: Path, mode: str):
    check_same(runs / f"{mode}-whole", runs / "one")


@pytest.mark.parametrize("mode", ["features", "rows"])
def test_when_one_is_told_to_stop_all_do_after_the_same_step(
    runs: Path, cache: ActivationCache, mode: str
):
    run = runs / f"{mode}-stopped"
    checkpoint = load_checkpoint(run)
    assert checkpoint is not None
    assert checkpoint.step in (STOP_AT, STOP_AT + 1)
    whole = {"W_enc": (25, 8), "b_enc": (25,), "W_dec": (25, 8), "b_dec": (8,)}
    state = checkpoint.of("batchtopk-4")
    for name, shape in whole.items():
        assert state[f"weights.{name}"].shape == shape
        assert state[f"optimizer.tensor.{name}.exp_avg"].shape == shape
    train(cache, CONFIGS, out=run, **SETTINGS)  # pyright: ignore
    check_same(run, runs / "one")


def test_one_process_reports_what_ends_all(runs: Path):
    errors = [(runs / f"error-{rank}").read_text() for rank in range(2)]
    assert sorted(errors) == ["ConfigError", "ReportedError"]


def check_same(run: Path, expected: Path) -> None:
    files = {str(f.relative_to(run)) for f in run.rglob("*") if f.name[0] != "."}
    assert files == {str(f.relative_to(expected)) for f in expected.rglob("*") if f.name[0] != "."}
    assert (run / "run.json").read_bytes() == (expected / "run.json").read_bytes()
    for name in ("batchtopk-4", "relu-2", *(f"kept/{f.name}" for f in (run / "kept").iterdir())):
        sae, other = SAE.load(run / name), SAE.load(expected / name)
        for key, value in sae.state_dict().items():
            torch.testing.assert_close(value, other.state_dict()[key], rtol=1e-3, atol=1e-4)
        assert sae.provenance is not None
        assert other.provenance is not None
        assert sae.provenance.metrics.l0 == pytest.approx(other.provenance.metrics.l0, rel=1e-3)
        assert sae.provenance.metrics.rows == other.provenance.metrics.rows
    found, wanted = ((f / "diverged/wild/diverged.json").read_text() for f in (run, expected))
    assert json.loads(found)["step"] == json.loads(wanted)["step"]
    for line, other in zip(measured(run), measured(expected), strict=True):
        assert line == pytest.approx(other, rel=1e-3)


MEASURED = ("step", "tokens", "loss", "fvu", "l0", "dead_fraction", "lr")


def measured(run: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (run / "relu-2/metrics.jsonl").read_text().splitlines()]
    return [{name: line[name] for name in MEASURED} for line in lines]


class TwoRanks(OneRank):
    size = 2

    def gather(self, values: torch.Tensor) -> torch.Tensor:
        return torch.stack([values, values])


@pytest.mark.parametrize(
    ("saes", "mode", "why"),
    [
        ([TopKConfig(features=64)] * 2, "saes", "2 SAEs are enough for all"),
        ([TopKConfig(features=64, k=4)], "rows", "a step exchanges"),
        ([TopKConfig(features=40_000, k=4)], "features", "a step exchanges"),
        ([TopKConfig(features=40_000, optimizer="muon")], "rows", "muon needs whole matrices"),
        ([TopKConfig(features=64, k=4, micro_batch=8)], "features", "cut batches that are cut"),
        ([TopKConfig(features=10**11)], "features", "of memory, and a rank has"),
    ],
)
def test_auto_chooses_and_says_why(
    cache: ActivationCache,
    caplog: pytest.LogCaptureFixture,
    saes: list[SAEConfig],
    mode: str,
    why: str,
):
    saes = [sae.model_copy(update={"hook": "hook"}) for sae in saes]
    config = TrainConfig(cache="c", out="o", sae=(TopKConfig(),), device="cpu")
    with caplog.at_level("INFO", logger="lmsaes"):
        assert split_run(config, saes, cache, TwoRanks()).mode == mode
    assert f"2 ranks, --parallel {mode}: " in caplog.text
    assert why in caplog.text
    assert "of memory" in caplog.text


@pytest.mark.parametrize(
    ("sae", "mode"),
    [
        (TopKConfig(hook="hook", features=64, optimizer="muon"), "features"),
        (TopKConfig(hook="hook", features=1, k=1), "features"),
        (TopKConfig(hook="hook", features=64, micro_batch=8), "rows"),
    ],
)
def test_what_cannot_be_shared_out_is_refused(cache: ActivationCache, sae: SAEConfig, mode: str):
    config = TrainConfig.of({"cache": "c", "out": "o", "parallel": mode})
    with pytest.raises(ConfigError, match=f"--parallel {mode}: "):
        split_run(config, [sae], cache, TwoRanks())
