"""Routes of what people say of features."""

from fastapi import APIRouter

from lmsaes.explain import explain_by_hand

from .dependencies import CurrentSAE, CurrentStore
from .live_schemas import (
    ExplanationVersion,
    FeatureExplanations,
    Index,
    NewExplanation,
    SAEExplanations,
    SaidOfFeature,
)

router = APIRouter(prefix="/saes/{name}", tags=["explanations"])


@router.get("/explanations")
def all_explanations(record: CurrentSAE, store: CurrentStore) -> SAEExplanations:
    """What is said now of all features of an SAE that something is said of."""
    return SAEExplanations(
        explanations=[
            SaidOfFeature(
                feature=each.feature, text=each.text, author=each.author, by_model=each.by_model
            )
            for each in store.database.explanations.newest(record.sae_hash)
        ]
    )


@router.get("/features/{index}/explanations")
def explanations(index: Index, record: CurrentSAE, store: CurrentStore) -> FeatureExplanations:
    """What is said of a feature, with its history."""
    store.features(record).check(index)
    versions = store.database.explanations.history(record.sae_hash, index)
    return FeatureExplanations(
        current=(versions[-1].text or None) if versions else None,
        versions=[
            ExplanationVersion(
                text=version.text,
                author=version.author,
                by_model=version.by_model,
                created=version.created,
            )
            for version in versions
        ],
    )


@router.put("/features/{index}/explanations")
def explain_feature(
    index: Index, said: NewExplanation, record: CurrentSAE, store: CurrentStore
) -> FeatureExplanations:
    """Says what a feature stands for; what was said before stays in its history."""
    store.features(record).check(index)
    explain_by_hand(store.database, record, index, said.text, said.author)
    return explanations(index, record, store)
