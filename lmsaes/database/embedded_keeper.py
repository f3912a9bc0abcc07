"""The embedded server's keeper: runs one SecantusDB server while its folder has a user.

A script in a process of its own (`python embedded_keeper.py FOLDER`, started by `embedded.py`)
that imports the standard library alone, so that it starts quickly. In the folder:

    users.lock    shared by every user; the keeper waits for it exclusively, and therefore gets it
                  when the last user has left, whether by closing, by a crash or by SIGKILL
    server.lock   held by the keeper and, inherited, by the server: whoever can take it knows that
                  neither of them lives
    server.json   the server's port and process id, there only while it answers
    server.log    what the server printed since it started
    data/         WiredTiger's files
"""

import ctypes
import fcntl
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

_SECONDS_TO_STOP = 60.0


def keep(folder: Path) -> int:
    """Starts the server, waits until nobody uses it, stops it; returns its exit code."""
    record, log = folder / "server.json", folder / "server.log"
    with (folder / "server.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        record.unlink(missing_ok=True)
        with log.open("wb") as output:
            server = subprocess.Popen(
                _command(folder),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=folder,
                pass_fds=[lock.fileno()],
                preexec_fn=_end_with_the_keeper,
            )
        port = _wait_for_port(server, log)
        if port is not None:
            _write(record, {"port": port, "pid": server.pid})
            stop = threading.Thread(
                target=_stop_when_unused, args=(folder, server, port), daemon=True
            )
            stop.start()
        code = server.wait()
        record.unlink(missing_ok=True)
    return code


def _command(folder: Path) -> list[str]:
    # An explicit configuration file, because without one the server takes ./secantusd.toml.
    configuration = folder / "secantusd.toml"
    configuration.touch()
    return [
        *(sys.executable, "-m", "secantus", "--standalone"),
        *("--config", str(configuration)),
        *("--host", "127.0.0.1", "--port", "0"),  # the system chooses; the log has it
        *("--storage-path", str(folder / "data")),
        *("--cache-size", "512M", "--oplog-max-entries", "1000"),
    ]


def _end_with_the_keeper() -> None:
    """Has the system send SIGTERM to this process when its parent dies (Linux has such a call)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def _wait_for_port(server: subprocess.Popen[bytes], log: Path) -> int | None:
    """The port that the server's log names, or None when it ended without naming one."""
    while True:
        ended = server.poll() is not None
        if found := re.search(rb"listening on \S+:(\d+)", log.read_bytes()):
            return int(found[1])
        if ended:
            return None
        time.sleep(0.01)


def _stop_when_unused(folder: Path, server: subprocess.Popen[bytes], port: int) -> None:
    with (folder / "users.lock").open("w") as users:
        fcntl.flock(users, fcntl.LOCK_EX)
        # A newcomer waits for this lock until the process ends, and then finds no record.
        (folder / "server.json").unlink(missing_ok=True)
        server.terminate()
        deadline = time.monotonic() + _SECONDS_TO_STOP
        accepted = 0
        while server.poll() is None:
            if time.monotonic() > deadline:
                server.kill()
            if _accepts_connections(port):
                # It has not begun to stop. A Python process misses a signal that arrives just
                # before its main thread falls asleep; another one wakes it.
                accepted += 1
                if accepted % 20 == 0:
                    server.terminate()
            time.sleep(0.05)


def _accepts_connections(port: int) -> bool:
    """Whether the server still listens; asking also wakes it when it is waiting for callers."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _write(path: Path, content: dict[str, int]) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(content))
    temporary.replace(path)


if __name__ == "__main__":
    raise SystemExit(keep(Path(sys.argv[1])))
