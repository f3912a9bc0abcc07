"""Routes of the contexts of a feature: token ids, activations as they are stored, documents."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from lmsaes.database import (
    ContextRecord,
    FeatureRecord,
    GroupFacts,
    SAERecord,
    SampleRecord,
    half_precision,
)
from lmsaes.errors import DatabaseError

from .binary import ANSWER, IMMUTABLE, Packed, packed
from .dependencies import CurrentStore, RecentSAE
from .feature_answer import feature_answer
from .feature_schemas import ContextsAbout, Feature
from .store import NotFoundError, ReplacedError, Store

router = APIRouter(prefix="/saes/{name}/features/{index}/contexts", tags=["contexts"])

Side = Annotated[int, Query(ge=0, le=1 << 20)]


@router.get("", responses=ANSWER, response_class=Response)
def contexts(
    index: int,
    request: Request,
    record: RecentSAE,
    store: CurrentStore,
    group: str = "top",
    offset: Annotated[int, Query(ge=0, le=2**31)] = 0,
    limit: Annotated[int, Query(ge=1, le=100)] = 100,
    before: Side = 64,
    after: Side = 64,
    page: Annotated[bool, Query(description="The feature itself too: one answer for its page")] = (
        False
    ),
    analysis: str | None = None,
) -> Response:
    """A group of a feature's contexts, each the tokens around its strongest activation, as a
    safetensors file; see docs/server.md."""
    store.features(record).check(index)
    check_group(record, group)
    feature, sample = read_group(store, record, index, group)
    facts = group_facts(feature, sample, group)
    found = list[Window]()
    scale = 1.0
    if sample is not None:
        values, scale = half_precision(sample)
        chosen = range(offset, min(offset + limit, len(sample.contexts)))
        known = store.contexts(record, sample.contexts[chosen].tolist())
        for row in chosen:
            context, position = int(sample.contexts[row]), int(sample.positions[row])
            bounds = max(position - before, 0), position + after + 1
            found.append(Window(context, known[context], position, *bounds, values[row]))
    return _answer(
        request,
        packed_windows(
            record,
            feature,
            found,
            scale,
            group,
            facts,
            sample,
            offset,
            feature_answer(store, record, feature) if page else None,
        ),
        analysis,
    )


@router.get("/{context}", responses=ANSWER, response_class=Response)
def whole_context(
    index: int,
    context: int,
    request: Request,
    record: RecentSAE,
    store: CurrentStore,
    analysis: str | None = None,
) -> Response:
    """One context from its beginning to its end, and those before and after it where they are kept.

    Activations that are not known, of the neighbors, are NaN.
    """
    store.features(record).check(index)
    feature = store.feature(record, index, remembered=True)
    samples = store.database.sample_groups(record.analysis, index, record.groups)
    rows = {
        int(each): (sample, row)
        for sample in samples.values()
        for row, each in enumerate(sample.contexts)
    }
    if context not in rows:
        raise NotFoundError(f"feature {index} of '{record.name}' has no context {context}")
    there = store.database.context_records(record.cache, [context - 1, context, context + 1])
    if context not in there:
        raise ReplacedError
    found = list[Window]()
    for each, kept in sorted(there.items()):
        # float32: two contexts may be of groups whose float16 have different scales
        values, position = np.full(len(kept.tokens), np.nan, "<f4"), 0
        if each in rows:
            sample, row = rows[each]
            values, position = sample.activations[row], int(sample.positions[row])
        found.append(Window(each, kept, position, 0, len(kept.tokens), values))
    file = packed_windows(record, feature, found, 1.0, None, GroupFacts(len(found)), None, 0)
    return _answer(request, file, analysis)


@dataclass(frozen=True, slots=True)
class Window:
    """Consecutive tokens of a context with a feature's activations on them."""

    context: int
    record: ContextRecord
    position: int  # of the strongest, in the context
    start: int
    stop: int  # may lie behind the context's end
    values: np.ndarray  # [context_size]: float16 in units of a scale, or float32


