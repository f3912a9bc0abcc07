"""`lmsaes db`: SAEs are listed, renamed and removed; what can't be read is named."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pymongo import MongoClient
from typer.testing import CliRunner

from lmsaes.cli.app import app
from lmsaes.database import Database, EmbeddedServer
from tests.support import made_up_analysis as made_up


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with EmbeddedServer(tmp_path_factory.mktemp("database")) as server:
        yield f"{server.uri}/db"


def db(uri: str, *words: str, fails: bool = False) -> str:
    result = CliRunner().invoke(app, ["db", *words, "--db", uri])
    assert result.exit_code == fails, result.output
    if fails:
        assert result.stderr.startswith("error: ")
    return result.stderr if fails else result.stdout


def test_saes_are_listed_shown_renamed_and_removed(uri: str, tmp_path: Path) -> None:
    assert "there is nothing in the database at 127.0.0.1" in db(uri, "list")
    with Database(uri) as database:
        record = made_up.publish(database, fvu=None)
        made_up.publish(database, "broken")
    with MongoClient[dict[str, object]](uri) as client:
        client.get_default_database()["saes"].update_one(
            {"_id": "broken"}, {"$set": {"schema_version": 3}}
        )

    listed = db(uri, "list")
    assert re.search(r"demo:topk .* 120 .* 31\.5 .* – ", listed)
    assert "0:120 of" not in listed
    assert "broken can't be read: schema 3: needs a newer lmsaes" in listed
    assert "lmsaes db rm broken" in listed
    found = json.loads(db(uri, "list", "--json"))
    assert [sae["name"] for sae in found["saes"]] == ["demo:topk"]
    assert found["saes"][0]["fvu"] is None
    assert [each["name"] for each in found["unreadable"]] == ["broken"]

    with Database(uri) as database:
        made_up.publish(database, "part", features=4096)
    assert "0:120 of" in db(uri, "list")
    db(uri, "rm", "part")

    assert json.loads(db(uri, "show", "demo:topk")) == record.model_dump(mode="json")
    assert "no SAE 'nobody'" in db(uri, "show", "nobody", fails=True)
    assert "schema 3" in db(uri, "show", "broken", fails=True)
    db(uri, "rm", "broken")
    assert db(uri, "rename", "demo:topk", "better") == "demo:topk is called better now\n"
    assert "'a b' can't name an SAE" in db(uri, "rename", "better", "a b", fails=True)
    assert db(uri, "gc") == "nothing to drop\n"
    assert "removed better from" in db(uri, "rm", "better")
    assert "no SAE 'better'" in db(uri, "rm", "better", fails=True)
    assert "there is nothing" in db(uri, "list")
