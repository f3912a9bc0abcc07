"""What a list of all features needs comes in columns, and says what the documents say."""

from dataclasses import replace

import numpy as np
import pytest

from lmsaes.database import (
    NONE,
    Database,
    FeatureColumns,
    SampleRecord,
    half_precision,
    label_tokens,
)
from lmsaes.database.feature_columns import BINS, logarithms
from lmsaes.database.sample_documents import sample_document, sample_record
from tests.support import made_up_analysis as made_up

GATHERED = ("label_token", "label_share", "fires_on", "promotes", "histogram", "histogram_end")


def test_columns_hold_what_the_features_documents_hold(database: Database) -> None:
    record = made_up.publish(database)
    columns = database.columns(record.analysis, GATHERED)
    found = database.features(record.analysis, range(made_up.FEATURES))
    for index, feature in found.items():
        assert feature.details is not None
        fires_on, promotes = (columns[name][index].tolist() for name in ("fires_on", "promotes"))
        tokens = feature.details.fires_on["token"].tolist()
        assert fires_on == (tokens + [NONE] * 5)[:5]
        assert promotes == [token for token, _ in feature.promotes[:5]]
        fires = feature.details.fires_on
        label = dict(label_tokens(fires["token"], fires["share_of_firings"]))
        assert columns["label_token"][index].tolist() == [*label, *[NONE] * (3 - len(label))]
        shares = columns["label_share"][index][: len(label)]
        np.testing.assert_array_equal(shares, np.array(list(label.values()), np.float32))
        bins = columns["histogram"][index]
        assert (bins > 0).sum() == (feature.histogram > 0).sum()  # 20 bins, none of them merged
        width = columns["histogram_end"][index] / BINS
        assert width * 20 == pytest.approx(feature.histogram_max, rel=1e-6)


def test_columns_follow_the_features_numbers_in_whatever_order_they_were_written() -> None:
    forward, backward = FeatureColumns(), FeatureColumns()
    for index in range(made_up.FEATURES):
        forward.add(made_up.feature(index))
        backward.add(made_up.feature(made_up.FEATURES - 1 - index))
    backward.add(made_up.feature(3))  # written twice, there once
    for name, column in forward.columns().items():
        np.testing.assert_array_equal(column, backward.columns()[name])


def test_twins_come_by_sae_and_what_was_not_measured_is_not_a_number(database: Database) -> None:
    record = made_up.publish(database)
    twins = database.twins(record.analysis)
    assert list(twins) == ["demo:relu"]
    table = twins["demo:relu"]
    for index in range(made_up.FEATURES):
        (twin,) = made_up.details(index, made_up.activations(index)).twins
        assert table["twin"][index] == (NONE if twin.feature is None else twin.feature)
        for name in ("cosine", "correlation"):
            value = getattr(twin, name)
            assert np.isnan(table[name][index]) if value is None else table[name][index] == value
        assert table["mutual"][index] == twin.mutual


def test_columns_of_an_analysis_that_has_none_are_gathered_from_its_features(
    database: Database,
) -> None:
    record = made_up.publish(database)
    gathered = database.gather_columns(record)
    for name, column in database.columns(record.analysis, GATHERED).items():
        np.testing.assert_array_equal(column, gathered.columns()[name])


@pytest.mark.parametrize("bins", [1, 31, 32, 33, 64, 100])
def test_a_coarse_histogram_counts_every_firing_once(bins: int) -> None:
    counts = np.random.default_rng(bins).integers(0, 2, bins)
    counts[-1] = 1
    gathered = FeatureColumns()
    gathered.add(replace(made_up.feature(5), histogram=counts, histogram_max=1.0))
    columns = gathered.columns()
    merged = -(-bins // BINS)
    whole = np.pad(counts, (0, BINS * merged - bins)).reshape(BINS, merged).sum(axis=1)
    np.testing.assert_array_equal(columns["histogram"][0], logarithms(whole))
    assert columns["histogram_end"][0] == pytest.approx(merged * BINS / bins, rel=1e-6)


def test_a_count_in_one_byte_is_off_by_at_most_a_ninth() -> None:
    counts = np.unique(np.geomspace(1, 2**31, 5000).astype(np.int64))
    encoded = logarithms(counts).astype(np.float64)
    back = 2 ** ((encoded - 1) / 8)
    assert (back <= counts * (1 + 1e-9)).all()
    assert (back > counts * (1 - 1 / 9)).all()
    assert logarithms(np.array([0])).tolist() == [0]


def test_which_document_a_token_is_of_is_kept(database: Database) -> None:
    documents = np.array([[4, 4, 4, 5, 5, 5, 9, 9]])
    database.put_contexts("a" * 16, np.array([3]), np.arange(8)[None], documents)
    database.put_contexts("a" * 16, np.array([4]), np.arange(8)[None])
    found = database.context_records("a" * 16, [3, 4])
    np.testing.assert_array_equal(found[3].documents, documents[0])
    assert found[4].documents is None
    np.testing.assert_array_equal(found[4].tokens, np.arange(8))


@pytest.mark.parametrize("largest", [65519.9, 1e6, 2e-5, 1.0, 0.99999])
def test_activations_are_the_same_bits_however_often_they_are_stored(largest: float) -> None:
    values = np.geomspace(largest * 1e-8, largest, 64, dtype=np.float32)[None]
    one = np.array([0])
    first = SampleRecord(5, "top", one, one.astype(np.int32), values)
    bits, scale = half_precision(first)
    stored = sample_record(sample_document(first))
    again, same = half_precision(stored)
    assert scale == same
    np.testing.assert_array_equal(bits.view("u2"), again.view("u2"))
    np.testing.assert_array_equal(stored.activations, bits.astype(np.float32) * scale)
