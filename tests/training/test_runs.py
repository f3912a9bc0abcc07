"""`lmsaes runs` says what runs hold: finished, diverged or on their way."""

import json
import logging
import shutil
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from lmsaes.cli.app import app
from lmsaes.errors import ConfigError
from lmsaes.sae import ReLUConfig, TopKConfig
from lmsaes.training import SAETrainer, find_runs, read_metrics, run_summary, train
from tests.support.made_up_cache import made_up_cache

HOW = {"tokens": 400, "batch_size": 16, "shuffle_buffer": "1MiB", "device": "cpu", "log_every": 5}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, and one that was stopped at step 12."""
    folder = tmp_path_factory.mktemp("runs")
    cache = made_up_cache(folder / "cache", 64, hooks={"hook": 8}, block_contexts=4)
    saes = [TopKConfig(features=16, k=2), ReLUConfig(features=16)]
    train(cache, saes, out=folder / "whole", **HOW)
    step = SAETrainer.step

    def failing(self: SAETrainer, x: torch.Tensor, target: torch.Tensor):
        if self.done == 12:
            raise MemoryError
        return step(self, x, target)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(SAETrainer, "step", failing)
        with pytest.raises(MemoryError):
            train(cache, saes, out=folder / "inside/stopped", **HOW)
    return folder


def test_runs_are_found_with_their_state_and_last_figures(folder: Path):
    assert find_runs([folder]) == [folder / "inside/stopped", folder / "whole"]
    stopped, whole = map(run_summary, find_runs([folder]))
    assert (stopped.state, whole.state) == ("unfinished", "finished")
    assert [sae.step for sae in stopped.saes] == [10, 10]
    lines = (folder / "inside/stopped/topk-2/metrics.jsonl").read_text().splitlines()
    assert stopped.saes[0].fvu == json.loads(lines[-1])["fvu"]
    saved = json.loads((folder / "whole/topk-2/config.json").read_text())
    assert whole.saes[0].fvu == saved["provenance"]["metrics"]["fvu"]
    for run, last in ((stopped, 10), (whole, saved["provenance"]["steps"])):
        laps = read_metrics(Path(run.path), name="speed.jsonl")
        assert [lap["step"] for lap in laps] == [*range(5, last, 5), last]
        seconds = sum(lap["seconds"] for lap in laps)
        assert run.tokens_per_second == pytest.approx(laps[-1]["tokens"] / seconds)
        assert run.share_waited is not None
        assert 0 <= run.share_waited <= 1
    with pytest.raises(ConfigError, match="is not a run"):
        run_summary(folder)


def test_the_commands_print_tables_json_and_a_picture(folder: Path, tmp_path: Path):
    def run(*words: object) -> str:
        result = CliRunner().invoke(app, ["runs", *map(str, words)])
        assert result.exit_code == 0, result.output
        return result.output

    assert "unfinished" in run("list", folder)
    listed = json.loads(run("list", folder, "--json"))
    assert [r["state"] for r in listed["runs"]] == ["unfinished", "finished"]
    assert json.loads(run("show", folder / "whole", "--json"))["saes"][1]["architecture"] == "relu"
    assert "topk-2" in (shown := run("show", folder / "whole"))
    assert "waiting for rows" in shown
    picture = tmp_path / "runs.svg"
    run("compare", folder / "whole", folder / "inside/stopped", "--plot", picture)
    drawn = picture.read_text()
    assert "whole:topk-2" in drawn
    assert "stopped:relu-2" in drawn


ODD_LINES = {
    "not UTF-8": b'\xff\xfe{"step": 5}\n',
    "deep": b"[" * 100_000 + b"\n",
    "a number": b"5\n",
    "no step": b'{"tokens": 5}\n',
    "a word for a step": b'{"step": "5"}\n',
    "zeros, as after a power cut": b"\0" * 64 + b"\n",
}


@pytest.mark.parametrize("line", ODD_LINES.values(), ids=list(ODD_LINES))
def test_lines_of_metrics_that_cannot_be_read_are_left_out_with_a_warning(
    folder: Path, tmp_path: Path, line: bytes, caplog: pytest.LogCaptureFixture
):
    whole = (folder / "whole/topk-2/metrics.jsonl").read_bytes()
    (tmp_path / "metrics.jsonl").write_bytes(line + whole)
    with caplog.at_level(logging.WARNING, "lmsaes"):
        measured = read_metrics(tmp_path, 26)
    assert [each["step"] for each in measured] == [5, 10, 15, 20, 25, 26]
    assert caplog.messages == [f"{tmp_path}/metrics.jsonl is damaged: 1 of its lines can't be read"]


def test_values_that_are_no_figures_are_none(tmp_path: Path):
    line = (
        f'{{"step": 5, "fvu": NaN, "l0": "3", "lr": 1{"0" * 400}, "q": [1, null], "d": [1, 2]}}\n'
    )
    (tmp_path / "metrics.jsonl").write_text(line)
    nothing = dict.fromkeys(("fvu", "l0", "lr", "q"))
    assert read_metrics(tmp_path) == [{"step": 5, **nothing, "d": [1, 2]}]


@pytest.mark.parametrize("part", [0.0, 0.5])
def test_half_a_copy_of_metrics_is_noticed(
    folder: Path, tmp_path: Path, part: float, caplog: pytest.LogCaptureFixture
):
    lines = (folder / "whole/topk-2/metrics.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "metrics.jsonl").write_bytes(b"".join(lines[: int(part * len(lines))]) + b'{"st')
    with caplog.at_level(logging.WARNING, "lmsaes"):
        assert len(read_metrics(tmp_path, 26)) == int(part * len(lines))
    assert "is not whole: it ends before step 26" in caplog.messages[-1]
    caplog.clear()
    read_metrics(tmp_path)  # of a run that goes on: its last line may just be written
    assert caplog.messages == []


def test_a_run_with_a_damaged_sae_says_so(folder: Path, tmp_path: Path):
    shutil.copytree(folder / "whole", tmp_path / "run")
    config = tmp_path / "run/topk-2/config.json"
    config.write_text(config.read_text().replace('"steps": 26', '"steps": 27'))
    (tmp_path / "run/relu-2/metrics.jsonl").write_bytes(b'\xff\n{"step": 1, "tokens": "x"}\n')
    picture = tmp_path / "runs.svg"
    shown = CliRunner().invoke(
        app, ["runs", "compare", str(tmp_path / "run"), "--plot", str(picture), "--json"]
    )
    assert shown.exit_code == 0, shown.output
    (found,) = json.loads(shown.stdout)["runs"]
    assert found["state"] == "damaged"
    assert [sae["state"] for sae in found["saes"]] == ["damaged", "finished"]
    assert found["saes"][0]["fvu"] is None
    assert picture.is_file()
