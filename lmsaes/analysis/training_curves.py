"""The curves of an SAE's training, from the measurements beside it, as few as a plot can show."""

from pathlib import Path

import numpy as np

from lmsaes.database import TrainingCurves
from lmsaes.training import read_metrics

MOST_POINTS = 500


def training_curves(
    folder: Path, steps: int | None = None, most: int = MOST_POINTS
) -> TrainingCurves | None:
    """The measurements in an SAE's folder, by step; None where it has none, as imported SAEs.

    Of more than `most` every n-th stays, and the last. `steps` and what is left out are
    `read_metrics`'.
    """
    measured = {each["step"]: each for each in read_metrics(folder, steps)}
    if not measured:
        return None
    numbers = sorted(measured)
    places = np.unique(
        np.linspace(0, len(numbers) - 1, min(most, len(numbers))).round().astype(int)
    )
    shown = [measured[numbers[place]] for place in places]
    names = dict.fromkeys(name for each in shown for name in each if name != "step")
    series = {name: [_number(each.get(name)) for each in shown] for name in names}
    kept = {name: values for name, values in series.items() if any(v is not None for v in values)}
    return TrainingCurves([each["step"] for each in shown], kept)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
