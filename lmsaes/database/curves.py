"""How an SAE's training went: the measured series over its steps, thinned out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from lmsaes.errors import DatabaseError


@dataclass(frozen=True, slots=True)
class TrainingCurves:
    """Series of measurements, all over the same optimizer steps."""

    step: Sequence[int]  # ascending
    series: Mapping[str, Sequence[float | None]]  # by name, each as long as `step`; None: no value


def curves_document(curves: TrainingCurves) -> dict[str, Any]:
    """As a document. Raises DatabaseError for values that are not finite."""
    for name, values in curves.series.items():
        if not all(value is None or isfinite(value) for value in values):
            raise DatabaseError(f"{name} has values that are not finite")
    # names as values, not as keys: a key with a dot in it is not one that every server takes
    series = [[name, list(values)] for name, values in curves.series.items()]
    return {"_id": "training", "step": list(curves.step), "series": series}


def curves_record(document: Mapping[str, Any]) -> TrainingCurves:
    """What such a document holds."""
    return TrainingCurves(document["step"], dict(document["series"]))
