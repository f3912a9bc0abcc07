"""Routes of what is fetched once: an SAE's columns over all features, and a vocabulary."""

from collections.abc import Mapping
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import RedirectResponse, Response

from lmsaes.database import NONE, Database, SAERecord, read_twins

from .binary import ANSWER, IMMUTABLE, Packed, packed
from .dependencies import AnalyzedSAE, CurrentStore
from .schemas import ColumnsAbout
from .store import DENSE_FROM, DENSITY_CLASSES, Features, NotFoundError, ReplacedError, Store

router = APIRouter(tags=["columns"])

PARTS = {
    "core": (
        *("firings", "contexts", "maximum", "mean", "kind", "label_token", "label_share"),
        *("twin_sae", "twin_feature", "twin_cosine", "twin_score"),
        *("stability", "output_score", "logit_std"),
    ),
    "tokens": ("fires_on", "promotes"),
    "histograms": ("histogram", "histogram_end"),
}
"""What a list needs first, and what it can fetch while it is looked at."""
_GATHERED = ("label_token", "label_share", "fires_on", "promotes", "histogram", "histogram_end")
_TWINS = ("twin_sae", "twin_feature", "twin_cosine", "twin_score")
_WHOLE_NUMBERS = {"firings", "contexts"}


@router.get("/saes/{name}/columns", responses=ANSWER, response_class=Response)
def columns(
    request: Request,
    record: AnalyzedSAE,
    store: CurrentStore,
    part: Annotated[str, Query(description="core, tokens, histograms or all")] = "all",
    analysis: str | None = None,
) -> Response:
    """An SAE's columns, first axis = feature, as a safetensors file; see docs/server.md.

    The address that names the analysis never changes what it answers.
    """
    if part != "all" and part not in PARTS:
        raise NotFoundError(f"no part '{part}' of columns: parts are all, {', '.join(PARTS)}")
    if analysis is None:
        url = request.url.include_query_params(analysis=record.analysis)
        where = f"{url.path}?{url.query}"  # of this origin, by whatever name it was asked
        return RedirectResponse(where, 307, {"Cache-Control": "no-cache"})
    found = store.kept(
        (record.analysis, "columns", part), lambda: _packed_columns(store, record, part)
    )
    return found.answer(request, IMMUTABLE)


@router.get("/vocabularies/{key}")
def vocabulary(
    key: Annotated[str, Path(pattern="^[0-9a-f]{16}$")], request: Request, store: CurrentStore
) -> list[str]:
    """The token strings of a vocabulary, by token id."""
    if not store.has_vocabulary(key):
        raise NotFoundError(f"no vocabulary '{key}': an SAE's answer names its own")
    found = store.kept((key, "vocabulary"), lambda: store.vocabulary(key).packed())
    return found.answer(request, IMMUTABLE, "application/json")  # pyright: ignore[reportReturnType]


def _packed_columns(store: Store, record: SAERecord, part: str) -> Packed:
    names = [name for p, names in PARTS.items() if part in ("all", p) for name in names]
    features = store.features(record)
    found, others = _read(store.database, record, features, names)
    start, stop = record.feature_range
    if any(len(values) != stop - start for values in found.values()):
        raise ReplacedError
    about = ColumnsAbout(
        sae=record.name,
        analysis=record.analysis,
        first_feature=start,
        features_analyzed=stop - start,
        features=record.features,
        tokens_analyzed=record.tokens_analyzed,
        vocabulary=record.vocabulary,
        kinds=list(DENSITY_CLASSES),
        dense_from=DENSE_FROM,
        twin_saes=others,
    )
    return packed({name: found[name] for name in names if name in found}, about)


def _read(
    database: Database, record: SAERecord, features: Features, names: list[str]
) -> tuple[dict[str, np.ndarray], list[str]]:
    """The columns as they travel, and the SAEs that `twin_sae` counts."""
    stored = database.columns(record.analysis, [name for name in names if name not in _TWINS])
    twins: Mapping[str, Mapping[str, np.ndarray]] = {}
    if set(names) & set(_TWINS):
        twins = database.twins(record.analysis)
    if missing := [name for name in names if name in _GATHERED and name not in stored]:
        # an analysis of a former version
        gathered = database.gather_columns(record)
        own = gathered.columns()
        stored |= {name: own[name] for name in missing}
        twins = twins or {name: read_twins(table) for name, table in gathered.twins().items()}
    found = {name: _wire(name, values) for name, values in stored.items()}
    dead = features.columns["firings"] == 0
    if "output_score" in found:  # −1 stands for none in the database
        score = found["output_score"]
        found["output_score"] = np.where(score < 0, np.float32(np.nan), score)
    if "mean" in found:
        found["mean"] = np.where(dead, np.float32(np.nan), found["mean"])
    if "kind" in names:
        found["kind"] = features.density_classes
    if twins:
        found |= _best_twins(twins)
    return found, list(twins)


def _wire(name: str, values: np.ndarray) -> np.ndarray:
    if name in _WHOLE_NUMBERS:
        # all of uint32 but its last number, which stands for none
        fits = int(values.max(initial=0)) < 2**32 - 1
        return values.astype("<u4" if fits else "<f8")
    if values.dtype == np.int32:  # ids; −1 for none becomes 2³² − 1
        return values.view("<u4")
    return values


def _best_twins(twins: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Of each feature the twin of highest score in whichever other SAE."""
    scores = np.stack([np.nan_to_num(table["score"], nan=-1.0) for table in twins.values()])
    best = scores.argmax(axis=0)
    rows = np.arange(scores.shape[1])

    def pick(name: str) -> np.ndarray:
        return np.stack([table[name] for table in twins.values()])[best, rows]

    twin = pick("twin").astype("<i4")
    return {
        "twin_sae": np.where(twin == NONE, NONE, best).astype("<i4").view("<u4"),
        "twin_feature": twin.view("<u4"),
        "twin_cosine": pick("cosine").astype("<f4"),
        "twin_score": pick("score").astype("<f4"),
    }
