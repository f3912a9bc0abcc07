"""Databases at addresses and in folders: what answers, what goes away, and what is said of it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lmsaes.database import Database, EmbeddedServer, connection
from lmsaes.errors import ConfigError, DatabaseError
from tests.support import made_up_analysis as made_up

SHORT = "serverSelectionTimeoutMS=100"


def test_two_processes_share_the_embedded_database(tmp_path: Path) -> None:
    """One analyzes while another reads."""
    reader = (
        "import sys; from pathlib import Path; from lmsaes.database import Database\n"
        "with Database(folder=Path(sys.argv[1])) as database:\n"
        "    print(database.sae('demo:topk').analysis)"
    )
    with Database(folder=tmp_path) as database:
        record = made_up.publish(database)
        answer = subprocess.run(
            [sys.executable, "-c", reader, str(tmp_path)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert answer.stdout == f"{record.analysis}\n"
        assert database.sae("demo:topk") is not None


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
    with Database(folder=tmp_path) as database:
        record = made_up.publish(database)
        kill_server(tmp_path)
    with Database(folder=tmp_path) as database:
        assert database.saes() == [record]
        indices = range(made_up.FEATURES)
        assert len(database.features(record.analysis, indices)) == made_up.FEATURES
        assert len(database.contexts(made_up.CACHE, range(made_up.CONTEXTS))) == made_up.CONTEXTS


def test_a_server_that_goes_away_is_one_line(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path) as server:
        database = Database(f"{server.uri}/x?{SHORT}")
    with database, pytest.raises(DatabaseError, match=r"no database answers at 127\.0\.0\.1:\d+/x"):
        database.saes()


def test_an_embedded_server_that_was_killed_is_found_again(tmp_path: Path) -> None:
    with Database(folder=tmp_path) as database:
        record = made_up.publish(database)
        kill_server(tmp_path)
        while (tmp_path / "server.json").exists():  # its keeper saw it end
            time.sleep(0.01)
        assert database.saes() == [record]


def test_an_embedded_server_that_just_died_is_one_line_and_then_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its record is still there, as it is when its keeper was killed too."""
    monkeypatch.setitem(connection._TIMEOUTS, "serverSelectionTimeoutMS", 100)
    with Database(folder=tmp_path) as database:
        record = made_up.publish(database)
        stale = (tmp_path / "server.json").read_text()
        kill_server(tmp_path)
        while (tmp_path / "server.json").exists():
            time.sleep(0.01)
        (tmp_path / "server.json").write_text(stale)
        with pytest.raises(
            DatabaseError, match=r"embedded database in .* does not answer"
        ) as raised:
            database.saes()
        assert "\n" not in str(raised.value)
        assert database.saes() == [record]


def test_a_folder_that_was_deleted_under_its_users_is_one_line(tmp_path: Path) -> None:
    with Database(folder=tmp_path / "db") as database:
        kill_server(tmp_path / "db")
        while (tmp_path / "db/server.json").exists():
            time.sleep(0.01)
        shutil.rmtree(tmp_path / "db")
        (tmp_path / "db").write_text("a file where the folder was")
        with pytest.raises(DatabaseError, match="can't be used"):
            database.saes()
        (tmp_path / "db").unlink()


def test_the_timeouts_of_an_address_are_its_own(uri: str) -> None:
    with Database(f"{uri}?serverselectiontimeoutms=7000") as database:
        options = database._connection._client.options
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
