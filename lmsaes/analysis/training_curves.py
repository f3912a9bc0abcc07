"""The curves of an SAE's training, from the measurements beside it, as few as a plot can show."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from lmsaes.database import TrainingCurves
from lmsaes.training import METRICS

MOST_POINTS = 500


def training_curves(folder: Path, most: int = MOST_POINTS) -> TrainingCurves | None:
    """The measurements in an SAE's folder, by step; None where it has none, as imported SAEs.

    Of more than `most` every n-th stays, and the last. Lines that are not whole, and values that
    are no finite numbers, count as not measured.
    """
    try:
        lines = (folder / METRICS).read_bytes().splitlines()
    except OSError:
        return None
    measured = {each["step"]: each for each in map(_measurement, lines) if each is not None}
    if not measured:
        return None
    steps = sorted(measured)
    places = np.unique(np.linspace(0, len(steps) - 1, min(most, len(steps))).round().astype(int))
    shown = [measured[steps[place]] for place in places]
    names = dict.fromkeys(name for each in shown for name in each if name != "step")
    series = {name: [_number(each.get(name)) for each in shown] for name in names}
    kept = {name: values for name, values in series.items() if any(v is not None for v in values)}
    return TrainingCurves([each["step"] for each in shown], kept)


def _measurement(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    whole = isinstance(found, dict) and isinstance(found.get("step"), int)
    return found if whole else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None
