"""Columns over all features, gathered from the features' documents while these are written.

    label_token, label_share    [features, 3]   the tokens most firings are on, their shares
    fires_on, promotes          [features, 5]   token ids, strongest first
    histogram                   [features, 32]  firings by activation, logarithms in a byte
    histogram_end               [features]      where its last bin ends
    twins/<n>                   a table of the features' twins in the n-th of the other SAEs

Readers hold them in memory: a list of a hundred thousand features is labeled, drawn and filtered
without reading a hundred thousand documents.
"""

from array import array
from collections.abc import Mapping
from typing import Any

import numpy as np

from lmsaes.database.details import Table, TwinFacts, pack_table
from lmsaes.database.records import FeatureRecord

NONE = -1
"""In place of a token or a feature that isn't there."""
LABEL_TOKENS, TOKENS, BINS = 3, 5, 32
TWIN_NAMES = "twins"
_WORTH = 0.1  # of the firings: what a label's second and third token must have
_MUTUAL, _HAS_COSINE, _HAS_CORRELATION = 1, 2, 4
_STEPS_PER_DOUBLING = 8


class FeatureColumns:
    """Gathers columns from features as they pass, in any order."""

    def __init__(self) -> None:
        self._indices = array("q")
        self._seen: set[int] = set()
        self._label_token, self._label_share = array("i"), array("f")
        self._fires_on, self._promotes = array("i"), array("i")
        self._histogram, self._histogram_end = bytearray(), array("f")
        self._twins: dict[str, list[tuple[int, TwinFacts]]] = {}

    def add(self, record: FeatureRecord) -> None:
        """Takes in one feature; one that was there before stays as it was."""
        if record.index in self._seen:
            return
        self._seen.add(record.index)
        self._indices.append(record.index)
        details = record.details
        fires = details.fires_on if details else {}
        named = label_tokens(fires["token"], fires["share_of_firings"]) if fires else []
        tokens, shares = [token for token, _ in named], [share for _, share in named]
        self._label_token.extend(_filled(tokens, LABEL_TOKENS, NONE))
        self._label_share.extend(_filled(shares, LABEL_TOKENS, 0.0))
        fires_on = details.fires_on["token"][:TOKENS].tolist() if details else []
        self._fires_on.extend(_filled(fires_on, TOKENS, NONE))
        promotes = [token for token, _ in record.promotes[:TOKENS]]
        self._promotes.extend(_filled(promotes, TOKENS, NONE))
        counts, end = _coarse(record.histogram, record.histogram_max)
        self._histogram.extend(logarithms(counts).tobytes())
        self._histogram_end.append(end)
        for twin in details.twins if details else ():
            self._twins.setdefault(twin.sae, []).append((record.index, twin))

    def columns(self) -> dict[str, np.ndarray]:
        """The columns by name, each [features, …] in the features' order."""
        order = np.argsort(np.array(self._indices, np.int64), kind="stable")
        return {
            "label_token": np.array(self._label_token, "<i4").reshape(-1, LABEL_TOKENS)[order],
            "label_share": np.array(self._label_share, "<f4").reshape(-1, LABEL_TOKENS)[order],
            "fires_on": np.array(self._fires_on, "<i4").reshape(-1, TOKENS)[order],
            "promotes": np.array(self._promotes, "<i4").reshape(-1, TOKENS)[order],
            "histogram": np.frombuffer(bytes(self._histogram), "u1").reshape(-1, BINS)[order],
            "histogram_end": np.array(self._histogram_end, "<f4")[order],
        }

    def twins(self) -> dict[str, Table]:
        """By the other SAE's name: `twin`, `cosine`, `correlation`, `score`, `flags`, [features].

        `twin` is −1 where there is none; `read_twins` is for readers.
        """
        places = {index: place for place, index in enumerate(sorted(self._indices))}
        tables: dict[str, Table] = {}
        for sae, found in self._twins.items():
            table = {
                "twin": np.full(len(places), NONE, "<i4"),
                "cosine": np.zeros(len(places), "<f4"),
                "correlation": np.zeros(len(places), "<f4"),
                "score": np.zeros(len(places), "<f4"),
                "flags": np.zeros(len(places), "u1"),
            }
            for index, twin in found:
                place = places[index]
                if twin.feature is None:
                    continue
                table["twin"][place], table["score"][place] = twin.feature, twin.score
                flags = _MUTUAL if twin.mutual else 0
                if twin.cosine is not None:
                    table["cosine"][place], flags = twin.cosine, flags | _HAS_COSINE
                if twin.correlation is not None:
                    table["correlation"][place] = twin.correlation
                    flags |= _HAS_CORRELATION
                table["flags"][place] = flags
            tables[sae] = table
        return tables


def twin_documents(twins: Mapping[str, Table]) -> list[dict[str, Any]]:
    """The tables as documents of an analysis' columns."""
    names = sorted(twins)
    tables = [
        {"_id": f"{TWIN_NAMES}/{place}", "table": pack_table(twins[name])}
        for place, name in enumerate(names)
    ]
    return [{"_id": TWIN_NAMES, "names": names}, *tables]


def read_twins(table: Table) -> dict[str, np.ndarray]:
    """Such a table for readers: `score`, `cosine` and `correlation` are NaN where there are none,
    `mutual` is bool."""
    table = dict(table)
    flags = table.pop("flags")
    for name, bit in (("cosine", _HAS_COSINE), ("correlation", _HAS_CORRELATION)):
        table[name] = np.where(flags & bit, table[name], np.float32(np.nan))
    table["score"] = np.where(table["twin"] == NONE, np.float32(np.nan), table["score"])
    table["mutual"] = (flags & _MUTUAL).astype(bool)
    return table


def label_tokens(ids: np.ndarray, shares_of_firings: np.ndarray) -> list[tuple[int, float]]:
    """The up to three tokens that most firings are on, with their shares of the firings.

    After the first one, only those with a tenth of the firings are named.
    """
    tokens, shares = ids.tolist(), shares_of_firings.tolist()
    order = sorted(range(len(tokens)), key=lambda i: (-shares[i], tokens[i]))[:LABEL_TOKENS]
    named = [i for place, i in enumerate(order) if place == 0 or shares[i] >= _WORTH]
    return [(tokens[i], shares[i]) for i in named]


def logarithms(counts: np.ndarray) -> np.ndarray:
    """Counts as one byte each: 0 stays 0, else 1 + ⌊8 log₂ count⌋, at most 255.

    2^((byte − 1) / 8) is the count, but for at most a ninth of it.
    """
    largest = np.maximum(counts, 1).astype(np.float64)
    found = 1 + np.floor(_STEPS_PER_DOUBLING * np.log2(largest))
    return np.where(counts > 0, np.minimum(found, 255), 0).astype(np.uint8)


def _coarse(counts: np.ndarray, end: float) -> tuple[np.ndarray, float]:
    """The histogram in 32 equal bins, whole numbers of its own merged, and where the last ends."""
    merged = -(-len(counts) // BINS) or 1
    padded = np.zeros(BINS * merged, np.int64)
    padded[: len(counts)] = counts
    width = end / len(counts) if len(counts) else 0.0
    return padded.reshape(BINS, merged).sum(axis=1), width * merged * BINS


def _filled(values: list[Any], length: int, rest: Any) -> list[Any]:
    return values + [rest] * (length - len(values))
