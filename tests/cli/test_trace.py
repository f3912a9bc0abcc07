"""`lmsaes trace` as it is typed, from a cache of every MLP to a graph."""

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from lmsaes.cli import demo
from lmsaes.cli.app import app


def run(*words: str) -> Result:
    return CliRunner().invoke(app, [*words], env={"COLUMNS": "200"})


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """`lmsaes demo --trace` on little text: its folder and what it printed."""
    folder = tmp_path_factory.mktemp("trace")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "_TOKENS", "4k")
        few = ("--features", "64", "--k", "4", "--tokens", "4k", "--batch-size", "512")
        patch.setattr(demo, "_TRANSCODERS", (*few, "--allow-poor-shuffle", "--device", "cpu"))
        patch.setenv("LMSAES_DB_FOLDER", "")  # the demo sets it: what was there comes back
        done = run("demo", "--trace", "--no-serve", "--out", str(folder))
    assert done.exit_code == 0, done.output
    return folder, done.output


@pytest.fixture
def transcoders(chain: tuple[Path, str]) -> Path:
    return chain[0] / "transcoders"


def test_the_demo_shows_the_whole_chain(chain: tuple[Path, str], monkeypatch: pytest.MonkeyPatch):
    folder, printed = chain
    for command in ("cache", "train", "analyze", "trace"):
        assert f"lmsaes {command} " in printed
    assert "real model" in printed
    assert "the graph: http://localhost:24577/graphs/beginning" in printed
    monkeypatch.setenv("LMSAES_DB_FOLDER", str(folder / "db"))
    monkeypatch.delenv("LMSAES_DB", raising=False)
    shown = json.loads(run("db", "show", "beginning", "--graph").stdout)
    assert shown["prompt"].endswith("created the heaven and the")
    saes = {each["name"] for each in json.loads(run("db", "list", "--json").stdout)["saes"]}
    assert {each["sae"] for each in shown["transcoders"]} == saes
    assert len(saes) == 4


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
        (["train", "--cache", "{run}/../mlps", "--transcoders", "--hook", "x", "--out", "o"],
         "--hook says nothing"),
    ],
)  # fmt: skip
def test_what_is_impossible_is_said_in_one_line(transcoders: Path, words: list[str], message: str):
    done = run(*[word.format(run=transcoders) for word in words])
    assert done.exit_code == 1
    assert message in done.stderr
    assert "unforeseen" not in done.stderr
