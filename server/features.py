"""Routes of one SAE's features. Each request costs a fixed number of queries by id."""

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query, Response

from lmsaes.database import ContextRecord, FeatureRecord, SAERecord, SampleRecord

from .dependencies import AnalyzedSAE, CurrentSAE, CurrentStore, RecentSAE
from .feature_answer import feature_answer, histogram, weights
from .feature_schemas import Feature, FeatureRow, FeatureTable, Snippet
from .schemas import Filter, Order, Sort
from .store import ReplacedError, Store

router = APIRouter(prefix="/saes/{name}/features", tags=["features"])

_SNIPPET_BEFORE, _SNIPPET_AFTER = 8, 8
_PROMOTED_IN_A_ROW = 4
_random = np.random.default_rng()

Offset = Annotated[int, Query(ge=0, le=2**31)]


@router.get("")
def features(
    record: AnalyzedSAE,
    store: CurrentStore,
    sort: Sort = "index",
    order: Order = "ascending",
    filter: Filter = "all",
    offset: Offset = 0,
    limit: Annotated[int, Query(ge=1, le=100)] = 25,
) -> FeatureTable:
    """A page of the table of features, each with its strongest example."""
    chosen = store.features(record).select(filter, sort, order)
    indices = [int(index) for index in chosen[offset : offset + limit]]
    found = store.database.features(record.analysis, indices)
    samples = store.database.samples(record.analysis, indices)
    alive = {index for index in found if found[index].firings}
    if found.keys() != set(indices) or not alive <= samples.keys():
        raise ReplacedError
    best = {int(sample.contexts[0]) for sample in samples.values() if len(sample.contexts)}
    contexts = store.contexts(record, list(best))
    return FeatureTable(
        analysis=record.analysis,
        total=len(chosen),
        offset=offset,
        rows=[_row(store, record, found[index], samples.get(index), contexts) for index in indices],
    )


@router.get("/random")
def random_feature(record: CurrentSAE, store: CurrentStore, response: Response) -> Feature:
    """A random feature that is neither dense nor dead."""
    response.headers["Cache-Control"] = "no-store"
    return _feature(store, record, store.features(record).random(_random))


@router.get("/{index}")
def feature(index: int, record: RecentSAE, store: CurrentStore) -> Feature:
    """One feature: all that is known of it but its contexts."""
    return _feature(store, record, index)


def _feature(store: Store, record: SAERecord, index: int) -> Feature:
    columns = store.features(record)
    columns.check(index)
    return feature_answer(store, record, store.feature(record, index))


def _row(
    store: Store,
    record: SAERecord,
    found: FeatureRecord,
    sample: SampleRecord | None,
    contexts: dict[int, ContextRecord],
) -> FeatureRow:
    example = None
    if sample is not None and len(sample.contexts):
        position = int(sample.positions[0])
        start = max(position - _SNIPPET_BEFORE, 0)
        window = slice(start, position + _SNIPPET_AFTER + 1)
        example = Snippet(
            tokens=store.tokens(record, contexts[int(sample.contexts[0])].tokens[window].tolist()),
            activations=sample.activations[0, window].tolist(),
            position=position - start,
        )
    return FeatureRow(
        index=found.index,
        density_class=store.features(record).density_class(found.index),
        firings=found.firings,
        density=found.density,
        maximum=found.maximum,
        mean=found.mean if found.firings else None,
        histogram=histogram(found),
        promotes=weights(store, record, found.promotes[:_PROMOTED_IN_A_ROW]),
        example=example,
    )
