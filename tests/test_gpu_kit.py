"""`make gpu-kit` takes along what lmsaes needs and a CUDA machine lacks, in our versions."""

import runpy
from importlib.metadata import version
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"


@pytest.fixture(scope="module")
def pins() -> dict[str, str]:
    kit = runpy.run_path(str(SCRIPTS / "gpu_kit.py"))
    return dict(pin.split("==") for pin in kit["missing"]("3.12"))


def test_what_the_machine_lacks_is_taken_in_this_environments_version(pins: dict[str, str]):
    for name in ("pydantic", "pydantic-core", "zarr", "datasets", "transformer-lens", "pymongo"):
        assert pins[name] == version(name)


def test_what_the_machine_has_stays_behind(pins: dict[str, str]):
    there = (SCRIPTS / "gpu_machine.txt").read_text().split("\n\n")[0].splitlines()
    named = {line for line in there if not line.startswith("#")}
    assert {"torch", "triton", "transformers"} <= named
    assert not named & set(pins)


def test_packages_for_windows_or_an_older_python_stay_behind(pins: dict[str, str]):
    assert not {"colorama", "tomli", "importlib-metadata"} & set(pins)


def test_a_figure_that_was_not_measured_is_a_dash_in_the_table():
    check = runpy.run_path(str(SCRIPTS / "gpu_check.py"))
    row = {"what": "step", "value": 1.25, "unit": "ms", "ratio": None, "must": 2.0}
    report = {
        "machine": "a card",
        "tests": {"output": ["27 passed"]},
        "benchmarks": {"train_step": {"rows": [row]}, "sweep": {"error": ["out of memory"]}},
    }
    table = check["table"](report).splitlines()
    assert "| train_step | step | 1.25 | ms | – | 2 |" in table
    assert "| sweep | failed: out of memory | | | | |" in table
