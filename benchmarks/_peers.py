"""Runs a script where the peers are installed, which is rarely where lmsaes is."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def run_there(what: str, python: Path, script: str | Path, *arguments: str) -> Any:
    """What the script prints last, as JSON; None, and a line that says why, where it fails."""
    done = subprocess.run(
        [python, "-W", "ignore", script, *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it failed"]
        print(f"{what} was not measured: {lines[-1]}", file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])
