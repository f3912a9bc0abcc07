"""Contexts of features as documents: firings alone, as gaps and float16 values.

Nearly all activations are zero, so that 40 contexts of 128 tokens shrink from 10 KiB to about one.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice

import numpy as np
from numcodecs.zstd import Zstd

from lmsaes.database.details import pack_table, unpack_table
from lmsaes.database.records import Document, SampleRecord, unpack
from lmsaes.database.squeezed import from_gaps, gaps
from lmsaes.errors import DatabaseError

_zstd = Zstd()
_AT_ONCE = 256


def sample_document(record: SampleRecord) -> Document:
    """The document of a feature's contexts, under `index/group`.

    Raises DatabaseError for activations that are not finite.
    """
    return next(sample_documents([record]))


def sample_documents(records: Iterable[SampleRecord]) -> Iterator[Document]:
    """The documents of many, read as a stream: some hundreds are made at once."""
    for size, run in groupby(records, lambda record: record.activations.shape[1]):
        while batch := list(islice(run, _AT_ONCE)):
            yield from _sample_documents(batch, size)


def _sample_documents(records: Sequence[SampleRecord], size: int) -> Iterator[Document]:
    halves, scales = _half_precision(records)
    rows, places = np.nonzero(halves)
    lengths = np.bincount(rows, minlength=len(halves))
    width = np.min_scalar_type(max(size, 1))
    found, values = gaps(places, lengths).astype(width), halves[rows, places]
    ends = np.concatenate([[0], np.cumsum(lengths)])
    firings = lengths.astype(width)
    row = 0
    for record, scale in zip(records, scales.tolist(), strict=True):
        stop = row + len(record.contexts)
        at = slice(ends[row], ends[stop])
        narrow = np.uint32 if record.contexts.max(initial=0) < 2**32 else np.int64
        yield {
            "_id": f"{int(record.index)}/{record.group}",
            "size": size,
            "scale": scale,
            "contexts": pack_table(
                {
                    "context": record.contexts.astype(narrow),
                    "position": record.positions.astype(width),
                    "firings": firings[row:stop],
                }
            ),
            "firings": pack_table({"gap": found[at], "value": values[at]}),
        }
        row = stop


def _half_precision(records: Sequence[SampleRecord]) -> tuple[np.ndarray, np.ndarray]:
    """Activations of all rows in units of each record's power of two, and these: float16 and
    float64."""
    values = np.concatenate([np.asarray(each.activations, np.float32) for each in records])
    counts = np.array([len(each.activations) for each in records])
    there = np.flatnonzero(counts)
    largest = np.zeros(len(records), np.float32)
    if len(there):
        peaks = np.abs(values).max(axis=1, initial=0)
        largest[there] = np.maximum.reduceat(peaks, (np.cumsum(counts) - counts)[there])
    for place in np.flatnonzero(~np.isfinite(largest))[:1]:
        index = records[place].index
        raise DatabaseError(f"feature {index} has activations that are not finite")
    # A power of two, so that scaling rounds nothing: the largest comes to lie just below float16's
    # end, and what is a billion times smaller still has all of float16's digits.
    scales = np.where(largest > 0, np.ldexp(1.0, np.frexp(largest)[1] - 15), 1.0)
    given = [each.scale for each in records]
    scales = np.where([each is None for each in given], scales, [each or 1.0 for each in given])
    halves = values / np.repeat(scales, counts).astype(np.float32)[:, None]
    return halves.astype("<f2"), scales


def half_precision(record: SampleRecord) -> tuple[np.ndarray, float]:
    """Activations as they are stored: float16 [n, context_size] in units of a power of two.

    Raises DatabaseError for activations that are not finite.
    """
    halves, scales = _half_precision([record])
    return halves, float(scales[0])


def sample_record(document: Document) -> SampleRecord:
    """The contexts that a document holds."""
    index, _, group = document["_id"].partition("/")
    if "activations" in document:
        return _former_sample(int(index), group, document)
    contexts, firings = unpack_table(document["contexts"]), unpack_table(document["firings"])
    lengths, scale = contexts["firings"], document["scale"]
    activations = np.zeros((len(lengths), document["size"]), np.float32)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    activations[rows, from_gaps(firings["gap"], lengths)] = firings["value"]
    return SampleRecord(
        index=int(index),
        group=group,
        contexts=contexts["context"].astype(np.int64),
        positions=contexts["position"].astype(np.int32),
        activations=activations * np.float32(scale),
        scale=scale,
    )


def _former_sample(index: int, group: str, document: Document) -> SampleRecord:
    """One as it was stored before documents were compressed."""
    activations = document["activations"]
    data = _zstd.decode(activations["data"]) if activations["data"] else b""
    values = unpack({**activations, "data": data}).astype(np.float32)
    scale = activations["scale"]
    return SampleRecord(
        index,
        group,
        unpack(document["contexts"]),
        unpack(document["positions"]),
        values * np.float32(scale),
        scale,
    )
