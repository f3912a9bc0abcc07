"""Has a process die just before its n-th change of the disk or of the database.

    changes = count(work, folder)              # in a child; None where it died
    died = dies_before(3, work, folder)        # a child that is gone before its third change

A child is forked from the test's process, so that it costs milliseconds, and ends by `os._exit`:
nothing is cleaned up, as with SIGKILL. Changes of the disk are what Python's audit events say of
files below a folder, and fsync; of the database, the commands that are sent to it.
"""

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pymongo import monitoring

Work = Callable[[], object]

_KILLED, _FAILED = 79, 78
_SECONDS = 300
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.link",
            "os.symlink"}  # fmt: skip
_QUESTIONS = {"hello", "ping", "find", "aggregate", "listCollections", "endSessions", "getMore"}


class _Countdown:
    """Ends the process when its number of changes has come."""

    def __init__(self, last: int | None) -> None:
        self.last, self.seen, self._lock = last, 0, threading.Lock()

    def __call__(self) -> None:
        with self._lock:
            self.seen += 1
            if self.seen == self.last:
                os._exit(_KILLED)


def count(work: Work, folder: Path) -> int:
    """How many changes `work` makes, where nothing stops it."""
    code, seen = _child(work, folder, None)
    assert code == 0
    return seen


def dies_before(change: int, work: Work, folder: Path) -> bool:
    """Has `work` die before its n-th change; whether it did, or was done before that."""
    code, _ = _child(work, folder, change)
    assert code in (0, _KILLED)
    return code == _KILLED


def _child(work: Work, folder: Path, last: int | None) -> tuple[int, int]:
    """Exit code of a child that does `work`, and how many changes it has made."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = _FAILED
        try:
            os.close(reading)
            signal.alarm(_SECONDS)
            # threads of a pool that the parent has begun are not there in its child
            os.environ["TOKENIZERS_PARALLELISM"] = "false"
            torch.set_num_threads(1)
            torch.set_num_threads = lambda number: None  # pyright: ignore
            countdown = _Countdown(last)
            _watch_files(folder, countdown)
            _watch_commands(countdown)
            work()
            os.write(writing, str(countdown.seen).encode())
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as answer:
        seen = answer.read()
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), int(seen or 0)


def _watch_files(folder: Path, countdown: _Countdown) -> None:
    fsync = os.fsync
    root = str(folder)

    def is_below(path: Any, at: int = -1) -> bool:
        if isinstance(path, int):
            return False
        name = os.fsdecode(path)
        # relative names are those of a folder that is being removed
        return name.startswith(root) if Path(name).is_absolute() else at >= 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & _WRITES and is_below(path):
                countdown()
        elif event in _CHANGES and is_below(arguments[0], arguments[-1]):
            countdown()

    def counted_fsync(descriptor: int) -> None:
        countdown()
        fsync(descriptor)

    os.fsync = counted_fsync
    sys.addaudithook(hook)


def _watch_commands(countdown: _Countdown) -> None:
    class Listener(monitoring.CommandListener):
        def started(self, event: monitoring.CommandStartedEvent) -> None:
            if event.command_name not in _QUESTIONS:
                countdown()

        def succeeded(self, event: object) -> None: ...

        def failed(self, event: object) -> None: ...

    monitoring.register(Listener())


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder but locks and times, by its path; the folder's own is left out of
    them."""
    return {
        str(path.relative_to(folder)): path.read_bytes().replace(os.fsencode(folder), b"")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in (".lock", "speed.jsonl")
    }
