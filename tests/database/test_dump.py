"""A dump is the whole of what readers need, and a damaged one changes nothing."""

import json
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lmsaes.cli.app import app
from lmsaes.database import Database, EmbeddedServer, TrainingCurves, new_explanation
from lmsaes.errors import ConfigError
from tests.database.test_database import everything
from tests.support import made_up_analysis as made_up
from tests.support.made_up_graph import made_up_graph


@pytest.fixture
def other(server: EmbeddedServer, request: pytest.FixtureRequest) -> str:
    """An empty database to restore into."""
    return f"{server.uri}/other_{abs(hash(request.node.name))}"


def fill(database: Database) -> None:
    made_up.publish(database)
    with database.draft("demo:second", made_up.CACHE, made_up.MADE_FROM) as draft:
        made_up.write(database, draft, 1)
        draft.put_metrics(TrainingCurves([1, 2], {"loss": [0.5, None]}))
        draft.publish(made_up.sae("demo:second", analysis=draft.analysis))
    database.explanations.add("5f3a", new_explanation(3, "rivers", "me"))
    database.graphs.put("piano", made_up_graph())


def content(uri: str) -> dict[str, list[object]]:
    return {name: each for name, each in everything(uri).items() if name != "leases" and each}


def test_everything_comes_back(database, uri, other, tmp_path):
    fill(database)
    with Database(uri) as opened:
        assert [each.name for each in opened.dump(tmp_path / "dump.zip").saes] == [
            "demo:second", "demo:topk",
        ]  # fmt: skip
    with Database(other) as opened:
        for _ in range(2):  # the second time all is there already
            restored = opened.restore(tmp_path / "dump.zip")
            assert [each.name for each in restored.saes] == ["demo:second", "demo:topk"]
            assert [each.name for each in restored.graphs] == ["piano"]
            assert content(other) == content(uri)
        assert opened.gc() == []


def test_explanations_of_both_stay(database, uri, other, tmp_path):
    fill(database)
    database.dump(tmp_path / "dump.zip")
    with Database(other) as opened:
        opened.explanations.add("5f3a", new_explanation(3, "lakes", "you"))
        for _ in range(2):
            opened.restore(tmp_path / "dump.zip")
            found = opened.explanations.history("5f3a", 3)
            assert [each.text for each in found] == ["lakes", "rivers"]


def test_a_name_that_is_another_analysis_is_refused(database, other, tmp_path):
    fill(database)
    database.dump(tmp_path / "dump.zip")
    with Database(other) as opened:
        made_up.publish(opened, "demo:topk", seed=2)
        before = content(other)
        with pytest.raises(ConfigError, match="another analysis of demo:topk"):
            opened.restore(tmp_path / "dump.zip")
        assert content(other) == before


def rewrite(source: Path, target: Path, change) -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            data = change(name, old.read(name))
            if data is not None:
                new.writestr(name, data)


def test_a_damaged_file_changes_nothing(database, other, tmp_path):
    fill(database)
    whole = tmp_path / "dump.zip"
    database.dump(whole)
    data = whole.read_bytes()

    def changed(name: str, content: bytes) -> bytes | None:
        return content[:-1] + bytes([content[-1] ^ 1]) if name.startswith("samples") else content

    def lacking(name: str, content: bytes) -> bytes | None:
        return None if name == "vocabularies.bson" else content

    def newer(name: str, content: bytes) -> bytes | None:
        if name != "dump.json":
            return content
        return json.dumps({**json.loads(content), "format": 3}).encode()

    def foreign(name: str, content: bytes) -> bytes | None:
        return content.replace(b'"saes"', b'"system.users"') if name == "dump.json" else content

    bad = tmp_path / "bad.zip"
    cases = {
        "cut": lambda: bad.write_bytes(data[: len(data) // 2]),
        "flipped": lambda: bad.write_bytes(data[:5000] + bytes([data[5000] ^ 8]) + data[5001:]),
        "no zip": lambda: bad.write_bytes(b"something else"),
        **{
            change.__name__: lambda change=change: rewrite(whole, bad, change)
            for change in (changed, lacking, newer, foreign)
        },
    }
    with Database(other) as opened:
        for name, damage in cases.items():
            damage()
            with pytest.raises(ConfigError) as raised:
                opened.restore(bad)
            assert "bad.zip" in str(raised.value), name
        assert content(other) == {}


def test_the_commands(database, uri, other, tmp_path):
    fill(database)
    file = str(tmp_path / "dump.zip")
    result = CliRunner().invoke(app, ["db", "dump", file, "--db", uri])
    assert result.exit_code == 0, result.output
    assert "2 SAEs and 1 graphs are in" in result.output
    assert CliRunner().invoke(app, ["db", "dump", file, "--db", uri]).exit_code == 1
    result = CliRunner().invoke(app, ["db", "restore", file, "--db", other])
    assert result.exit_code == 0, result.output
    assert content(other) == content(uri)
    missing = CliRunner().invoke(app, ["db", "restore", file + ".no", "--db", other])
    assert missing.exit_code == 1
    assert "can't read" in missing.stderr
