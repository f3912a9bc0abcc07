"""An address where a folder or file of this machine is wanted is refused at once."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from lmsaes.cli.app import app
from lmsaes.sae import SAE, TopKConfig
from tests.support.made_up_cache import made_up_cache


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("addresses")
    made_up_cache(folder / "cache", 16)
    SAE.create(TopKConfig(features=4, k=1, hook="hook"), 3).save(folder / "sae")
    return folder


@pytest.mark.parametrize(
    "command",
    [
        "train --cache cache --hook hook --out {}",
        "analyze sae --cache cache --scratch {}",
        "analyze {} --cache cache",
        "eval sae --cache cache --plot {}.png",
        "eval sae --cache cache --probe {}.jsonl",
        "export sae --to saelens --out {}",
        "import sae --out {}",
        "import {} --out mine",
        "demo --out {}",
        "explain name --export {}.jsonl",
        "tools shuffle cache --out {}",
    ],
)
def test_it_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch, command: str):
    monkeypatch.chdir(folder)
    before = sorted(folder.rglob("*"))
    result = CliRunner().invoke(app, command.format("s3://bucket/x").split())
    assert result.exit_code == 1, result.output
    assert result.stderr.startswith("error: ")
    assert "bucket/x" in result.stderr
    assert "is an address, and only a cache can be in an object store" in result.stderr
    assert sorted(folder.rglob("*")) == before


def test_so_is_the_embedded_databases_folder(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(folder)
    monkeypatch.delenv("LMSAES_DB", raising=False)
    monkeypatch.setenv("LMSAES_DB_FOLDER", "s3://bucket/db")
    result = CliRunner().invoke(app, ["db", "list"])
    assert (result.exit_code, "is an address" in result.stderr) == (1, True)
    assert not (folder / "s3:").exists()


@pytest.mark.parametrize(
    "command",
    [
        "eval sae --cache cache --model none --device cpu --no-write --any-model",
        "analyze sae --cache cache --device cpu --any-model",
        "export sae --to neuronpedia --out neuronpedia",
        "db list",
        "show sae 0",
        "explain sae",
    ],
)
def test_a_databases_address_may_hold_a_password(
    folder: Path, monkeypatch: pytest.MonkeyPatch, command: str
):
    """Where nothing answers, each says so, and not that keys belong elsewhere."""
    monkeypatch.chdir(folder)
    uri = "mongodb://me:S3CRET@127.0.0.1:1/x?serverSelectionTimeoutMS=1"
    result = CliRunner().invoke(app, [*command.split(), "--db", uri])
    assert result.exit_code == 1, result.output
    assert "no database answers at 127.0.0.1:1/x" in result.stderr
    assert "S3CRET" not in result.output
