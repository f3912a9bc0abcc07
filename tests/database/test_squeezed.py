"""Documents that are stored compressed give back what went in."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmsaes.database import RowsRecord, SampleRecord
from lmsaes.database.details import rows_document, rows_record
from lmsaes.database.records import pack
from lmsaes.database.sample_documents import sample_document, sample_record
from lmsaes.database.squeezed import expanded, squeezed
from lmsaes.errors import DatabaseError


@settings(max_examples=40, deadline=None)
@given(
    contexts=st.integers(0, 5),
    size=st.sampled_from([1, 3, 255, 256, 300]),
    share=st.sampled_from([0.0, 0.1, 1.0]),
    largest=st.sampled_from([1, 2**32 - 1, 2**32 + 5]),
    seed=st.integers(0, 9),
)
def test_samples_come_back(contexts, size, share, largest, seed):
    random = np.random.default_rng(seed)
    values = np.where(random.random((contexts, size)) < share, random.normal(size=size) * 4, 0)
    record = SampleRecord(
        index=7,
        group="interval-2",
        contexts=random.integers(0, largest, contexts),
        positions=values.argmax(1).astype(np.int32),
        activations=values.astype(np.float16).astype(np.float32),
    )
    found = sample_record(expanded(squeezed(sample_document(record))))
    assert (found.index, found.group) == (7, "interval-2")
    np.testing.assert_array_equal(found.contexts, record.contexts)
    np.testing.assert_array_equal(found.positions, record.positions)
    np.testing.assert_array_equal(found.activations, record.activations)


@settings(max_examples=40, deadline=None)
@given(
    counts=st.lists(st.integers(0, 4), max_size=6),
    rows=st.sampled_from([5, 1000, 10**6]),
    seed=st.integers(0, 9),
)
def test_sampled_rows_come_back(counts, rows, seed):
    random = np.random.default_rng(seed)
    runs = [np.sort(random.choice(rows, count, replace=False)) for count in counts]
    record = RowsRecord(
        first=512,
        rows=rows,
        counts=np.array(counts, np.int32),
        scales=np.exp2(random.integers(-5, 5, len(counts))).astype(np.float32),
        places=np.concatenate([np.empty(0, np.int64), *runs]).astype(np.int32),
        values=random.random(sum(counts)).astype(np.float16),
    )
    found = rows_record(expanded(squeezed(rows_document(record))))
    assert (found.first, found.rows) == (512, rows)
    for name in ("counts", "scales", "places", "values"):
        np.testing.assert_array_equal(getattr(found, name), getattr(record, name))
        assert getattr(found, name).dtype == getattr(record, name).dtype


def test_sampled_rows_that_are_not_finite_are_refused():
    one = np.ones(1, np.int32)
    values = np.array([np.inf], np.float16)
    with pytest.raises(DatabaseError, match="not finite"):
        rows_document(RowsRecord(0, 3, one, np.ones(1, np.float32), one, values))


def test_what_was_stored_before_documents_were_compressed_is_read():
    values = np.array([[0, 2, 0, 0.5]], np.float16)
    document = {
        "_id": "3/top",
        "contexts": pack(np.array([9])),
        "positions": pack(np.array([1], np.int32)),
        "activations": {**pack(values), "codec": "zstd", "scale": 2.0},
    }
    import numcodecs

    document["activations"]["data"] = numcodecs.Zstd().encode(document["activations"]["data"])
    found = sample_record(expanded(document))
    assert (found.contexts.tolist(), found.positions.tolist()) == ([9], [1])
    assert found.activations.tolist() == [[0, 4, 0, 1]]
