"""`lmsaes eval`: its table, its JSON, its picture, and the records that it completes."""

import json
import math
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lmsaes import Database, TopKConfig, analyze, cache_activations
from lmsaes.cache import ActivationCache
from lmsaes.cli.app import app
from lmsaes.database import EmbeddedServer, SAERecord
from tests.support.made_from_rows import sae_from_rows
from tests.support.small_capture import SMALL

HOOK = "blocks.2.hook_resid_post"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a cache, and a run of two SAEs."""
    folder = tmp_path_factory.mktemp("eval")
    cache = cache_activations(**SMALL, hooks=[HOOK], tokens=320, out=folder / "cache")
    for k in (2, 8):
        config = TopKConfig(hook=HOOK, k=k, features=32)
        sae_from_rows(cache, config, folder / "run" / config.name, contexts=7)
    return folder


def run(folder: Path, *words: str, fails: bool = False) -> str:
    arguments = ["eval", str(folder / "run"), "--cache", str(folder / "cache"), *words]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == fails, result.output
    return result.stderr if fails else result.stdout


def test_json_is_one_object_with_the_contracts_keys(folder: Path):
    found = json.loads(run(folder, "--json"), parse_constant=lambda name: pytest.fail(name))
    assert [sae["name"] for sae in found["saes"]] == ["run:topk-2", "run:topk-8"]
    figures = ("l0", "l1", "mse", "fvu", "explained_variance", "ce_clean", "ce_sae", "ce_zero",
               "ce_mean", "ce_recovered_zero", "ce_recovered_mean", "kl")  # fmt: skip
    for sae in found["saes"]:
        assert all(math.isfinite(sae[name]) and sae[f"{name}_se"] >= 0 for name in figures)
        assert sae["seen_in_training"] is False
    assert {each["figure"] for each in found["comparisons"]} >= {"fvu", "l0", "kl"}
    without = json.loads(run(folder, "--json", "--model", "none"))
    assert [(sae["kl"], sae["kl_se"]) for sae in without["saes"]] == [(None, None)] * 2


def test_the_table_shows_what_was_not_measured_as_a_dash(folder: Path):
    shown = run(folder, "--model", "none", "--plot", str(folder / "p.png"))
    rows = {line.split("│")[1].strip(): line for line in shown.splitlines() if "│" in line}
    assert "–" in rows["ce_recovered_zero"]
    assert "±" in rows["fvu"]
    assert "training did not see them" in shown
    assert "next: lmsaes analyze" in shown
    assert (folder / "p.png").is_file()


def figures(record: SAERecord) -> tuple[float | None, ...]:
    return (record.l0, record.l0_error, record.fvu, record.fvu_error, record.ce_recovered,
            record.ce_recovered_error)  # fmt: skip


def test_records_of_the_sae_get_its_figures_and_their_errors(folder: Path):
    cache = ActivationCache.open(folder / "cache")
    with EmbeddedServer(folder / "database") as server:
        uri = f"{server.uri}/eval"
        run(folder, "--model", "none", "--db", uri)
        with Database(uri) as database:
            (record, *_) = analyze([folder / "run"], cache, database, top=2)
            assert (record.ce_recovered, record.ce_recovered_error) == (None, None)
            assert record.fvu_error is not None
        found = json.loads(run(folder, "--json", "--db", uri))["saes"]
        names = ("l0", "fvu", "ce_recovered_zero")
        expected = {
            sae["name"]: tuple(sae[name + what] for name in names for what in ("", "_se"))
            for sae in found
        }
        assert all(each is not None for sae in expected.values() for each in sae)
        with Database(uri) as database:
            assert {each.name: figures(each) for each in database.saes()} == expected
            # and an analysis that comes after the evaluation takes it along
            again = analyze([folder / "run"], cache, database, top=3)
            assert {each.name: figures(each) for each in again} == expected


def test_ordinary_mistakes_are_one_line(folder: Path, tmp_path: Path):
    assert run(folder, "--model", str(tmp_path / "none"), fails=True).startswith("error: ")
    assert run(folder, "--heldout", "2", fails=True).startswith("error: ")
