"""The crash points, each file in a process that has begun no other test's threads.

A child of a fork has none of its parent's threads, and waits forever for one that holds a lock.
"""

import subprocess
import sys
from pathlib import Path

import pytest

FILES = sorted(Path(__file__).parent.glob("*/test_crash_points.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.parent.name)
def test_killed_before_any_change_the_same_command_goes_on(file: Path):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:xdist", "-m", "forks and not stress", str(file)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
