"""What a feature's document holds beside its numbers: tokens, partners, twins, logit weights.

Lists are tables: a mapping of column names to arrays of equal length, packed in one piece.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from lmsaes.database.squeezed import by_bytes, from_bytes, from_gaps, gaps
from lmsaes.errors import DatabaseError

Table = Mapping[str, np.ndarray]
"""Columns [n] by name, in the order of the rows."""


@dataclass(frozen=True, slots=True)
class GroupFacts:
    """A group of contexts: of how many it was drawn, and between which maxima."""

    available: int
    lower: float | None = None  # (lower, upper] by a context's own maximum; None for other groups
    upper: float | None = None


@dataclass(frozen=True, slots=True)
class LogitFacts:
    """Moments and a histogram of a feature's logit weights over the vocabulary."""

    mean: float
    std: float
    skewness: float | None  # None where all weights are equal
    kurtosis: float | None  # in excess of a normal distribution's
    histogram: np.ndarray  # int64 [bins], tokens in equal bins from lower to upper
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class HookFacts:
    """What a crosscoder's feature does at one hook."""

    hook: str
    norm: float  # of the decoder's row there
    promotes: Table  # token, weight
    suppresses: Table


WIRED_BY = ("output", "query", "key", "value", "in", "gate")
"""What of a head or neuron faces a feature, in the order of the codes in a table's `by`."""


@dataclass(frozen=True, slots=True)
class WiringSide:
    """Parts of the model on one side of a feature, largest ratio first."""

    heads: (
        Table  # layer, head, heads (that share keys or values, from `head` on), by, weight, ratio
    )
    neurons: Table  # layer, neuron, by, weight, ratio


@dataclass(frozen=True, slots=True)
class WiringFacts:
    """Which heads and neurons write into a feature and which read it, from the weights."""

    writers: WiringSide | None  # None where the hook has none; `missing` says why
    readers: WiringSide | None
    missing: str | None


@dataclass(frozen=True, slots=True)
class OutputFacts:
    """What adding a feature does to the next token."""

    value: float  # what was added, in units of its activation
    kl: float  # nats, mean over contexts
    raises: Table  # token, change: of its probability, mean over contexts; largest first


@dataclass(frozen=True, slots=True)
class TwinFacts:
    """A feature's best match in another SAE; the feature is None where nothing matches."""

    sae: str
    feature: int | None
    cosine: float | None
    correlation: float | None
    score: float
    mutual: bool


@dataclass(frozen=True, slots=True)
class FeatureDetails:
    """All of it for one feature."""

    contexts: int  # in which it fires
    label: str | None  # from the tokens it fires on; None for a feature that never fired
    groups: Mapping[str, GroupFacts]
    fires_on: Table  # token, count, mean, share_of_firings, share_of_token; largest sum first
    preceded_by: Table  # token, count, share, lift; largest share · ln(lift) first
    neighbors: Mapping[str, Table]  # by "decoder", "encoder": feature, cosine; by "jaccard", "pmi":
    # feature, jaccard, pmi, joint
    twins: Sequence[TwinFacts] = ()
    stability: float | None = None  # mean score over the other SAEs; None without any
    logits: LogitFacts | None = None  # None where the hook is not in the residual stream
    hooks: Sequence[HookFacts] = field(default=())
    wiring: WiringFacts | None = None  # None in analyses of a former version
    output: OutputFacts | None = None  # None where it was not measured


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """Which features a token belongs to: the inverse of what the features' documents say."""

    token: int
    fires: Table  # feature, sum: of the activation on the token; largest first
    promotes: Table  # feature, weight: in its logit; largest first


@dataclass(frozen=True, slots=True)
class RowsRecord:
    """All firings of some consecutive features on the sampled rows of their analysis."""

    first: int  # the first of the features, counted from the analysis' first
    rows: int  # valid rows in the sample
    counts: np.ndarray  # int32 [features], firings of each
    scales: np.ndarray  # float32 [features], powers of two
    places: np.ndarray  # int32 [firings]: number among the sampled contexts · size + position
    values: np.ndarray  # float16 [firings], in units of the feature's scale


def token_document(record: TokenRecord) -> dict[str, Any]:
    """As a document, under the token's id. Raises DatabaseError for values that are not finite."""
    return {
        "_id": record.token,
        "fires": pack_table(record.fires),
        "promotes": pack_table(record.promotes),
    }


def token_record(document: Mapping[str, Any]) -> TokenRecord:
    """What such a document holds."""
    fires, promotes = unpack_table(document["fires"]), unpack_table(document["promotes"])
    return TokenRecord(document["_id"], fires, promotes)


def rows_document(record: RowsRecord) -> dict[str, Any]:
    """As a document, under the first feature. Raises DatabaseError for values not finite."""
    if not np.isfinite(record.values).all():
        raise DatabaseError("activations on the sampled rows are not finite")
    return {
        "_id": record.first,
        "rows": record.rows,
        "features": pack_table({"counts": record.counts, "scales": record.scales}),
        "gaps": by_bytes(gaps(record.places, record.counts).astype("<u4")),
        "values": by_bytes(record.values.astype("<f2")),
    }


