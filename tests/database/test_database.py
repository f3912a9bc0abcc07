"""What goes into the database comes out of it, and readers never see half an analysis."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from pymongo import MongoClient
from pymongo.collection import Collection

from lmsaes.database import Database, EmbeddedServer, SAERecord, SampleRecord, client
from lmsaes.errors import ConfigError, DatabaseError
from tests.support import made_up_analysis as made_up

SHORT = "serverSelectionTimeoutMS=100"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path_factory.mktemp("database")) as server:
        yield server


@pytest.fixture
def uri(server: EmbeddedServer, request: pytest.FixtureRequest) -> str:
    """A database of its own for each test."""
    return f"{server.uri}/{re.sub(r'[^a-z0-9_]', '-', request.node.name)[:60]}"


@pytest.fixture
def database(uri: str) -> Iterator[Database]:
    with Database(uri) as database:
        yield database


def everything(uri: str) -> dict[str, list[object]]:
    """Every document of a database, by collection, in the order of ids."""
    with MongoClient[dict[str, object]](uri) as client:
        database = client.get_default_database()
        return {
            name: sorted(database[name].find(), key=lambda document: str(document["_id"]))
            for name in sorted(database.list_collection_names())
        }


def test_everything_that_was_written_is_read_back(database: Database) -> None:
    record = made_up.sae()
    made_up.write(database, record)
    database.publish(record)

    assert database.dictionaries() == [record]  # by its former name
    assert database.saes() == [record]
    assert database.sae(record.name) == record
    assert database.sae("demo:other") is None
    assert database.vocabulary(made_up.VOCABULARY) == made_up.TOKENS

    written = made_up.columns()
    for key, column in database.columns(record.name, record.analysis).items():
        np.testing.assert_array_equal(column, written[key])
        assert column.dtype == written[key].dtype

    features = database.features(record.name, record.analysis, [5, 119, 7])
    samples = database.samples(record.name, record.analysis, [5, 119, 7])
    assert set(features) == {5, 119, 7}
    assert set(samples) == {5, 119}  # 7 is dead
    for index, feature in features.items():
        expected = made_up.feature(index)
        np.testing.assert_array_equal(feature.histogram, expected.histogram)
        assert feature.histogram.dtype == np.int64
        assert feature.promotes == expected.promotes
        assert feature.suppresses == expected.suppresses
        for name in ("index", "firings", "density", "maximum", "mean", "histogram_max"):
            assert getattr(feature, name) == getattr(expected, name)
    for index, sample in samples.items():
        expected = made_up.sample(index)
        for name in ("contexts", "positions", "activations"):
            np.testing.assert_array_equal(getattr(sample, name), getattr(expected, name))
            assert getattr(sample, name).dtype == getattr(expected, name).dtype

    contexts = database.contexts(made_up.CACHE, [3, 59, 1000])
    assert set(contexts) == {3, 59}
    np.testing.assert_array_equal(contexts[59], made_up.context_tokens()[59])


def test_the_same_analysis_twice_is_the_same_documents(database: Database, uri: str) -> None:
    record = made_up.sae()
    for _ in range(2):
        made_up.write(database, record)
        database.publish(record)
    once = everything(uri)
    made_up.write(database, record)
    database.publish(record)
    assert everything(uri) == once


def test_an_analysis_is_visible_only_when_published(database: Database) -> None:
    made_up.write(database, made_up.sae())
    assert database.saes() == []
    database.publish(made_up.sae())
    second = made_up.sae(analysis="second")
    made_up.write(database, second, seed=1)
    assert [record.analysis for record in database.saes()] == ["first"]
    database.publish(second)
    assert [record.analysis for record in database.saes()] == ["second"]


def test_publishing_drops_the_former_analysis_and_nothing_else(
    database: Database, uri: str
) -> None:
    neighbor = made_up.sae("demo:topk.b")
    for record in (neighbor, made_up.sae()):
        made_up.write(database, record)
        database.publish(record)
    second = made_up.sae(analysis="second")
    made_up.write(database, second, seed=1)
    database.publish(second)

    kinds = ("columns", "features", "samples")
    assert set(everything(uri)) == {
        *("contexts/cache-1", "dictionaries", "vocabularies"),
        *(f"{kind}/demo:topk/second" for kind in kinds),
        *(f"{kind}/demo:topk.b/first" for kind in kinds),
    }


def test_what_a_crash_between_publishing_and_dropping_leaves_is_dropped_next_time(
    database: Database, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for analysis in ("first", "second", "third"):
        record = made_up.sae(analysis=analysis)
        made_up.write(database, record)
        with monkeypatch.context() as patch:
            if analysis == "second":
                patch.setattr(
                    Database, "_drop", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
                )
                with pytest.raises(KeyboardInterrupt):
                    database.publish(record)
            else:
                database.publish(record)
    left = {name for name in everything(uri) if name.startswith("features/")}
    assert left == {"features/demo:topk/third"}


def test_a_half_written_analysis_is_discarded_and_written_again(
    database: Database, uri: str
) -> None:
    record = made_up.sae()
    # What a run left that was killed: half of the features, with other contents.
    database.put_features(record.name, record.analysis, map(made_up.feature, range(60), [9] * 60))
    database.discard(record.name, record.analysis)
    made_up.write(database, record)
    database.publish(record)
    assert database.features(record.name, record.analysis, [5])[5].firings == (
        made_up.feature(5).firings
    )
    with pytest.raises(DatabaseError, match="published"):
        database.discard(record.name, record.analysis)
    assert len(everything(uri)[f"features/{record.name}/first"]) == made_up.FEATURES


def test_contexts_that_exist_are_left_alone(database: Database) -> None:
    tokens = made_up.context_tokens()
    database.put_contexts("cache", np.arange(10), tokens[:10])
    database.put_contexts("cache", np.arange(5, 15), tokens[5:15])
    assert len(database.contexts("cache", list(range(20)))) == 15


def test_ids_beyond_32_bits_are_kept(database: Database) -> None:
    far = 2**40 + 3
    database.put_contexts("cache", np.array([far]), np.array([[1, 2, 200_000]]))
    np.testing.assert_array_equal(database.contexts("cache", [far])[far], [1, 2, 200_000])
    record = SampleRecord(
        index=4,
        group="top",
        contexts=np.array([far]),
        positions=np.array([2], dtype=np.int32),
        activations=np.array([[0, 0, 1.5]], dtype=np.float16),
    )
    database.put_samples("demo:wide", "first", [record])
    assert database.samples("demo:wide", "first", [4])[4].contexts.tolist() == [far]


def test_a_large_vocabulary_is_kept_in_several_documents(database: Database, uri: str) -> None:
    tokens = [f" token {i}" for i in range(150_000)]
    database.put_vocabulary("large", tokens)
    assert len(everything(uri)["vocabularies"]) == 3
    assert database.vocabulary("large") == tokens


def test_the_stored_size_of_a_feature_is_small(database: Database, uri: str) -> None:
    """40 contexts of 128 tokens, of which a typical feature is active on a few percent."""
    random = np.random.default_rng(0)
    active = random.random((40, 128)) < 0.05
    values = np.where(active, random.gamma(2, 3, (40, 128)), 0).astype(np.float16)
    database.put_samples(
        "demo:size",
        "first",
        [SampleRecord(0, "top", np.arange(40), np.zeros(40, dtype=np.int32), values)],
    )
    with MongoClient[dict[str, object]](uri) as client:
        (stats,) = client.get_default_database()["samples/demo:size/first"].aggregate(
            [{"$project": {"size": {"$bsonSize": "$$ROOT"}}}]
        )
    assert stats["size"] < 2048


def test_two_processes_share_the_embedded_database(tmp_path: Path) -> None:
    """One analyzes while another reads."""
    reader = (
        "import sys; from pathlib import Path; from lmsaes.database import Database\n"
        "with Database(folder=Path(sys.argv[1])) as database:\n"
        "    print(database.sae('demo:topk').analysis)"
    )
    with Database(folder=tmp_path) as database:
        database.publish(made_up.sae())
        answer = subprocess.run(
            [sys.executable, "-c", reader, str(tmp_path)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert answer.stdout == "first\n"
        assert database.sae("demo:topk") is not None


@pytest.mark.parametrize("name", ["", "../up", "a b", "a/b", ".hidden", "ä", "a" * 121, "a\n"])
def test_names_that_do_not_fit_an_address_are_refused(database: Database, name: str) -> None:
    with pytest.raises(ConfigError, match="can't name an SAE"):
        database.put_features(name, "first", [])
    with pytest.raises(ValueError, match="name"):
        made_up.sae(name)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        (f"mongodb://127.0.0.1:1?{SHORT}", "no database answers at 127.0.0.1:1/lmsaes"),
        (f"mongodb://user:secret@127.0.0.1:1/x?{SHORT}", "no database answers at 127.0.0.1:1/x"),
        ("mongodb://user:sec/secret@host/x", "'mongodb://host/x' is not a database address"),
        ("mongodb://user:sec@secret@host/x", "'mongodb://host/x' is not a database address"),
        ("mongodb://user:secret?secret@host/x", "'mongodb://…' is not a database address"),
        ("localhost:27017", "'localhost:27017' is not a database address"),
        ("mongodb://host:secret", "'mongodb://…' is not a database address"),
        ("http://user:secret@host", "'http://host' is not a database address"),
    ],
)
def test_a_wrong_address_is_one_line(uri: str, message: str) -> None:
    with pytest.raises(DatabaseError) as raised:
        Database(uri)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert "secret" not in str(raised.value)
    assert raised.value.hint


def test_a_published_analysis_survives_a_killed_server(tmp_path: Path) -> None:
    record = made_up.sae()
    with Database(folder=tmp_path) as database:
        made_up.write(database, record)
        database.publish(record)
        kill_server(tmp_path)
    with Database(folder=tmp_path) as database:
        assert database.saes() == [record]
        indices = range(made_up.FEATURES)
        assert len(database.features(record.name, record.analysis, indices)) == made_up.FEATURES
        assert len(database.contexts(made_up.CACHE, range(made_up.CONTEXTS))) == made_up.CONTEXTS


def test_a_server_that_goes_away_is_one_line(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path) as server:
        database = Database(f"{server.uri}/x?{SHORT}")
    with database, pytest.raises(DatabaseError, match=r"no database answers at 127\.0\.0\.1:\d+/x"):
        database.saes()


def test_an_embedded_server_that_goes_away_is_one_line_that_names_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(client._TIMEOUTS, "serverSelectionTimeoutMS", 100)
    with Database(folder=tmp_path) as database:
        kill_server(tmp_path)
        while (tmp_path / "server.json").exists():  # its keeper saw it end
            time.sleep(0.01)
        with pytest.raises(DatabaseError, match="embedded database in") as raised:
            database.saes()
        assert "\n" not in str(raised.value)


def test_the_timeouts_of_an_address_are_its_own(uri: str) -> None:
    with Database(f"{uri}?serverselectiontimeoutms=7000") as database:
        options = database._client.options
        assert options.server_selection_timeout == 7
        assert options.pool_options.connect_timeout == 3


def test_an_address_is_shown_without_credentials_and_options(uri: str) -> None:
    """An appName stands for the options that are secret: session tokens, passwords of keys."""
    with Database(f"{uri}?appName=secret@secret") as database:
        assert database.uri == uri
        assert database.address == uri.removeprefix("mongodb://")
    with pytest.raises(DatabaseError, match="refuses") as raised:
        Database(uri.replace("//", "//user:secret@") + "?authSource=admin")
    assert "secret" not in f"{raised.value} {raised.value.hint}"


def kill_server(folder: Path) -> None:
    os.kill(json.loads((folder / "server.json").read_text())["pid"], signal.SIGKILL)


def test_an_address_and_a_folder_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="either"):
        Database(f"mongodb://127.0.0.1:1?{SHORT}", folder=tmp_path)


def test_a_record_of_another_schema_says_what_to_do(database: Database, uri: str) -> None:
    with stored_record(database, uri) as (saes, _):
        saes.update_one({}, {"$set": {"schema_version": 99}})
        with pytest.raises(DatabaseError, match="schema 99"):
            database.saes()


def test_a_damaged_record_says_which_field(database: Database, uri: str) -> None:
    with stored_record(database, uri) as (saes, _):
        saes.update_one({}, {"$unset": {"hook": ""}})
        with pytest.raises(DatabaseError, match="damaged: hook"):
            database.saes()


def test_records_with_the_former_spelling_are_read(database: Database, uri: str) -> None:
    with stored_record(database, uri) as (saes, record):
        saes.update_one({}, {"$rename": {"tokens_analyzed": "tokens_analysed"}})
        assert "tokens_analysed" in (saes.find_one({}) or {})
        assert database.saes() == [record]


@contextmanager
def stored_record(
    database: Database, uri: str
) -> Iterator[tuple[Collection[dict[str, object]], SAERecord]]:
    """The collection of SAEs, as MongoDB holds it, and the one record in it."""
    record = made_up.sae()
    database.publish(record)
    with MongoClient[dict[str, object]](uri) as connection:
        yield connection.get_default_database()["dictionaries"], record
