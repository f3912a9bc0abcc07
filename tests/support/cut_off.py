"""Processes that end in the middle of writing files, as if they were killed there."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

_OPERATIONS = ("open", "os.rename", "os.remove", "os.rmdir", "os.chmod", "os.mkdir")


def cut_off(work: Callable[[], object], number: int, within: Path | str = "") -> bool:
    """Whether a fork that runs `work` was ended just before its file operation `number`.

    Only operations on paths that start with `within` count. A fork takes no other threads along:
    call this in a process that has none, such as one of `run_alone`.
    """
    if (child := os.fork()) == 0:
        left = [number]

        def count(event: str, arguments: tuple[object, ...]) -> None:
            if event in _OPERATIONS and str(arguments[0]).startswith(str(within)):
                left[0] -= 1
                if left[0] < 0:
                    os._exit(9)

        sys.addaudithook(count)
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def run_alone(code: str, *arguments: object) -> list[str]:
    """The lines that a process of its own prints, which has no threads beside the first."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
