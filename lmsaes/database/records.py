"""Records of SAEs, features and their contexts, and the MongoDB documents they become.

Arrays are little-endian bytes beside their dtype and shape; `docs/database.md` lists all fields.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from secrets import token_hex
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints

from lmsaes.database.details import (
    FeatureDetails,
    details_document,
    details_record,
    little,
    pack_table,
    unpack_table,
)
from lmsaes.database.names import NAME, Name
from lmsaes.errors import ConfigError, DatabaseError

SCHEMA_VERSION = 2

_HASH = r"[0-9a-f]{16}"
_ANALYSIS = rf"{_HASH}_[0-9a-f]{{8}}"
Hash = Annotated[str, StringConstraints(pattern=f"^{_HASH}$")]
AnalysisId = Annotated[str, StringConstraints(pattern=f"^{_ANALYSIS}$")]
"""Hash of what the analysis is made from, and a random part: two runs never share collections."""


def _printable(value: Any) -> Any:
    return value.encode(errors="replace").decode() if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(_printable)]
"""Text that may come from a file's name: bytes that are no text in it become question marks."""

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class FeatureRecord:
    """One feature's numbers, histogram of activations and logit weights."""

    index: int
    firings: int  # tokens on which it was active
    density: float  # firings / tokens analyzed
    maximum: float
    mean: float  # over the tokens on which it was active; 0 when it never was
    histogram: np.ndarray  # int64 [bins], active tokens in equal bins of (0, histogram_max]
    histogram_max: float
    promotes: Sequence[tuple[int, float]]  # (token id, logit weight), strongest first; may be empty
    suppresses: Sequence[tuple[int, float]]
    details: FeatureDetails | None = None


@dataclass(frozen=True, slots=True)
class SampleRecord:
    """One group of a feature's contexts with their activations.

    The group `top` has the strongest first, others are in the order they were drawn.
    """

    index: int
    group: str  # top, interval-0 … interval-4, random, silent, same-token
    contexts: np.ndarray  # int64 [n], context ids in the cache
    positions: np.ndarray  # int32 [n], where in its context the activation is largest
    activations: np.ndarray  # float32 [n, context_size], token by token
    scale: float | None = None  # the power of two it was stored with; None before it is stored


@dataclass(frozen=True, slots=True)
class ContextRecord:
    """A context's tokens, and which document each is of."""

    tokens: np.ndarray  # int32 [context_size]
    documents: np.ndarray | None  # int64 [context_size]; None where the cache does not keep them


class SAERecord(BaseModel):
    """One SAE and the analysis of it that readers see."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: Name  # `run:sae`, unique in the database
    analysis: AnalysisId
    made_from: dict[str, Any]  # everything that the analysis depends on: `content_hash` of it
    sae_path: Text
    sae_hash: str
    architecture: str
    features: int
    d_model: int
    model: Text
    hook: str
    target: str | None = None  # the hook whose activations a transcoder gives
    cache: Hash  # `Manifest.identity`
    cache_path: Text
    dataset: Text
    context_size: int
    tokens_analyzed: int
    tokens_trained: int | None  # None where it isn't known: of imported SAEs
    # What `lmsaes eval` measured, with its standard errors; before that, what the analysis did,
    # which has none. None: not measured.
    l0: float | None  # mean number of active features per token
    l0_error: float | None = None
    fvu: float | None  # fraction of the activations' variance that is left unexplained
    fvu_error: float | None = None
    ce_recovered: float | None = None  # share of the cross-entropy, against zero ablation
    ce_recovered_error: float | None = None
    dead_fraction: float | None
    config: dict[str, Any]
    run: Text
    created: str  # ISO 8601
    vocabulary: Hash
    feature_range: tuple[int, int]  # start and stop of the features analyzed; columns hold these
    groups: tuple[str, ...] = ("top",)
    schema_version: int = SCHEMA_VERSION


def content_hash(made_from: Mapping[str, Any]) -> str:
    """A short hash of what an analysis is made from: equal facts give equal analyses."""
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:16]


def new_analysis_id(made_from: Mapping[str, Any]) -> str:
    """The id of a new analysis of these facts."""
    return f"{content_hash(made_from)}_{token_hex(4)}"


def is_made_from(analysis: str, made_from: Mapping[str, Any]) -> bool:
    """Whether an analysis' id says that it is of these facts."""
    return analysis.partition("_")[0] == content_hash(made_from)


