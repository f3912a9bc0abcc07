"""Routes of one SAE's features. Each request costs a fixed number of queries by id."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query, Response

from lmsaes.database import FeatureRecord, SAERecord, SampleRecord

from .dependencies import CurrentSAE, CurrentStore
from .schemas import (
    Context,
    ContextPage,
    Feature,
    FeatureRow,
    FeatureTable,
    Filter,
    Histogram,
    Order,
    Snippet,
    Sort,
    TokenWeight,
)
from .store import NotFoundError, ReplacedError, Store

router = APIRouter(prefix="/saes/{name}/features", tags=["features"])

_SNIPPET_BEFORE, _SNIPPET_AFTER = 8, 8
_PROMOTED_IN_A_ROW = 4
_random = np.random.default_rng()

Offset = Annotated[int, Query(ge=0, le=2**31)]


@router.get("")
def features(
    record: CurrentSAE,
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
    if found.keys() != set(indices):
        raise ReplacedError
    best = {int(sample.contexts[0]) for sample in samples.values() if len(sample.contexts)}
    contexts = store.contexts(record, list(best))
    return FeatureTable(
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
def feature(index: int, record: CurrentSAE, store: CurrentStore) -> Feature:
    """One feature: its numbers, its histogram, and the tokens it promotes and suppresses."""
    return _feature(store, record, index)


@router.get("/{index}/contexts")
def contexts(
    index: int,
    record: CurrentSAE,
    store: CurrentStore,
    group: str = "top",
    offset: Offset = 0,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> ContextPage:
    """Contexts of one feature, best first, token by token."""
    store.features(record).check(index)
    if group not in record.groups:
        raise NotFoundError(
            f"no group '{group}' of contexts: groups are {', '.join(record.groups)}"
        )
    sample = store.database.samples(record.analysis, [index], group).get(index)
    if sample is None:  # a dead feature has none
        return ContextPage(group=group, total=0, offset=offset, contexts=[])
    ids = [int(context) for context in sample.contexts[offset : offset + limit]]
    tokens = store.contexts(record, ids)
    return ContextPage(
        group=group,
        total=len(sample.contexts),
        offset=offset,
        contexts=[
            _context(store, record, sample, offset + i, tokens[context])
            for i, context in enumerate(ids)
        ],
    )


def _feature(store: Store, record: SAERecord, index: int) -> Feature:
    columns = store.features(record)
    columns.check(index)
    found = store.database.features(record.analysis, [index]).get(index)
    if found is None:
        raise ReplacedError
    return Feature(
        sae=record.name,
        index=index,
        density_class=columns.density_class(index),
        firings=found.firings,
        density=found.density,
        maximum=found.maximum,
        mean=found.mean if found.firings else None,
        tokens_analyzed=record.tokens_analyzed,
        histogram=_histogram(found),
        promotes=_weights(store, record, found.promotes),
        suppresses=_weights(store, record, found.suppresses),
        groups=list(record.groups),
        previous=index - 1 if index > columns.start else None,
        next=index + 1 if index + 1 < columns.stop else None,
    )


def _row(
    store: Store,
    record: SAERecord,
    found: FeatureRecord,
    sample: SampleRecord | None,
    contexts: dict[int, np.ndarray],
) -> FeatureRow:
    example = None
    if sample is not None and len(sample.contexts):
        position = int(sample.positions[0])
        start = max(position - _SNIPPET_BEFORE, 0)
        window = slice(start, position + _SNIPPET_AFTER + 1)
        example = Snippet(
            tokens=store.tokens(record, contexts[int(sample.contexts[0])][window].tolist()),
            activations=_rounded(sample.activations[0, window]),
            position=position - start,
        )
    return FeatureRow(
        index=found.index,
        density_class=store.features(record).density_class(found.index),
        firings=found.firings,
        density=found.density,
        maximum=found.maximum,
        mean=found.mean if found.firings else None,
        histogram=_histogram(found),
        promotes=_weights(store, record, found.promotes[:_PROMOTED_IN_A_ROW]),
        example=example,
    )


def _context(
    store: Store, record: SAERecord, sample: SampleRecord, row: int, tokens: np.ndarray
) -> Context:
    activations = _rounded(sample.activations[row])
    position = int(sample.positions[row])
    return Context(
        context=int(sample.contexts[row]),
        tokens=store.tokens(record, tokens.tolist()),
        activations=activations,
        position=position,
        maximum=activations[position],
    )


def _histogram(found: FeatureRecord) -> Histogram:
    return Histogram(counts=found.histogram.tolist(), upper=found.histogram_max)


def _weights(
    store: Store, record: SAERecord, weights: Sequence[tuple[int, float]]
) -> list[TokenWeight]:
    names = store.tokens(record, [token for token, _ in weights])
    return [
        TokenWeight(id=token, token=name, weight=weight)
        for (token, weight), name in zip(weights, names, strict=True)
    ]


def _rounded(activations: np.ndarray) -> list[float]:
    """Six digits are more than float16 holds."""
    return [float(f"{value:.6g}") for value in activations.tolist()]
