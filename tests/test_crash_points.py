"""The crash points, each file in a process that has begun no other test's threads.

A child of a fork has none of its parent's threads, and waits forever for one that holds a lock.
"""

import sys
from pathlib import Path

import pytest

from tests.support.commands import start_function

FILES = sorted(Path(__file__).parent.glob("*/test_crash_points.py"))


def run_file(file: Path) -> None:
    sys.exit(pytest.main(["-p", "no:xdist", "-m", "forks and not stress", str(file)]))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.parent.name)
def test_killed_before_any_change_the_same_command_goes_on(file: Path):
    done = start_function(run_file, file)
    assert done.wait(300) == 0, done.stdout
    assert " passed" in done.stdout
