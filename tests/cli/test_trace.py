"""`lmsaes trace` as it is typed, from a cache of every MLP to a graph."""

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from lmsaes.cli.app import app
from lmsaes.demo import MODEL, TEXT


def run(*words: str) -> Result:
    return CliRunner().invoke(app, [*words], env={"COLUMNS": "200"})


@pytest.fixture(scope="module")
def transcoders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trace")
    cached = run(
        "cache", "--model", str(MODEL), "--dataset", str(TEXT), "--transcoders",
        "--tokens", "4k", "--out", str(folder / "cache"),
    )  # fmt: skip
    assert cached.exit_code == 0, cached.output
    assert "lmsaes train --cache" in cached.output
    assert "--transcoders" in cached.output
    trained = run(
        "train", "--cache", str(folder / "cache"), "--transcoders", "--features", "64", "--k", "4",
        "--tokens", "4k", "--batch-size", "512", "--allow-poor-shuffle", "--device", "cpu",
        "--out", str(folder / "run"),
    )  # fmt: skip
    assert trained.exit_code == 0, trained.output
    return folder / "run"


def test_every_mlp_gets_a_transcoder_with_a_skip(transcoders: Path):
    configs = [json.loads(file.read_text()) for file in sorted(transcoders.glob("*/config.json"))]
    found = [each["config"] for each in configs]
    assert [each["target"] for each in found] == [f"blocks.{i}.hook_mlp_out" for i in range(4)]
    assert all(each["skip"] and each["architecture"] == "batchtopk" for each in found)


def test_a_prompt_is_explained_with_its_proof(transcoders: Path, tmp_path: Path):
    file = tmp_path / "graphs" / "piano.json"
    done = run(
        "trace", str(transcoders), "--prompt", "the piano and the", "--verify", "4",
        "--nodes", "100", "--device", "cpu", "--out", str(file),
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    for words in ("replacement score", "completeness score", "patterns let go", "ablations"):
        assert words in done.output
    graph = json.loads(file.read_text())
    assert graph["metadata"]["slug"] == "piano"
    assert graph["metadata"]["proof"]["completeness_error"] < 1e-4


def test_a_graph_is_kept_listed_and_removed(
    transcoders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LMSAES_DB_FOLDER", str(tmp_path / "db"))
    monkeypatch.delenv("LMSAES_DB", raising=False)
    asked = ["trace", str(transcoders), "--prompt", "the piano", "--nodes", "20"]
    done = run(*asked, "--name", "piano")
    assert done.exit_code == 0, done.output
    assert "graph piano is in the embedded database" in done.output
    assert "the piano" in run("db", "list").output
    shown = json.loads(run("db", "show", "piano", "--graph").stdout)
    assert [each["layer"] for each in shown["transcoders"]] == [0, 1, 2, 3]
    assert shown["proof"]["completeness_error"] < 1e-4
    assert run("db", "rename", "piano", "grand", "--graph").exit_code == 0
    listed = json.loads(run("db", "list", "--json").stdout)
    assert [each["name"] for each in listed["graphs"]] == ["grand"]
    assert "no graph 'piano'" in run("db", "rm", "piano", "--graph").stderr
    assert run("db", "rm", "grand", "--graph").exit_code == 0
    assert "there is nothing in" in run("db", "list").output
    assert "no --name" in run(*asked, "--db", "mongodb://127.0.0.1/x").stderr


def test_json_alone_is_printed(transcoders: Path):
    done = run("trace", str(transcoders), "--prompt", "the", "--nodes", "10", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["metadata"]["prompt"] == "the"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trace"], "transcoders"),
        (["trace", "{run}"], "prompt"),
        (["trace", "{run}", "--prompt", "the", "--target", "the piano"], "tokens"),
        (["trace", "{run}/layer-0/nothing", "--prompt", "the"], "nothing"),
        (["train", "--cache", "{run}/../cache", "--transcoders", "--hook", "x", "--out", "o"],
         "--hook says nothing"),
    ],
)  # fmt: skip
def test_what_is_impossible_is_said_in_one_line(transcoders: Path, words: list[str], message: str):
    done = run(*[word.format(run=transcoders) for word in words])
    assert done.exit_code == 1
    assert message in done.stderr
    assert "unforeseen" not in done.stderr
