"""Commands in processes of their own, which are forked from one that has loaded the libraries.

    done = run("cache", "--model", …)           # until it ends
    process = start("serve", "--port", "0")     # while it runs

A new interpreter takes seconds to import torch and TransformerLens; a fork takes milliseconds, and
is a process like another to signals, locks and files. What the commands set before they import
anything is tested with interpreters of their own (tests/cli/test_process.py).
"""

import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

# one list for all tests: the first to start a child has the server import it
children = multiprocessing.get_context("forkserver")
children.set_forkserver_preload(["tests.support.loaded"])


class Started:
    """A command that runs: its process, and what it has printed so far."""

    def __init__(self, process: BaseProcess, printed: tempfile.TemporaryDirectory[str]) -> None:
        self._process, self._printed = process, printed
        self.pid = process.pid

    @property
    def returncode(self) -> int | None:
        """As `subprocess` gives it; None while the command runs."""
        return self._process.exitcode

    @property
    def stdout(self) -> str:
        return Path(self._printed.name, "stdout").read_text()

    @property
    def stderr(self) -> str:
        return Path(self._printed.name, "stderr").read_text()

    def send_signal(self, number: signal.Signals) -> None:
        assert self.pid is not None
        os.kill(self.pid, number)

    def kill(self) -> None:
        self._process.kill()

    def wait(self, seconds: float = 120) -> int:
        """The exit code. Raises TimeoutError, and kills the command, when it doesn't end."""
        self._process.join(seconds)
        if self._process.exitcode is None:
            self._process.kill()
            raise TimeoutError(f"still running after {seconds} s: {self.stderr}")
        return self._process.exitcode


def start(*words: str, environment: Mapping[str, str] | None = None) -> Started:
    """Starts `lmsaes WORDS` in this process's environment, with these changes to it."""
    return start_function(command, *words, environment=environment)


def run(*words: str, environment: Mapping[str, str] | None = None) -> Started:
    """Runs `lmsaes WORDS` to its end."""
    started = start(*words, environment=environment)
    started.wait()
    return started


def start_function(
    function: Callable[..., object],
    *arguments: object,
    environment: Mapping[str, str] | None = None,
) -> Started:
    """Starts a function that can be imported, likewise."""
    printed = tempfile.TemporaryDirectory(prefix="lmsaes-command-")
    folder = Path(printed.name)
    for name in ("stdout", "stderr"):
        (folder / name).touch()
    process = children.Process(
        target=_redirected,
        args=(function, arguments, folder, Path.cwd(), {**os.environ, **(environment or {})}),
    )
    process.start()
    return Started(process, printed)


def _redirected(
    function: Callable[..., object],
    arguments: tuple[object, ...],
    folder: Path,
    cwd: Path,
    environment: dict[str, str],
) -> None:
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        file = os.open(folder / name, os.O_WRONLY | os.O_APPEND)
        os.dup2(file, descriptor)
        os.close(file)
        setattr(sys, name, os.fdopen(descriptor, "w", buffering=1, closefd=False))
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    if threads := environment.get("OMP_NUM_THREADS"):  # torch was loaded under another number
        torch.set_num_threads(int(threads))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    function(*arguments)


def command(*words: str) -> None:
    """What the console script does with these words."""
    from lmsaes.cli.app import main

    sys.argv = ["lmsaes", *words]
    main()
