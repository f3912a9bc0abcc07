"""An SAE that diverges is stopped and set aside; the others of its sweep never notice."""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from lmsaes.cache.writer import CacheWriter
from lmsaes.cli.app import app
from lmsaes.errors import ConfigError, SAEError
from lmsaes.provenance import TextPosition
from lmsaes.sae import SAE, BatchTopKConfig, ReLUConfig, SAEConfig, TopKConfig
from lmsaes.training import SAETrainer, TrainedSAE, train
from lmsaes.training.divergence import FiniteWatch, squares_of
from lmsaes.training.members import diverged, member
from tests.support.cut_off import run_alone
from tests.support.made_up_cache import made_up_cache, made_up_manifest, made_up_rows

STEPS = 25
TOPK, RELU = TopKConfig(features=24, k=3), ReLUConfig(features=24)
BATCHTOPK = BatchTopKConfig(features=24, k=3)
WILD = TopKConfig(features=24, k=2, lr=1e30)
Train = Callable[..., list[TrainedSAE]]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("caches") / "cache"
    made_up_cache(folder, 64, hooks={"hook": 8}, block_contexts=4, context_size=8)
    return folder


@pytest.fixture
def run(cache: Path, tmp_path: Path) -> Train:
    def train_with(*saes: SAEConfig, out: str = "run", **options: object) -> list[TrainedSAE]:
        settings = {
            "tokens": STEPS * 32, "batch_size": 32, "shuffle_buffer": "1MiB", "device": "cpu",
            "log_every": 10, "max_norm": None,
        }  # fmt: skip
        return train(cache, saes, out=tmp_path / out, **(settings | options))  # pyright: ignore[reportArgumentType]

    return train_with


@pytest.fixture(params=[1, 2])
def cores(request: pytest.FixtureRequest) -> Iterator[int]:
    threads = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(threads)


def bits(result: TrainedSAE) -> bytes:
    return (result.path / "weights.safetensors").read_bytes()


def written(folder: Path) -> dict[str, int]:
    """By file, when it was last written."""
    return {
        str(file.relative_to(folder)): file.stat().st_mtime_ns
        for file in folder.rglob("*")
        if file.is_file()
    }


def spoil(patch: pytest.MonkeyPatch, name: str, step: int) -> None:
    """Makes the gradient of an SAE NaN at a step."""
    gradients = SAETrainer._gradients  # pyright: ignore[reportPrivateUsage]

    def spoiled(self: SAETrainer, x: torch.Tensor, target: torch.Tensor):
        output = gradients(self, x, target)
        if (self.sae.config.name, self.done + 1) == (name, step):
            assert self.sae.W_enc.grad is not None
            self.sae.W_enc.grad[3, 2] = math.nan
        return output

    patch.setattr(SAETrainer, "_gradients", spoiled)


def test_the_others_have_the_bits_that_they_have_without_it(
    run: Train, cores: int, caplog: pytest.LogCaptureFixture
):
    without = run(TOPK, RELU, BATCHTOPK, out="without")
    results = run(TOPK, WILD, RELU, BATCHTOPK)
    assert [result.name for result in results] == ["topk-3", "topk-2", "relu-2", "batchtopk-3"]
    assert [bits(result) for result in results if result.diverged is None] == [*map(bits, without)]
    assert results[1].diverged is not None
    assert "topk-2 diverged at step 2: its loss is not finite" in caplog.text


def test_what_is_kept_is_its_last_finite_state_and_no_sae(run: Train, tmp_path: Path):
    _, wild = run(TOPK, WILD, log_every=1)
    assert wild.path == tmp_path / "run/diverged/topk-2"
    assert wild.metrics is None
    assert not (tmp_path / "run/topk-2").exists()
    assert {file.name for file in wild.path.iterdir()} == {
        "diverged.json",
        "state.safetensors",
        "metrics.jsonl",
    }
    record = json.loads((wild.path / "diverged.json").read_text())
    assert (record["step"], record["cause"], record["kept_step"]) == (2, "loss", 1)
    state = load_file(wild.path / "state.safetensors")
    assert all(value.isfinite().all() for value in state.values())
    assert state["weights.W_enc"].shape == (24, 8)
    assert len((wild.path / "metrics.jsonl").read_text().splitlines()) == 1
    with pytest.raises(SAEError, match="holds no SAE"):
        SAE.load(wild.path)