def check_group(record: SAERecord, group: str) -> None:
    """Raises NotFoundError that names the groups."""
    if group not in record.groups:
        raise NotFoundError(
            f"no group '{group}' of contexts: groups are {', '.join(record.groups)}"
        )


def read_group(
    store: Store, record: SAERecord, index: int, group: str
) -> tuple[FeatureRecord, SampleRecord | None]:
    """A feature and one group of its contexts, None where the group is empty.

    What a replacement dropped between two reads is never taken for an empty group: raises
    ReplacedError, and DatabaseError where contexts are missing for good.
    """
    sample = store.database.samples(record.analysis, [index], group).get(index)
    feature = store.feature(record, index, remembered=True)
    if sample is None:
        now = store.database.sae(record.name)
        if now is None or now.analysis != record.analysis:
            raise ReplacedError
        if group == "top" and feature.firings:
            raise DatabaseError(
                f"contexts of feature {index} of '{record.name}' are missing",
                "analyze the SAE again",
            )
    return feature, sample


def group_facts(feature: FeatureRecord, sample: SampleRecord | None, group: str) -> GroupFacts:
    """Of how many contexts a group was drawn, and between which maxima."""
    facts = feature.details and feature.details.groups.get(group)
    return facts or GroupFacts(0 if sample is None else len(sample.contexts))


def packed_windows(
    record: SAERecord,
    feature: FeatureRecord,
    windows: Sequence[Window],
    scale: float,
    group: str | None,
    facts: GroupFacts,
    sample: SampleRecord | None,
    offset: int,
    page: Feature | None = None,
) -> Packed:
    """The file of some contexts. Tensors: `token_ids`, `activations`, `documents` [tokens] of all
    windows one after the other; `starts` [n + 1] where each begins; `context`, `first` (place of
    its first token in the context), `length` (of the whole context), `position`, `maximum` [n]."""
    parts = [(each, slice(each.start, each.stop)) for each in windows]
    lengths = [len(each.record.tokens[part]) for each, part in parts]
    tensors: dict[str, np.ndarray] = {
        "token_ids": _joined([each.record.tokens[part] for each, part in parts], "<u4"),
        "activations": _joined(
            [each.values[part] for each, part in parts],
            windows[0].values.dtype if windows else "<f2",
        ),
        "starts": np.cumsum([0, *lengths]).astype("<u4"),
        "context": np.array([each.context for each in windows], "<i8"),
        "first": np.array([each.start for each in windows], "<u4"),
        "length": np.array([len(each.record.tokens) for each in windows], "<u4"),
        "position": np.array([each.position for each in windows], "<u4"),
        "maximum": np.array(
            [np.float32(each.values[each.position]) * np.float32(scale) for each in windows], "<f4"
        ),
    }
    tensors |= _documents(parts)
    about = ContextsAbout(
        sae=record.name,
        analysis=record.analysis,
        feature=feature.index,
        group=group,
        available=facts.available,
        lower=facts.lower,
        upper=facts.upper,
        stored=len(windows) if group is None else 0 if sample is None else len(sample.contexts),
        offset=offset,
        scale=scale,
        maximum=feature.maximum,
        vocabulary=record.vocabulary,
        page=page,
    )
    return packed(tensors, about)


def _documents(parts: Sequence[tuple[Window, slice]]) -> Mapping[str, np.ndarray]:
    """Which document each token is of, where the database knows it of all these contexts."""
    known = [each.record.documents for each, _ in parts]
    if not known or any(documents is None for documents in known):
        return {}
    shown = [d[part] for d, (_, part) in zip(known, parts, strict=True) if d is not None]
    return {"documents": _joined(shown, "<i8")}


def _joined(arrays: Sequence[np.ndarray], dtype: np.dtype | str) -> np.ndarray:
    return np.concatenate([np.empty(0, dtype), *arrays]).astype(dtype)


def _answer(request: Request, file: Packed, analysis: str | None) -> Response:
    return file.answer(request, "no-cache" if analysis is None else IMMUTABLE)
