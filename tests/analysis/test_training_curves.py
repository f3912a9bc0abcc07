"""Curves of a training, from what lies beside an SAE."""

import json
from pathlib import Path

from lmsaes.analysis.training_curves import training_curves


def write(folder: Path, *lines: str) -> Path:
    (folder / "metrics.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return folder


def test_every_measurement_is_there_where_there_are_few(tmp_path):
    lines = [{"step": step, "loss": 1 / step, "l0": 32} for step in (50, 100, 150)]
    found = training_curves(write(tmp_path, *map(json.dumps, lines)))
    assert found is not None
    assert found.step == [50, 100, 150]
    assert found.series == {"loss": [1 / 50, 1 / 100, 1 / 150], "l0": [32.0, 32.0, 32.0]}


def test_many_are_thinned_out_evenly_and_the_ends_stay(tmp_path):
    lines = [json.dumps({"step": step, "loss": float(step)}) for step in range(1, 1002)]
    found = training_curves(write(tmp_path, *lines), most=11)
    assert found is not None
    assert found.step == list(range(1, 1002, 100))
    assert found.series == {"loss": [float(step) for step in found.step]}


def test_what_is_not_measured_is_null_and_broken_lines_are_left_out(tmp_path):
    lines = (
        '{"step": 20, "loss": NaN, "l0": 3, "note": "x"}',
        '{"step": 10, "loss": 0.5}',
        "[1]",
        '{"loss": 9}',
        '{"step": 30, "lo',
    )
    found = training_curves(write(tmp_path, *lines))
    assert found is not None
    assert found.step == [10, 20]
    assert found.series == {"loss": [0.5, None], "l0": [None, 3.0]}


def test_an_sae_without_measurements_has_no_curves(tmp_path):
    assert training_curves(tmp_path) is None
    assert training_curves(write(tmp_path, "")) is None
