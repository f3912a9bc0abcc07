"""Records of SAEs, features and their contexts, and the MongoDB documents they become.

Arrays are little-endian bytes beside their dtype and shape; `docs/database.md` lists all fields.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numcodecs.zstd import Zstd
from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)

from lmsaes.errors import ConfigError, DatabaseError

SCHEMA_VERSION = 1

_zstd = Zstd(level=3)
_NAME = r"[A-Za-z0-9][A-Za-z0-9._:-]{0,119}"
_ID = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
Name = Annotated[str, StringConstraints(pattern=f"^{_NAME}$")]
Id = Annotated[str, StringConstraints(pattern=f"^{_ID}$")]

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


@dataclass(frozen=True, slots=True)
class SampleRecord:
    """One group of a feature's contexts with their activations, strongest first."""

    index: int
    group: str  # "top"
    contexts: np.ndarray  # int64 [n], context ids in the cache
    positions: np.ndarray  # int32 [n], where in its context the activation is largest
    activations: np.ndarray  # float16 [n, context_size], token by token


class SAERecord(BaseModel):
    """One SAE and the analysis of it that readers see."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name  # `run:sae`, unique in the database
    analysis: Id
    sae_path: str
    sae_hash: str
    architecture: str
    features: int
    d_model: int
    model: str
    hook: str
    cache: Id
    cache_path: str
    dataset: str
    context_size: int
    tokens_analyzed: int = Field(
        validation_alias=AliasChoices("tokens_analyzed", "tokens_analysed")  # as it once was called
    )
    tokens_trained: int | None  # None where it isn't known: of imported SAEs
    l0: float | None  # mean number of active features per token
    fvu: float | None  # fraction of the activations' variance that is left unexplained
    dead_fraction: float | None
    ce_recovered: float | None = None
    config: dict[str, Any]
    run: str
    created: str  # ISO 8601
    vocabulary: Id
    feature_range: tuple[int, int]  # start and stop of the features analyzed; columns hold these
    groups: tuple[str, ...] = ("top",)
    schema_version: int = SCHEMA_VERSION


def check_name(name: str) -> str:
    """The name, if an SAE may have it: letters, digits and `._:-`, fit for an address.

    Raises ConfigError.
    """
    if re.fullmatch(_NAME, name) is None:
        raise ConfigError(
            f"'{name}' can't name an SAE in the database",
            "use at most 120 letters, digits and . _ - : (a letter or digit first)",
        )
    return name


def check_id(text: str) -> str:
    """The text, if it can be the id of an analysis, a cache or a vocabulary. Raises ConfigError."""
    if re.fullmatch(_ID, text) is None:
        raise ConfigError(
            f"'{text}' can't be an id in the database",
            "use at most 64 letters, digits and . _ - (a letter or digit first)",
        )
    return text


def pack(array: np.ndarray) -> Document:
    """An array as a document: little-endian bytes, their dtype and shape."""
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return {"dtype": array.dtype.str, "shape": list(array.shape), "data": array.tobytes()}


def unpack(document: Document) -> np.ndarray:
    """The array of such a document, read-only."""
    flat = np.frombuffer(document["data"], dtype=document["dtype"])
    return flat.reshape(document["shape"])


def feature_document(record: FeatureRecord) -> Document:
    """The document of a feature, under its index."""
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
    )


def _pack_weights(weights: Sequence[tuple[int, float]]) -> Document:
    return {
        "tokens": pack(np.array([token for token, _ in weights], dtype="<i4")),
        "weights": pack(np.array([weight for _, weight in weights], dtype="<f4")),
    }


def _unpack_weights(document: Document) -> list[tuple[int, float]]:
    tokens, weights = unpack(document["tokens"]), unpack(document["weights"])
    return list(zip(tokens.tolist(), weights.tolist(), strict=True))


def sample_document(record: SampleRecord) -> Document:
    """The document of a feature's contexts, under `index/group`."""
    activations = pack(record.activations.astype("<f2"))
    # Nearly all activations are zero: 40 contexts of 128 tokens shrink from 10 KiB to about one.
    # A feature that never fired has none, and zstd has no frame for nothing.
    activations["data"] = _zstd.encode(activations["data"]) if activations["data"] else b""
    return {
        "_id": f"{int(record.index)}/{record.group}",
        "contexts": pack(record.contexts.astype("<i8")),
        "positions": pack(record.positions.astype("<i4")),
        "activations": {**activations, "codec": "zstd"},
    }


def sample_record(document: Document) -> SampleRecord:
    """The contexts that a document holds."""
    index, _, group = document["_id"].partition("/")
    activations = document["activations"]
    data = _zstd.decode(activations["data"]) if activations["data"] else b""
    return SampleRecord(
        index=int(index),
        group=group,
        contexts=unpack(document["contexts"]),
        positions=unpack(document["positions"]),
        activations=unpack({**activations, "data": data}),
    )


def sae_record(document: Document) -> SAERecord:
    """The SAE that a document holds. Raises DatabaseError: another schema, or damaged."""
    fields = {key: value for key, value in document.items() if key not in ("_id", "superseded")}
    if fields.get("schema_version") != SCHEMA_VERSION:
        raise DatabaseError(
            f"'{document['_id']}' was written with schema {fields.get('schema_version')}, "
            f"this lmsaes reads {SCHEMA_VERSION}",
            "analyze the SAE again with this version",
        )
    try:
        return SAERecord(name=document["_id"], **fields)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"]))
        raise DatabaseError(
            f"the record of '{document['_id']}' is damaged: {place}: {problem['msg']}",
            "analyze the SAE again",
        ) from None
