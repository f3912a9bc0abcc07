"""The SAEs in the database."""

from typing import Any

from fastapi import APIRouter

from lmsaes.database import SAERecord

from .dependencies import CurrentDictionary, CurrentStore
from .schemas import DensityHistogram, Dictionary, DictionarySummary, KindCounts
from .store import DENSE_FROM

router = APIRouter(tags=["dictionaries"])


@router.get("/dictionaries")
def dictionaries(store: CurrentStore) -> list[DictionarySummary]:
    """All SAEs, by name."""
    return [
        DictionarySummary.model_validate(_shared_fields(record)) for record in store.database.saes()
    ]


@router.get("/dictionaries/{name}")
def dictionary(record: CurrentDictionary, store: CurrentStore) -> Dictionary:
    """One SAE: what it was trained with, how good it is, and how dense its features are."""
    features = store.features(record)
    edges, counts = features.density_histogram
    return Dictionary(
        **_shared_fields(record),
        context_size=record.context_size,
        sae_path=record.sae_path,
        cache_path=record.cache_path,
        config=record.config,
        first_feature=features.start,
        features_analyzed=features.stop - features.start,
        kinds=KindCounts(
            ordinary=features.count("ordinary"),
            dense=features.count("dense"),
            dead=features.count("dead"),
        ),
        density=DensityHistogram(log10_edges=edges, counts=counts, dense_from=DENSE_FROM),
    )


def _shared_fields(record: SAERecord) -> dict[str, Any]:
    return record.model_dump(include=set(DictionarySummary.model_fields))
