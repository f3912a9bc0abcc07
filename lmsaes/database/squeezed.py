"""Documents that are stored compressed: their id, and all else as BSON under zstd.

A feature has many short tables, whose names and paddings shrink to little. Numbers that come in
order are stored as gaps, and wide ones byte by byte, so that their zeros lie together.
"""

from collections.abc import Mapping
from typing import Any

import bson
import numpy as np
from numcodecs.zstd import Zstd

_KEY = "zstd"
_zstd = Zstd(level=3)

SQUEEZED = frozenset({"features", "samples", "tokens", "rows"})
"""Kinds of an analysis' documents that are stored so."""


def squeezed(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document as it is stored."""
    rest = {key: value for key, value in document.items() if key != "_id"}
    return {"_id": document["_id"], _KEY: _zstd.encode(bson.encode(rest))}


def expanded(document: Mapping[str, Any]) -> dict[str, Any]:
    """What `squeezed` was given; one that is not compressed, of a former version, as it is."""
    if _KEY not in document:
        return dict(document)
    return {"_id": document["_id"], **bson.decode(_zstd.decode(document[_KEY]))}


def gaps(places: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Each number less the one before it in its run; runs of `lengths` begin with their first."""
    found = np.diff(places, prepend=places[:1] * 0)
    starts = _starts(lengths)
    found[starts] = places[starts]
    return found


def from_gaps(found: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The numbers, int64, whose gaps these are."""
    sums = np.cumsum(found, dtype=np.int64)
    starts, there = _starts(lengths), lengths[lengths > 0]
    return sums - np.repeat(sums[starts] - found[starts], there)


def _starts(lengths: np.ndarray) -> np.ndarray:
    ends = np.cumsum(lengths, dtype=np.int64)
    return (ends - lengths)[lengths > 0]


def by_bytes(array: np.ndarray) -> bytes:
    """A little-endian array's lowest bytes, then the next ones, …."""
    return np.ascontiguousarray(array).view(np.uint8).reshape(-1, array.itemsize).T.tobytes()


def from_bytes(data: bytes, dtype: str) -> np.ndarray:
    """The array of such bytes."""
    width = np.dtype(dtype).itemsize
    return np.frombuffer(data, np.uint8).reshape(width, -1).T.copy().reshape(-1).view(dtype)
