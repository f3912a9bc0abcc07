"""Explanations by hand: kept with their history, by the SAE's weights, to and from files."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from typer.testing import CliRunner

from lmsaes import Database
from lmsaes.cli.app import app
from lmsaes.database import new_explanation
from lmsaes.errors import ConfigError, DataError
from lmsaes.explain import explain_by_hand, export_explanations, import_explanations
from tests.support import made_up_analysis as made_up


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("LMSAES_DB", raising=False)
        patch.setenv("LMSAES_DB_FOLDER", str(tmp_path_factory.mktemp("explain")))
        yield


@pytest.fixture(scope="module")
def database(folder) -> Iterator[Database]:
    with Database() as database:
        made_up.publish(database, "demo:labels")
        yield database


@pytest.fixture
def record(database, request):
    """An SAE of its own weights for each test."""
    import hashlib

    own = hashlib.sha256(request.node.name.encode()).hexdigest()[:16]
    return made_up.sae("demo:labels", sae_hash=own)


def texts(database, record, feature):
    return [each.text for each in database.explanations.history(record.sae_hash, feature)]


def test_the_newest_counts_and_all_are_kept(database, record):
    for number in range(6):  # more than are fetched at once
        explain_by_hand(database, record, 0, f" version {number} ", "ann")
    assert texts(database, record, 0) == [f"version {number}" for number in range(6)]
    explain_by_hand(database, record, 3, "ships", "bob")
    current = database.explanations.current(record.sae_hash, [0, 3, 4])
    assert {f: e.text for f, e in current.items()} == {0: "version 5", 3: "ships"}
    assert current[3].author == "bob"
    assert current[3].created.tzinfo is not None
    explain_by_hand(database, record, 3, "", "ann")
    assert database.explanations.current(record.sae_hash, [3]) == {}
    assert texts(database, record, 3) == ["ships", ""]


def test_two_who_explain_at_once_both_stay(database, record):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: explain_by_hand(database, record, 5, f"by {n}", "x"), range(16)))
    assert sorted(texts(database, record, 5)) == sorted(f"by {n}" for n in range(16))


def test_explanations_outlive_the_analysis(database):
    own = {"sae_hash": "00000000000000aa"}
    record = made_up.publish(database, "demo:again", **own)
    explain_by_hand(database, record, 9, "kings", "ann")
    made_up.publish(database, "demo:again", seed=1, **own)
    database.gc()
    database.rename("demo:again", "demo:renamed")
    assert texts(database, database.sae("demo:renamed"), 9) == ["kings"]
    database.remove("demo:renamed")
    assert texts(database, record, 9) == ["kings"]


def test_a_file_brings_everything_to_another_database(database, record, tmp_path):
    for feature, text in [(2, "a"), (11, "b"), (2, "c")]:
        explain_by_hand(database, record, feature, text, "ann")
    file = tmp_path / "labels.json"
    assert export_explanations(database, record, file) == 3
    assert import_explanations(database, record, file) == 0
    content = json.loads(file.read_text())
    assert [each["text"] for each in content["explanations"]] == ["a", "c", "b"]
    other = record.model_copy(update={"sae_hash": "00000000000000bb"})
    with pytest.raises(ConfigError, match="another SAE"):
        import_explanations(database, other, file)
    file.write_text(json.dumps({**content, "sae_hash": other.sae_hash}))
    assert import_explanations(database, other, file) == 3
    assert texts(database, other, 2) == ["a", "c"]


@pytest.mark.parametrize("content", ["", "{}", '{"format": "other"}', "[1]"])
def test_other_files_are_told(database, record, tmp_path, content):
    file = tmp_path / "x.json"
    file.write_text(content)
    with pytest.raises(DataError, match="holds no explanations"):
        import_explanations(database, record, file)
    with pytest.raises(DataError, match="can't read"):
        import_explanations(database, record, tmp_path / "nowhere.json")


@pytest.mark.parametrize(
    ("feature", "text", "author"),
    [(120, "x", "a"), (-1, "x", "a"), (0, "x" * 2001, "a"), (0, "x", " ")],
)
def test_what_cannot_be_is_refused_and_nothing_is_stored(database, record, feature, text, author):
    with pytest.raises(ConfigError):
        explain_by_hand(database, record, feature, text, author)
    assert database.explanations.all(record.sae_hash) == []
    with pytest.raises(ConfigError, match="no hash"):
        database.explanations.add("$where/x", new_explanation(0, "x", "a"))


def test_the_command_sets_lists_and_moves(database, tmp_path):
    def run(*words):
        return CliRunner().invoke(app, ["explain", "demo:labels", *map(str, words)])

    assert run("--set", 7, "the sea", "--author", "ann").exit_code == 0
    assert run().stdout == "7\tthe sea\t(ann)\n"
    assert "1 explanations" in run("--export", tmp_path / "f.json").stdout
    assert run("--import", tmp_path / "f.json").stdout == "0 new explanations of demo:labels\n"
    assert run("--set", 7, "").exit_code == 0
    assert run().stdout == ""
    failed = run("--set", 7, "x", "--export", tmp_path / "f.json")
    assert failed.exit_code == 1
    assert "don't go together" in failed.stderr
    assert "no feature 500" in run("--set", 500, "x").stderr
    unknown = CliRunner().invoke(app, ["explain", "nobody"])
    assert unknown.exit_code == 1
    assert "no SAE 'nobody'" in unknown.stderr
