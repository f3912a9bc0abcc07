"""The examples: plain_loop.py trains on a cache; what the others need of lmsaes exists."""

import ast
import importlib
import re
import runpy
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch

from lmsaes import cache_activations
from lmsaes.demo import HELDOUT, MODEL, SWEEP
from lmsaes.sae import CONFIGS
from tests.docs.pages import ROOT

EXAMPLES = sorted((ROOT / "examples").rglob("*.py"))
SWEEPS = [*sorted((ROOT / "examples").glob("*.toml")), SWEEP]
HOOK = "blocks.2.hook_resid_post"


def test_the_plain_loop_learns_from_a_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
):
    text, out = str(HELDOUT), tmp_path / "cache"
    cache_activations(str(MODEL), text, [HOOK], out, tokens="12k", device="cpu")
    torch.manual_seed(0)
    monkeypatch.setattr(sys, "argv", ["plain_loop.py", str(tmp_path / "cache"), HOOK])
    runpy.run_path(str(ROOT / "examples" / "plain_loop.py"), run_name="__main__")
    found = re.match(r"FVU of the last batch: ([\d.]+)", capsys.readouterr().out)
    assert found is not None
    assert float(found[1]) < 0.7  # 0.82 in the first batch


@pytest.mark.parametrize("file", SWEEPS, ids=lambda file: file.name)
def test_an_example_sweep_has_settings_that_its_architectures_have(file: Path):
    tables = tomllib.loads(file.read_text())["sae"]
    names = [CONFIGS[table["architecture"]].model_validate(table).name for table in tables]
    assert len(set(names)) == len(names) > 1


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_what_an_example_imports_of_lmsaes_exists(file: Path):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lmsaes"):
            module = importlib.import_module(str(node.module))
            for name in node.names:
                assert hasattr(module, name.name), f"{file.name}: {node.module}.{name.name}"
