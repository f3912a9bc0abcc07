"""What the commands set of their process, and what a stage's function shows of its settings."""

import ast
import inspect
import os
import shlex
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lmsaes.analysis import AnalyzeConfig, analyze
from lmsaes.capture import CaptureConfig, cache_activations
from lmsaes.cli.app import app, settle_process
from lmsaes.cli.messages import say_next, say_where
from lmsaes.training import TrainConfig, train

REPOSITORY = Path(__file__).parents[2]


def test_other_libraries_are_quiet_unless_the_user_says_otherwise(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "environ", {"TRANSFORMERS_VERBOSITY": "info"})
    with warnings.catch_warnings():
        settle_process()
    assert os.environ["TRANSFORMERS_VERBOSITY"] == "info"
    assert os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] == "1"
    assert os.environ["TOKENIZERS_PARALLELISM"] == "true"


_SAY_HOW_THREADS_WAIT = """
import os, sys
class WhenTorchIsImported:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            sys.exit(f"waits {os.environ.get('OMP_WAIT_POLICY')}")
sys.meta_path.insert(0, WhenTorchIsImported())
from lmsaes.cli.app import main
main()
"""


@pytest.mark.parametrize(
    ("chosen", "seen"),
    [
        ({}, "PASSIVE"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE"),
        ({"GOMP_SPINCOUNT": "1000"}, "None"),
    ],
)
def test_idle_threads_sleep_unless_the_user_says_how_they_wait(chosen: dict[str, str], seen: str):
    """Two runs on one machine; torch's threads look at the environment when it is loaded."""
    own = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}
    done = subprocess.run(
        [sys.executable, "-c", _SAY_HOW_THREADS_WAIT, "tools", "sample", "nowhere"],
        env={name: value for name, value in os.environ.items() if name not in own} | chosen,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.strip() == f"waits {seen}"


@pytest.mark.parametrize(
    ("function", "config", "elsewhere"),
    [
        (cache_activations, CaptureConfig, set()),
        # its arguments `configs`, and `cache`, for which None has to be said
        (train, TrainConfig, {"sae", "cache"}),
        (analyze, AnalyzeConfig, {"db"}),  # its argument `database`
    ],
)
def test_a_stages_function_shows_every_setting_with_its_default(function, config, elsewhere):
    parameters = inspect.signature(function).parameters
    assert set(config.model_fields) - elsewhere <= set(parameters)
    for name, field in config.model_fields.items():
        if name not in elsewhere and not field.is_required() and name != "saes":
            assert parameters[name].default == field.default
    assert "Device" in function.__doc__


def test_no_hint_has_a_command_with_a_path_that_is_not_quoted():
    """What is put into a command that can be pasted is a quoted text or a number (`{n:d}`)."""
    for room in ("lmsaes", "cli", "cache_tools", "server"):
        for file in (REPOSITORY / room).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.JoinedStr):
                    _, command, rest = ast.unparse(node).partition(": lmsaes ")
                    for value in node.values if command else ():
                        shown = ast.unparse(value)
                        assert (
                            not isinstance(value, ast.FormattedValue)
                            or ast.unparse(value.value) not in rest
                            or value.format_spec
                            or "shlex." in shown
                        ), f"{file}: {shown}"


def test_a_hint_can_be_pasted_whatever_the_path(tmp_path: Path):
    folder = tmp_path / "two  words; and 'quotes'"
    line = CliRunner().invoke(app, ["tools", "inspect", str(folder)]).output.splitlines()[-1]
    assert shlex.split(line.partition(": ")[2]) == ["lmsaes", "cache", "--out", str(folder)]


def test_the_next_command_is_quoted_and_tells_no_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
):
    say_next("done", "serve", LMSAES_DB_FOLDER="a b")
    assert capsys.readouterr().out == "done; next: LMSAES_DB_FOLDER='a b' lmsaes serve\n"
    say_where("mongodb://me:secret@host/")
    assert capsys.readouterr().out == "done; next: lmsaes serve --db URI\n"
    monkeypatch.delenv("LMSAES_DB", raising=False)
    monkeypatch.setenv("LMSAES_DB_FOLDER", str(tmp_path))
    say_where(None)
    assert capsys.readouterr().out == f"done; next: LMSAES_DB_FOLDER={tmp_path} lmsaes serve\n"
