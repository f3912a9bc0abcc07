"""Routes for SAEs beside each other: their features' twins, and how their trainings went."""

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query

from lmsaes.database import SAERecord, read_twins
from lmsaes.errors import ConfigError

from .comparison_schemas import MatchedSAEs, Matches, Metrics
from .dependencies import CurrentSAE, CurrentStore
from .store import Store

router = APIRouter(tags=["compare"])


@router.get("/compare")
def compare(
    store: CurrentStore,
    a: Annotated[str, Query(description="Name of an SAE")],
    b: Annotated[str, Query(description="Name of another SAE of the same hook")],
) -> MatchedSAEs:
    """Each feature of two SAEs and its twin in the other, as columns.

    Twins are found when an SAE is analyzed, in the SAEs that were there before: of two that were
    analyzed one after the other only the later one's features may have them.
    """
    one, other = store.sae(a), store.sae(b)
    if (one.model, one.hook, one.target) != (other.model, other.hook, other.target):
        raise ConfigError(
            f"'{a}' reads {one.hook} and '{b}' reads {other.hook}", "compare SAEs of one hook"
        )
    return MatchedSAEs(
        analysis_a=one.analysis,
        analysis_b=other.analysis,
        a_in_b=_matches(store, one, b),
        b_in_a=_matches(store, other, a),
    )


@router.get("/saes/{name}/metrics")
def metrics(record: CurrentSAE, store: CurrentStore) -> Metrics:
    """What was measured while an SAE was trained, by optimizer step; empty where nothing was."""
    found = store.database.metrics(record.analysis)
    if found is None:
        return Metrics(analysis=record.analysis, step=[], series={})
    series = {name: list(values) for name, values in found.series.items()}
    return Metrics(analysis=record.analysis, step=list(found.step), series=series)


def _matches(store: Store, record: SAERecord, other: str) -> Matches | None:
    table = store.database.twins(record.analysis).get(other)
    if table is None:  # an analysis of a former version has them in its features' documents
        gathered = store.database.gather_columns(record).twins().get(other)
        if gathered is None:
            return None
        table = read_twins(gathered)
    rows = np.flatnonzero(table["twin"] >= 0)
    return Matches(
        feature=(rows + record.feature_range[0]).tolist(),
        partner=table["twin"][rows].tolist(),
        cosine=_numbers(table["cosine"][rows]),
        correlation=_numbers(table["correlation"][rows]),
        mutual=table["mutual"][rows].tolist(),
    )


def _numbers(values: np.ndarray) -> list[float | None]:
    """Seven digits, all that float32 has."""
    return [
        float(f"{value:.7g}") if finite else None
        for value, finite in zip(values.tolist(), np.isfinite(values).tolist(), strict=True)
    ]
