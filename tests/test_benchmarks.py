"""Every benchmark runs and says what `make bench` writes down. Its figures are not tested."""

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SMALL = {
    "analyze": "--tokens 4k --train 4k --features 64 --k 8 --rounds 1",
    "evaluate": "--tokens 4k --train 4k --measure 1k --features 64 --k 8 --rounds 1",
    "generate": "--d 64 --layers 2 --batch 2 --batches 2 --rounds 1",
    "knobs": "--tokens 4k --features 64 --batch 128 --steps 10 --values 1 4",
    "learning_rates": "--tokens 4k --features 64 --batch 128 --steps 10 --rates 2e-3 4e-3",
    "live": "--tokens 4k --features 64 --k 8 --prompt 8 --length 8 --rounds 1",
    "manifest": "--shards 40 --commits 3",
    "loader": "--rows 40000 --pool 8000 --rounds 1",
    "parallel": "--d-model 32 --features 128 --batch 64 --k 8 --steps 2 --rounds 1",
    "output_scores": "--tokens 4k --score 1k --features 64 --k 8 --tried 4 --chosen 2 --contexts 2",
    "pareto": "--tokens 4k --train 4k --score 1k --features 64 --batch 128 --only topk relu",
    "quality": "--tokens 4k --train 4k --score 1k --features 64 --batch 128",
    "server": "--features 40 --context-size 16 --top 4 --clients 2 --pages 4",
    "storage": "--tokens 2k --noise-rows 2000 --rounds 1",
    "storage_quality": "--tokens 4k --train 4k --score 1k --features 64 --batch 128 --seeds 0",
    "sweep": "--tokens 4k --train 4k --features 64 --batch 128 --rounds 1",
    "trace": "--tokens 6 --features 32 --k 2 --nodes 40 --verify 2",
    "train_step": "--d 32 --features 128 --batch 64 --k 8 --l0 8 --rounds 1",
}


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def report(name: str, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> dict[str, Any]:
    script = BENCHMARKS / f"{name}.py"
    monkeypatch.setattr(sys, "argv", [str(script), *SMALL[name].split(), "--json"])
    runpy.run_path(str(script), run_name="__main__")
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_none_is_left_out():
    scripts = {path.stem for path in BENCHMARKS.glob("[!_]*.py")}
    assert set(SMALL) == scripts - {"run_all"}


@pytest.mark.parametrize("name", SMALL)
def test_a_benchmark_reports_in_the_form_of_all(name, monkeypatch, capsys):
    found = report(name, monkeypatch, capsys)
    assert set(found) == {"machine", "settings", "rows"}
    section = runpy.run_path(str(BENCHMARKS / "run_all.py"))["_section"](name, found)
    assert len(section.splitlines()) == 6 + len(found["rows"])
    for row in found["rows"]:
        assert {"what", "value", "unit", "ratio", "must", "aim", "better"} <= set(row)
        assert row["better"] in ("higher", "lower")
        assert row["value"] is not None or "not measured" in row["what"] or " at L0 " in row["what"]


def test_fronts_are_drawn_where_some_levels_are_missing(tmp_path: Path):
    plot = runpy.run_path(str(BENCHMARKS / "pareto.py"))["plot"]
    plot({"topk": {16: [0.2, 0.3], 32: [0.1], 64: []}}, tmp_path / "fronts.png")
    assert (tmp_path / "fronts.png").read_bytes()[1:4] == b"PNG"