def test_the_same_command_finds_the_run_finished_and_that_one_marked(
    run: Train, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    first = run(TOPK, WILD)
    before = written(tmp_path / "run")
    with caplog.at_level("INFO", logger="lmsaes"):
        assert run(TOPK, WILD) == first
    assert "is finished" in caplog.text
    assert written(tmp_path / "run") == before


def test_a_run_whose_saes_all_diverge_says_so_each_time(run: Train, tmp_path: Path):
    for _ in range(2):
        with pytest.raises(ConfigError, match="topk-2 diverged at step 2") as error:
            run(WILD)
        assert "smaller lr than 1e+30" in (error.value.hint or "")
    assert {file.name for file in (tmp_path / "run").glob("[!.]*")} == {
        "run.json",
        "train.toml",
        "speed.jsonl",
        "diverged",
    }


def test_it_can_be_taken_out_and_the_others_are_left_as_they_are(run: Train, tmp_path: Path):
    run(TOPK, WILD, RELU)
    before = {name: written(tmp_path / "run" / name) for name in ("topk-3", "relu-2")}
    results = run(TOPK, RELU)
    assert [result.diverged for result in results] == [None, None]
    assert {name: written(tmp_path / "run" / name) for name in before} == before
    assert "topk-2" not in (tmp_path / "run/train.toml").read_text()
    assert run(TOPK, RELU) == results
    with pytest.raises(ConfigError, match="other arguments"):
        run(TOPK)  # relu-2 did not diverge


def test_it_alone_is_trained_with_another_lr(run: Train, tmp_path: Path):
    run(TOPK, WILD, RELU)
    before = {name: written(tmp_path / "run" / name) for name in ("topk-3", "relu-2")}
    tame = WILD.model_copy(update={"lr": 1e-3})
    with pytest.raises(ConfigError, match="batch_size: 32 → 16"):
        run(TOPK, tame, RELU, batch_size=16)
    with pytest.raises(ConfigError, match=r"saes\[0\]\.lr: None → 0.001"):
        run(TOPK.model_copy(update={"lr": 1e-3}), tame, RELU)
    results = run(TOPK, tame, RELU)
    assert [result.diverged for result in results] == [None, None, None]
    assert {name: written(tmp_path / "run" / name) for name in before} == before
    assert bits(results[1]) == bits(run(tame, out="alone")[0])
    assert not (tmp_path / "run/diverged/topk-2").exists()
    assert "lr = 0.001" in (tmp_path / "run/train.toml").read_text()
    assert run(TOPK, tame, RELU) == results


def test_stopped_before_and_after_it_diverged_a_run_ends_in_the_same_bits(
    run: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    without = run(TOPK, RELU, out="without")
    step = SAETrainer.step

    def stopped_at(number: int) -> None:
        def stopping_step(self: SAETrainer, x: torch.Tensor, target: torch.Tensor):
            if self.done == number and isinstance(self.sae.config, ReLUConfig):
                raise MemoryError
            return step(self, x, target)

        with monkeypatch.context() as patch:
            spoil(patch, "topk-2", 12)
            patch.setattr(SAETrainer, "step", stopping_step)
            with pytest.raises(MemoryError):
                run(TOPK, wild, RELU, checkpoint_every=5)

    wild = WILD.model_copy(update={"lr": 1e-3})
    stopped_at(9)
    stopped_at(14)  # it diverged, and the checkpoint of step 10 still has it
    record = diverged(tmp_path / "run", "topk-2")
    assert record is not None
    assert (record.step, record.cause, record.kept_step) == (12, "gradient", 11)
    stopped_at(17)
    results = run(TOPK, wild, RELU)
    assert [bits(result) for result in results if result.diverged is None] == [*map(bits, without)]
    assert results[1].diverged == record
    again = run(TOPK, wild.model_copy(update={"lr": 2e-3}), RELU)
    alone = run(wild.model_copy(update={"lr": 2e-3}), out="alone")
    assert bits(again[1]) == bits(alone[0])


def test_given_another_lr_in_an_unfinished_run_each_goes_on_from_where_it_is(
    run: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    tame = WILD.model_copy(update={"lr": 1e-3})
    alone = run(TOPK, tame, out="alone")
    step = SAETrainer.step

    def stopping_step(self: SAETrainer, x: torch.Tensor, target: torch.Tensor):
        if self.done == 17:
            raise MemoryError
        return step(self, x, target)

    with monkeypatch.context() as patch:
        spoil(patch, "topk-2", 12)
        patch.setattr(SAETrainer, "step", stopping_step)
        with pytest.raises(MemoryError):
            run(TOPK, WILD.model_copy(update={"lr": 2e-3}), checkpoint_every=5)
    begun: list[tuple[str, int]] = []

    def noting_step(self: SAETrainer, x: torch.Tensor, target: torch.Tensor):
        begun.append((self.sae.config.name, self.done))
        return step(self, x, target)

    monkeypatch.setattr(SAETrainer, "step", noting_step)
    results = run(TOPK, tame)
    steps = 1 + max(step for _, step in begun)
    assert begun == [
        *(("topk-3", step) for step in range(15, steps)),
        *(("topk-2", step) for step in range(steps)),
    ]
    assert [*map(bits, results)] == [*map(bits, alone)]


def test_weights_that_are_not_finite_are_neither_checkpointed_nor_saved(
    run: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """What the update itself spoils is found before the next checkpoint; the last one is kept."""
    step = SAETrainer.step

    def spoiling_step(self: SAETrainer, x: torch.Tensor, target: torch.Tensor):
        output = step(self, x, target)
        if self.done == 15 and self.sae.config.name == "topk-2":
            with torch.no_grad():
                self.sae.W_dec[0, 0] = math.inf
        return output

    monkeypatch.setattr(SAETrainer, "step", spoiling_step)
    tame = WILD.model_copy(update={"lr": 1e-3})
    _, wild = run(TOPK, tame, checkpoint_every=5, log_every=100)
    assert wild.diverged is not None
    assert (wild.diverged.step, wild.diverged.cause, wild.diverged.kept_step) == (15, "state", 10)
    assert wild.diverged.what == "W_dec is not finite"
    state = load_file(wild.path / "state.safetensors")
    assert all(value.isfinite().all() for value in state.values())
    with pytest.raises(ConfigError, match="diverged at step 17: its loss is not finite"):
        run(tame, out="alone", checkpoint_every=100, log_every=100)
    kept = {file.name for file in (tmp_path / "alone/diverged/topk-2").iterdir()}
    assert kept == {"diverged.json", "metrics.jsonl"}  # there was no checkpoint


def test_the_first_cause_is_told():
    watch = FiniteWatch(torch.device("cpu"))
    small, large, one = torch.ones(4, 8), torch.full((4, 8), 1e19), torch.ones(())
    watch.add(3, squares_of(small, small), one, one)
    assert watch.found() is None
    watch.add(4, squares_of(small, large), math.inf * one, math.nan * one)
    watch.add(5, squares_of(small, small), math.nan * one, one)
    found = watch.found()
    assert found is not None
    assert found[:2] == (4, "rows")


@pytest.mark.parametrize(
    ("size", "cause", "hint"),
    [(3e16, "rows .* squares", "--max-norm"), (1e16, "its gradient", "no learning rate")],
)
def test_the_learning_rate_is_not_blamed_for_what_rows_do(
    tmp_path: Path, size: float, cause: str, hint: str
):
    """Rows that are finite, and sums of whose squares are not."""
    manifest = made_up_manifest(16, 8, {"hook": 8}, shard_contexts=16, batch_size=16)
    tokens, valid = torch.ones(16, 8, dtype=torch.int64), torch.ones(16, 8, dtype=torch.bool)
    with CacheWriter(tmp_path / "cache", manifest) as writer:
        rows = made_up_rows(0, 16, 8, 8) * size
        writer.write(tokens, {"hook": rows}, valid, TextPosition(document=1))
        writer.finish()
    raw = TopKConfig(features=16, k=2, normalize="none", name="raw")
    with pytest.raises(ConfigError, match=f"raw diverged at step 1: {cause}") as error:
        train(tmp_path / "cache", raw, out=tmp_path / "run", tokens=200, batch_size=112)
    assert hint in (error.value.hint or "")


CUT_OFF = """
import sys
from pathlib import Path
import torch
from lmsaes.sae import TopKConfig
from lmsaes.training.divergence import Divergence
from lmsaes.training.members import member, set_aside
from tests.support.cut_off import cut_off

sae = TopKConfig(features=4, k=1)
found = Divergence(config=sae.model_dump(mode="json"), step=3, cause="loss", what="it", lr=1.0)
for number in range(0, 100, 3):
    run = Path(sys.argv[1]) / str(number)
    (run / "topk-1").mkdir(parents=True)
    (run / "topk-1/metrics.jsonl").write_text("{}")
    died = cut_off(lambda: set_aside(run, found, {"a": torch.ones(2)}), number, run)
    print("waiting" if member(run, sae) is None else "aside")
    again = set_aside(run, found, {"a": torch.ones(2)})
    assert member(run, sae) == again, again
    if not died:
        break
"""


def test_cut_off_at_any_instant_it_is_set_aside_or_still_to_be_trained(tmp_path: Path):
    states = run_alone(CUT_OFF, tmp_path)
    assert states == sorted(states, reverse=True)
    assert set(states) == {"waiting", "aside"}


def test_the_command_says_which_diverged_at_the_end_and_by_its_exit_code(
    cache: Path, tmp_path: Path
):
    file = tmp_path / "sweep.toml"
    file.write_text(
        f"""
        cache = "{cache}"
        tokens = 800
        batch_size = 32
        features = 24

        [[sae]]
        k = 3

        [[sae]]
        k = 2
        lr = 1e30
        """
    )
    command = ["train", "--config", str(file), "--out", str(tmp_path / "run")]
    for _ in range(2):
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 1
        assert "lmsaes analyze" in result.stdout
        last = result.stderr.strip().splitlines()[-2:]
        assert last[0].startswith("error: topk-2 diverged at step 2: its loss")
        assert "(1 of 2 SAEs)" in last[0]
        assert "smaller lr" in last[1]
    assert member(tmp_path / "run", SAE.load(tmp_path / "run/topk-3").config) is not None
