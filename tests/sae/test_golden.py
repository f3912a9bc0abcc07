"""SAE folders of every format version so far open, and do what they did when they were written."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lmsaes.sae import SAE
from tests.sae.golden.make import IMPORTED, PROVENANCE

GOLDEN = Path(__file__).parent / "golden"
FOLDERS = sorted(path.parent for path in GOLDEN.glob("*/*/config.json"))


def name_of(folder: Path) -> str:
    return f"{folder.parent.name}/{folder.name}"


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_a_golden_sae_gives_the_activations_it_gave_when_it_was_written(folder: Path):
    sae = SAE.load(folder)
    expected = load_file(folder / "expected.safetensors")
    assert expected["activations"].count_nonzero() > 20
    torch.testing.assert_close(sae.encode(expected["x"], dense=True), expected["activations"])
    torch.testing.assert_close(sae.encode(expected["x"]).dense(), expected["activations"])
    torch.testing.assert_close(sae(expected["x"]), expected["reconstruction"])


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_a_golden_sae_is_saved_in_todays_format_without_loss(folder: Path, tmp_path: Path):
    sae = SAE.load(folder)
    sae.save(tmp_path / "again")
    again = SAE.load(tmp_path / "again")
    assert json.loads((tmp_path / "again/config.json").read_text())["format_version"] == 2
    assert again.config == sae.config
    assert (again.provenance, again.imported) == (sae.provenance, sae.imported)
    torch.testing.assert_close(again.state_dict(), sae.state_dict(), rtol=0, atol=0)


def test_settings_of_format_1_have_their_names_of_today():
    topk = SAE.load(GOLDEN / "format-1/topk")
    assert topk.config.dead_window == 9000
    assert (topk.config.gradient, topk.config.clip) == ("clip", 0.5)
    assert topk.config.matmul_dtype == "bfloat16"
    assert topk.config.lr_decay_fraction == 0.25
    assert topk.config.center == "geometric_median"
    assert (topk.config.layer_norm_eps, topk.config.layer_norm_ddof) == (0.0, 0)
    assert topk.provenance == PROVENANCE
    assert SAE.load(GOLDEN / "format-1/batchtopk").config.aux_after == 500
    assert SAE.load(GOLDEN / "format-1/batchtopk").config.gradient == "unit"
    assert SAE.load(GOLDEN / "format-1/p-anneal").config.architecture == "p_annealing"
    assert SAE.load(GOLDEN / "format-1/jumprelu").config.name == "my-jumprelu"


def test_where_an_sae_was_imported_from_is_read_back():
    sae = SAE.load(GOLDEN / "format-2/jumprelu-input-bias")
    assert sae.provenance is None
    assert sae.imported == IMPORTED