def rows_record(document: Mapping[str, Any]) -> RowsRecord:
    """What such a document holds."""
    features = unpack_table(document["features"])
    places = from_gaps(from_bytes(document["gaps"], "<u4"), features["counts"])
    values = from_bytes(document["values"], "<f2")
    return RowsRecord(
        document["_id"], document["rows"], **features, places=places.astype(np.int32), values=values
    )


@cache
def little(dtype: np.dtype) -> np.dtype:
    """The same type with little-endian bytes."""
    return dtype.newbyteorder("<")


def pack_table(table: Table) -> dict[str, Any]:
    """A table as a document: names and little-endian dtypes of its columns, and all their bytes.

    Raises DatabaseError for values that are not finite.
    """
    columns, data = list[list[str]](), list[bytes]()
    for name, values in table.items():
        stored = np.ascontiguousarray(values, little(values.dtype))
        if stored.dtype.kind == "f" and not np.isfinite(stored).all():
            raise DatabaseError(f"{name} has values that are not finite")
        columns.append([name, stored.dtype.str])
        data.append(stored.tobytes())
    rows = len(next(iter(table.values()))) if table else 0
    return {"rows": rows, "columns": columns, "data": b"".join(data)}


def unpack_table(document: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The table of such a document; its arrays are read-only."""
    table, offset = dict[str, np.ndarray](), 0
    for name, dtype in document["columns"]:
        table[name] = np.frombuffer(document["data"], dtype, document["rows"], offset)
        offset += table[name].nbytes
    return table


def details_document(details: FeatureDetails) -> dict[str, Any]:
    """As a document. Raises DatabaseError for values that are not finite."""
    logits, output = details.logits, details.output
    return {
        "contexts": details.contexts,
        "label": details.label,
        "groups": {
            name: [facts.available, facts.lower, facts.upper]
            for name, facts in details.groups.items()
        },
        "fires_on": pack_table(details.fires_on),
        "preceded_by": pack_table(details.preceded_by),
        "neighbors": {by: pack_table(table) for by, table in details.neighbors.items()},
        "twins": [
            [twin.sae, twin.feature, twin.cosine, twin.correlation, twin.score, twin.mutual]
            for twin in details.twins
        ],
        "stability": details.stability,
        "logits": logits
        and {
            "moments": [logits.mean, logits.std, logits.skewness, logits.kurtosis],
            "histogram": pack_table({"tokens": logits.histogram.astype(np.int32)}),
            "range": [logits.lower, logits.upper],
        },
        "hooks": [
            [each.hook, each.norm, pack_table(each.promotes), pack_table(each.suppresses)]
            for each in details.hooks
        ],
        "wiring": details.wiring and _wiring_document(details.wiring),
        "output": output and [output.value, output.kl, pack_table(output.raises)],
    }


def details_record(document: Mapping[str, Any]) -> FeatureDetails:
    """What such a document holds."""
    logits, output = document["logits"], document.get("output")
    return FeatureDetails(
        contexts=document["contexts"],
        label=document["label"],
        groups={name: GroupFacts(*facts) for name, facts in document["groups"].items()},
        fires_on=unpack_table(document["fires_on"]),
        preceded_by=unpack_table(document["preceded_by"]),
        neighbors={by: unpack_table(table) for by, table in document["neighbors"].items()},
        twins=[TwinFacts(*twin) for twin in document["twins"]],
        stability=document["stability"],
        logits=logits and _logits(logits),
        hooks=[
            HookFacts(hook, norm, unpack_table(promotes), unpack_table(suppresses))
            for hook, norm, promotes, suppresses in document["hooks"]
        ],
        wiring=_wiring(document.get("wiring")),
        output=output and OutputFacts(output[0], output[1], unpack_table(output[2])),
    )


def _logits(document: Mapping[str, Any]) -> LogitFacts:
    mean, std, skewness, kurtosis = document["moments"]
    lower, upper = document["range"]
    histogram = unpack_table(document["histogram"])["tokens"].astype(np.int64)
    return LogitFacts(mean, std, skewness, kurtosis, histogram, lower, upper)


def _wiring_document(wiring: WiringFacts) -> dict[str, Any]:
    sides = {"writers": wiring.writers, "readers": wiring.readers}
    return {
        **{
            name: side and [pack_table(side.heads), pack_table(side.neurons)]
            for name, side in sides.items()
        },
        "missing": wiring.missing,
    }


def _wiring(document: Mapping[str, Any] | None) -> WiringFacts | None:
    if document is None:
        return None
    writers, readers = (
        document[name] and WiringSide(*map(unpack_table, document[name]))
        for name in ("writers", "readers")
    )
    return WiringFacts(writers, readers, document["missing"])
