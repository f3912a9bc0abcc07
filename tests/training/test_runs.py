"""`lmsaes runs` says what runs hold: finished, diverged or on their way."""

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from lmsaes.cli.app import app
from lmsaes.errors import ConfigError
from lmsaes.sae import ReLUConfig, TopKConfig
from lmsaes.training import SAETrainer, find_runs, run_summary, train
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
    assert "topk-2" in run("show", folder / "whole")
    picture = tmp_path / "runs.svg"
    run("compare", folder / "whole", folder / "inside/stopped", "--plot", picture)
    drawn = picture.read_text()
    assert "whole:topk-2" in drawn
    assert "stopped:relu-2" in drawn