def is_name(name: str) -> bool:
    """Whether an SAE may be called so: letters, digits and `._:-`, fit for an address."""
    return re.fullmatch(NAME, name) is not None


def check_name(name: str) -> str:
    """The name, if an SAE may be called so. Raises ConfigError."""
    if not is_name(name):
        raise ConfigError(
            f"'{name}' can't name an SAE in the database",
            "use at most 120 letters, digits and . _ - : (a letter or digit first)",
        )
    return name


def check_hash(text: str) -> str:
    """The text, if it can be the id of a cache or a vocabulary: 16 hexadecimal digits.

    Raises ConfigError.
    """
    if re.fullmatch(_HASH, text) is None:
        raise ConfigError(f"'{text}' can't be an id in the database", "use 16 hexadecimal digits")
    return text


def pack(array: np.ndarray) -> Document:
    """An array as a document: little-endian bytes, their dtype and shape."""
    array = np.ascontiguousarray(array, little(array.dtype))
    return {"dtype": array.dtype.str, "shape": list(array.shape), "data": array.tobytes()}


def unpack(document: Document) -> np.ndarray:
    """The array of such a document, read-only."""
    flat = np.frombuffer(document["data"], dtype=document["dtype"])
    return flat.reshape(document["shape"])


def feature_document(record: FeatureRecord) -> Document:
    """The document of a feature, under its index. Raises DatabaseError for NaN and infinity."""
    numbers = (record.density, record.maximum, record.mean, record.histogram_max)
    weights = [weight for _, weight in (*record.promotes, *record.suppresses)]
    if not all(map(isfinite, (*numbers, *weights))):
        raise DatabaseError(f"feature {record.index} has numbers that are not finite")
    return {
        "_id": int(record.index),
        "firings": int(record.firings),
        "density": float(record.density),
        "maximum": float(record.maximum),
        "mean": float(record.mean),
        "histogram": pack(record.histogram.astype("<i8")),
        "histogram_max": float(record.histogram_max),
        "promotes": _pack_weights(record.promotes),
        "suppresses": _pack_weights(record.suppresses),
        "details": record.details and details_document(record.details),
    }


def feature_record(document: Document) -> FeatureRecord:
    """The feature that a document holds."""
    return FeatureRecord(
        index=document["_id"],
        firings=document["firings"],
        density=document["density"],
        maximum=document["maximum"],
        mean=document["mean"],
        histogram=unpack(document["histogram"]),
        histogram_max=document["histogram_max"],
        promotes=_unpack_weights(document["promotes"]),
        suppresses=_unpack_weights(document["suppresses"]),
        details=document["details"] and details_record(document["details"]),
    )


def _pack_weights(weights: Sequence[tuple[int, float]]) -> Document:
    return {
        "tokens": pack(np.array([token for token, _ in weights], dtype="<i4")),
        "weights": pack(np.array([weight for _, weight in weights], dtype="<f4")),
    }


def _unpack_weights(document: Document) -> list[tuple[int, float]]:
    tokens, weights = unpack(document["tokens"]), unpack(document["weights"])
    return list(zip(tokens.tolist(), weights.tolist(), strict=True))


def context_document(context: int, tokens: np.ndarray, documents: np.ndarray | None) -> Document:
    """The document of a context, under its id."""
    found: Document = {
        "_id": context,
        "tokens": pack(tokens.astype(np.min_scalar_type(tokens.max(initial=0)))),
    }
    if documents is not None:
        # one number for each stretch of one document: there are few
        starts = np.flatnonzero(np.diff(documents, prepend=documents[:1] - 1))
        table = {"start": starts.astype(np.int32), "number": documents[starts].astype(np.int64)}
        found["documents"] = pack_table(table)
    return found


def context_record(document: Document) -> ContextRecord:
    """The context that a document holds."""
    tokens, documents = unpack(document["tokens"]).astype(np.int32), None
    if "documents" in document:
        table = unpack_table(document["documents"])
        lengths = np.diff(table["start"], append=len(tokens))
        documents = np.repeat(table["number"], lengths)
    return ContextRecord(tokens, documents)
