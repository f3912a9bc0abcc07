"""One process at a time writes under a name; from a dead one another takes over."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from lmsaes.database import Database, EmbeddedServer
from lmsaes.database.connection import Connection
from lmsaes.database.leases import LASTS, LEASES, Leases
from lmsaes.errors import DatabaseError
from tests.support import made_up_analysis as made_up

NOON = datetime(2026, 11, 28, 12)


class Clock:
    """A server's clock that is set by hand."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path_factory.mktemp("leases")) as server:
        yield server


@pytest.fixture
def connection(server: EmbeddedServer) -> Iterator[Connection]:
    connection = Connection(f"{server.uri}/leases", None)
    with connection.database() as mongo:
        mongo[LEASES].delete_many({})
    yield connection
    connection.close()


def elsewhere(connection: Connection, name: str) -> None:
    """Has a lease be one of another machine."""
    with connection.database() as mongo:
        holder = {"host": "far", "pid": 7, "machine": "another"}
        mongo[LEASES].update_one({"_id": name}, {"$set": {"holder": holder}})


def test_a_name_is_held_until_its_holder_lets_go(connection: Connection) -> None:
    one, other = Leases(connection, Clock()), Leases(connection, Clock())
    lease = one.take("demo:topk")
    with pytest.raises(
        DatabaseError, match=f"'demo:topk' is being written by process {os.getpid()}"
    ):
        other.take("demo:topk")
    other.take("demo:relu")
    one.release(lease)
    other.take("demo:topk")


def test_a_lease_of_another_machine_is_taken_over_when_it_has_expired(
    connection: Connection,
) -> None:
    clock = Clock()
    one, other = Leases(connection, clock), Leases(connection, clock)
    lost = one.take("demo:topk", analysis="a")
    elsewhere(connection, "demo:topk")
    clock.now = NOON + LASTS - timedelta(seconds=1)
    with pytest.raises(DatabaseError, match="by process 7 on far"):
        other.take("demo:topk")
    clock.now = NOON + LASTS
    taken = other.take("demo:topk", analysis="b")
    with pytest.raises(DatabaseError, match="'demo:topk' was taken over by process"):
        one.check(lost)
    one.release(lost)  # is the other's now, and stays so
    other.check(taken)
    assert [lease["protects"] for lease in other.living()] == [{"analysis": "b"}]


def test_a_renewed_lease_does_not_expire(connection: Connection) -> None:
    clock = Clock()
    leases, other = Leases(connection, clock), Leases(connection, clock)
    lease = leases.take("demo:topk")
    elsewhere(connection, "demo:topk")
    for minutes in range(1, 9):
        clock.now = NOON + timedelta(minutes=minutes)
        leases.check(lease)
    with pytest.raises(DatabaseError, match="is being written"):
        other.take("demo:topk")


def test_renewing_goes_on_by_itself(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lmsaes.database.leases._RENEWED_EVERY", 0.001)
    clock = Clock()
    leases = Leases(connection, clock)
    leases.take("demo:topk")
    clock.now = NOON + timedelta(minutes=1)
    renewed = clock.now + LASTS
    end = time.monotonic() + 60  # a fault fails here instead of waiting forever
    with connection.database() as mongo:
        while mongo[LEASES].find_one({})["expires"] != renewed:  # pyright: ignore
            assert time.monotonic() < end, "the lease was not renewed"
    leases.close()


@pytest.mark.parametrize("damage", [{"expires": None}, {"holder": "nobody"}, {"holder": {}}])
def test_a_damaged_lease_holds_nothing(connection: Connection, damage: dict[str, object]) -> None:
    one, other = Leases(connection, Clock()), Leases(connection, Clock())
    one.take("demo:topk")
    with connection.database() as mongo:
        mongo[LEASES].update_one({}, {"$set": damage})
        if damage == {"holder": {}}:  # of a process that is not said: only time tells
            mongo[LEASES].update_one({}, {"$set": {"expires": NOON}})
    assert other.living() == []
    other.take("demo:topk")


HOLDS = """
import sys
from pathlib import Path
from lmsaes.database import Database
from tests.support import made_up_analysis as made_up
database = Database(folder=Path(sys.argv[1]))
draft = database.draft("demo:topk", made_up.CACHE, made_up.MADE_FROM)
made_up.write(database, draft)
print("there", flush=True)
input()
"""


def test_a_second_process_is_refused_while_the_first_lives_and_takes_over_when_it_was_killed(
    tmp_path: Path,
) -> None:
    first = subprocess.Popen(
        [sys.executable, "-c", HOLDS, tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert first.stdout is not None
        assert first.stdout.readline() == "there\n"
        with Database(folder=tmp_path) as database:
            with pytest.raises(DatabaseError, match=f"being written by process {first.pid} on "):
                made_up.publish(database)
            with pytest.raises(DatabaseError, match="being written"):
                database.remove("demo:topk")
            assert database.gc() == []
            first.kill()
            first.wait()
            record = made_up.publish(database)
            assert database.saes() == [record]
            with database._connection.database() as mongo:
                mine = [each for each in mongo.list_collection_names() if "_" in each]
            assert len(mine) == 4  # nothing of the dead one's is left
    finally:
        first.kill()
        first.wait()
