"""Routes of SAEs: the list, and one in full."""

from typing import Any

from fastapi import APIRouter

from lmsaes.database import SAERecord

from .dependencies import CurrentSAE, CurrentStore
from .schemas import SAE, DensityClassCounts, DensityHistogram, SAESummary, UnreadableSAE
from .store import DENSE_FROM

router = APIRouter(prefix="/saes", tags=["saes"])
unreadable_router = APIRouter(prefix="/unreadable", tags=["saes"])


@router.get("")
def saes(store: CurrentStore) -> list[SAESummary]:
    """All SAEs, by name."""
    return [SAESummary.model_validate(_shared_fields(record)) for record in store.database.saes()]


@unreadable_router.get("")
def unreadable(store: CurrentStore) -> list[UnreadableSAE]:
    """The SAEs whose records this version can't read, by name."""
    return [
        UnreadableSAE(name=each.name, problem=each.problem, hint=each.hint)
        for each in store.database.unreadable()
    ]


@router.get("/{name}")
def sae(record: CurrentSAE, store: CurrentStore) -> SAE:
    """One SAE: what it was trained with, how good it is, and how dense its features are."""
    features = store.features(record)
    edges, counts = features.density_histogram
    return SAE(
        **_shared_fields(record),
        context_size=record.context_size,
        sae_path=record.sae_path,
        cache_path=record.cache_path,
        config=record.config,
        density_classes=DensityClassCounts(
            regular=features.count("regular"),
            dense=features.count("dense"),
            dead=features.count("dead"),
        ),
        density=DensityHistogram(log10_edges=edges, counts=counts, dense_from=DENSE_FROM),
    )


def _shared_fields(record: SAERecord) -> dict[str, Any]:
    start, stop = record.feature_range
    return {
        **record.model_dump(include=set(SAESummary.model_fields)),
        "first_feature": start,
        "features_analyzed": stop - start,
    }
