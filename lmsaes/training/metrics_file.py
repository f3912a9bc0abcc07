"""metrics.jsonl: what was measured of an SAE while it trained, one object to a line.

Lines are appended as training goes on, so that a crash or a copy may leave one that is not whole.
"""

import json
import logging
import math
from pathlib import Path
from typing import Any, cast

from lmsaes.atomic import replace_file

METRICS = "metrics.jsonl"

_log = logging.getLogger("lmsaes")


def read_metrics(
    folder: Path, steps: int | None = None, name: str = METRICS
) -> list[dict[str, Any]]:
    """What was measured of the SAE in `folder`, as the lines have it; empty without a file.

    steps: those of the SAE; None while it is trained, when a last line that is cut off is ordinary.
    name: another file of such lines.

    What is no finite number, nor a list of such, is None. What can't be read is left out with a
    warning, and there is one where the last line is of an earlier step than `steps`.
    """
    file = folder / name
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        _log.warning("can't read %s: %s", file, error.strerror)
        return []
    if steps is None:
        content = content[: content.rfind(b"\n") + 1]
    lines = content.splitlines()
    found = [each for line in lines if (each := _measurement(line)) is not None]
    if left_out := len(lines) - len(found):
        _log.warning("%s is damaged: %d of its lines can't be read", file, left_out)
    if steps is not None and lines and (found[-1]["step"] if found else 0) < steps:
        _log.warning("%s is not whole: it ends before step %d; copy it again", file, steps)
    return found


def forget_later_metrics(folder: Path, step: int, name: str = METRICS) -> None:
    """Drops what was measured after the checkpoint that the run continues from.

    A line that isn't whole, which a crash may leave at the end, is dropped too. The file is made
    where there is none, and otherwise replaced in one step.
    """
    file = folder / name
    lines = file.read_bytes().splitlines() if file.is_file() else []
    measured = ((line, _measurement(line)) for line in lines)
    kept = [line for line, found in measured if found is not None and found["step"] <= step]
    replace_file(file, b"".join(line + b"\n" for line in kept))


def _measurement(line: bytes) -> dict[str, Any] | None:
    try:
        found: object = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    measured = {name: _figure(value) for name, value in cast(dict[str, Any], found).items()}
    return measured if isinstance(measured.get("step"), int) else None


def _figure(value: object) -> Any:
    """A finite number, or a list of such; None for anything else."""
    if isinstance(value, list):
        figures = [_figure(each) for each in cast(list[object], value)]
        return None if None in figures else figures
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    whole = isinstance(value, int) and abs(value) < 2**63  # more is none of ours, nor a float
    return value if whole or (isinstance(value, float) and math.isfinite(value)) else None
