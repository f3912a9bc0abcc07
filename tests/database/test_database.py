"""What goes into the database comes out of it, and readers never see half an analysis."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import bson
import numpy as np
import pytest
from pymongo import MongoClient

from lmsaes.database import Database, SampleRecord, is_made_from
from lmsaes.database.sample_documents import sample_document, sample_record
from lmsaes.errors import ConfigError, DatabaseError
from tests.support import made_up_analysis as made_up


def everything(uri: str) -> dict[str, list[object]]:
    """Every document of a database, by collection, in the order of ids."""
    with MongoClient[dict[str, object]](uri) as client:
        database = client.get_default_database()
        return {
            name: sorted(database[name].find(), key=lambda document: str(document["_id"]))
            for name in sorted(database.list_collection_names())
        }


def test_everything_that_was_written_is_read_back(database: Database) -> None:
    record = made_up.publish(database)

    assert database.dictionaries() == [record]  # by its former name
    assert database.saes() == [record]
    assert database.sae(record.name) == record
    assert database.sae("demo:other") is None
    assert database.vocabulary(made_up.VOCABULARY) == made_up.TOKENS

    assert database.metrics(record.analysis) is None  # as for an imported SAE
    written = made_up.columns()
    for key, column in database.columns(record.analysis).items():
        np.testing.assert_array_equal(column, written[key])
        assert column.dtype == written[key].dtype

    features = database.features(record.analysis, [5, 119, 7])
    samples = database.samples(record.analysis, [5, 119, 7])
    assert set(features) == {5, 119, 7}
    assert set(samples) == {5, 119}  # 7 is dead
    for index, feature in features.items():
        expected = made_up.feature(index)
        np.testing.assert_array_equal(feature.histogram, expected.histogram)
        assert feature.histogram.dtype == np.int64
        assert feature.promotes == expected.promotes
        assert feature.suppresses == expected.suppresses
        for name in ("index", "firings", "density", "maximum", "mean", "histogram_max"):
            assert getattr(feature, name) == getattr(expected, name)
    for index, sample in samples.items():
        expected = made_up.sample(index)
        for name in ("contexts", "positions", "activations"):
            np.testing.assert_array_equal(getattr(sample, name), getattr(expected, name))
            assert sample.activations.dtype == np.float32

    contexts = database.contexts(made_up.CACHE, [3, 59, 1000])
    assert set(contexts) == {3, 59}
    np.testing.assert_array_equal(contexts[59], made_up.context_tokens()[59])


def test_the_same_analysis_twice_is_the_same_documents(database: Database, uri: str) -> None:
    def contents(analysis: str) -> list[object]:
        return [
            documents
            for name, documents in everything(uri).items()
            if name not in ("saes", "leases") and analysis in name
        ]

    first = contents(made_up.publish(database).analysis)
    second = contents(made_up.publish(database).analysis)
    assert len(first) == 3
    assert first == second


def test_an_analysis_is_visible_only_when_published(database: Database) -> None:
    with database.draft("demo:topk", made_up.CACHE, made_up.MADE_FROM) as draft:
        made_up.write(database, draft)
        assert database.saes() == []
        first = made_up.sae(analysis=draft.analysis)
        draft.publish(first)
        assert database.saes() == [first]
    with database.draft("demo:topk", made_up.CACHE, made_up.MADE_FROM) as draft:
        made_up.write(database, draft, seed=1)
        assert database.saes() == [first]
    assert database.saes() == [first]  # the second was given up


def test_publishing_drops_the_former_analysis_and_nothing_else(
    database: Database, uri: str
) -> None:
    neighbor = made_up.publish(database, "demo:topk.b")
    made_up.publish(database)
    second = made_up.publish(database, seed=1)
    written = ("features", "samples", "columns")
    assert set(everything(uri)) - {"leases"} == {
        *(f"contexts_{made_up.CACHE}", "saes", "vocabularies"),
        *(f"{kind}_{record.analysis}" for kind in written for record in (neighbor, second)),
    }


def test_names_of_collections_are_plain_words(database: Database, uri: str) -> None:
    """Other servers that speak the protocol refuse names with a slash or a colon."""
    made_up.publish(database, "a.b_c-d:e")
    assert [name for name in everything(uri) if not re.fullmatch("[A-Za-z0-9_]+", name)] == []


def test_two_analyses_of_the_same_never_share_collections(database: Database) -> None:
    with (
        database.draft("one", made_up.CACHE, made_up.MADE_FROM) as one,
        database.draft("two", made_up.CACHE, made_up.MADE_FROM) as two,
    ):
        assert one.analysis != two.analysis
        assert is_made_from(one.analysis, made_up.MADE_FROM)
        assert not is_made_from(one.analysis, {"sae": "other"})


@pytest.mark.parametrize("lost", ["features", "samples", "columns", "contexts", "vocabulary"])
def test_less_than_was_written_is_not_published(database: Database, uri: str, lost: str) -> None:
    with (
        MongoClient[dict[str, object]](uri) as client,
        database.draft("demo:topk", made_up.CACHE, made_up.MADE_FROM) as draft,
    ):
        made_up.write(database, draft)
        mongo = client.get_default_database()
        if lost == "vocabulary":
            mongo["vocabularies"].delete_many({})
        else:
            whose = made_up.CACHE if lost == "contexts" else draft.analysis
            mongo[f"{lost}_{whose}"].delete_one({})
        with pytest.raises(DatabaseError, match=f"'demo:topk' is not published: .*{lost}"):
            draft.publish(made_up.sae(analysis=draft.analysis))
    assert database.saes() == []


def test_columns_of_another_length_are_not_published(database: Database) -> None:
    with database.draft("demo:topk", made_up.CACHE, made_up.MADE_FROM) as draft:
        made_up.write(database, draft)
        draft.put_columns({"twin": np.zeros(3, np.float32)})
        with pytest.raises(DatabaseError, match="column twin is not whole"):
            draft.publish(made_up.sae(analysis=draft.analysis))


def test_what_is_not_finite_is_refused_by_sae_and_feature(database: Database) -> None:
    for put, record in (
        ("put_features", replace(made_up.feature(5), maximum=float("inf"))),
        ("put_features", replace(made_up.feature(5), promotes=[(1, float("nan"))])),
        ("put_samples", replace(made_up.sample(5), activations=np.full((2, 3), np.nan))),
    ):
        with database.draft("demo:topk", made_up.CACHE, made_up.MADE_FROM) as draft:  # noqa: SIM117
            with pytest.raises(DatabaseError, match=r"'demo:topk': feature 5 .* not finite"):
                getattr(draft, put)([record])


@pytest.mark.parametrize("size", [1e-38, 2e-5, 1.0, 65504.0, 1e6, 1e30])
def test_activations_of_any_size_keep_the_digits_of_float16(size: float) -> None:
    values = (np.random.default_rng(0).lognormal(0, 2, (4, 32)) * size).astype(np.float32)
    values[0, :5] = 0
    places = values.argmax(1).astype(np.int32)
    record = SampleRecord(5, "top", np.arange(4), places, values)
    read = sample_record(sample_document(record)).activations
    np.testing.assert_allclose(read, values, rtol=2**-11, atol=0)


def test_garbage_is_what_no_record_and_no_living_lease_names(database: Database, uri: str) -> None:
    published = made_up.publish(database)
    with MongoClient[dict[str, object]](uri) as client:
        mongo = client.get_default_database()
        left = ["features_" + "1" * 16 + "_" + "2" * 8, "samples_" + "1" * 16 + "_" + "2" * 8,
                "contexts_" + "3" * 16, "features/old:topk/" + "4" * 16]  # fmt: skip
        somebodys = ["features_2024", "samples", "contexts_of_mine", "notes"]
        for name in (*left, *somebodys):
            mongo[name].insert_one({"_id": 1})
        with database.draft("other", "5" * 16, made_up.MADE_FROM) as draft:
            database.put_contexts("5" * 16, np.arange(2), np.zeros((2, 4), np.int32))
            draft.put_features([made_up.feature(5)])
            assert database.gc() == sorted(left)
            there = mongo.list_collection_names()
            assert {f"features_{draft.analysis}", "contexts_" + "5" * 16, *somebodys} <= {*there}
        assert database.gc() == ["contexts_" + "5" * 16]
    assert database.saes() == [published]
    assert len(database.features(published.analysis, range(made_up.FEATURES))) == made_up.FEATURES
    assert database.vocabulary(made_up.VOCABULARY) == made_up.TOKENS


def test_the_start_of_an_analysis_that_dies_leaves_nothing_for_long(tmp_path: Path) -> None:
    dies = (
        "import os, sys; from pathlib import Path; from lmsaes.database import Database\n"
        "from tests.support import made_up_analysis as made_up\n"
        "database = Database(folder=Path(sys.argv[1]))\n"
        "draft = database.draft('demo:topk', made_up.CACHE, made_up.MADE_FROM)\n"
        "made_up.write(database, draft)\n"
        "os._exit(9)"
    )
    with Database(folder=tmp_path) as database:
        assert subprocess.run([sys.executable, "-c", dies, tmp_path], check=False).returncode == 9
        # its lease is dead with it, on the same machine at once
        assert len(database.gc()) == 4
        assert made_up.publish(database) == database.sae("demo:topk")


def test_contexts_that_exist_are_left_alone(database: Database) -> None:
    tokens = made_up.context_tokens()
    database.put_contexts(made_up.CACHE, np.arange(10), tokens[:10])
    database.put_contexts(made_up.CACHE, np.arange(5, 15), tokens[5:15])
    assert len(database.contexts(made_up.CACHE, list(range(20)))) == 15


def test_ids_beyond_32_bits_are_kept(database: Database) -> None:
    far = 2**40 + 3
    database.put_contexts(made_up.CACHE, np.array([far]), np.array([[1, 2, 200_000]]))
    np.testing.assert_array_equal(database.contexts(made_up.CACHE, [far])[far], [1, 2, 200_000])
    record = SampleRecord(
        index=4,
        group="top",
        contexts=np.array([far]),
        positions=np.array([2], dtype=np.int32),
        activations=np.array([[0, 0, 1.5]], dtype=np.float32),
    )
    assert sample_record(sample_document(record)).contexts.tolist() == [far]


def test_a_large_vocabulary_is_kept_in_several_documents(database: Database, uri: str) -> None:
    tokens = [f" token {i}" for i in range(150_000)]
    database.put_vocabulary("e" * 16, tokens)
    assert len(everything(uri)["vocabularies"]) == 3
    assert database.vocabulary("e" * 16) == tokens


def test_the_stored_size_of_a_feature_is_small() -> None:
    """40 contexts of 128 tokens, of which a typical feature is active on a few percent."""
    random = np.random.default_rng(0)
    active = random.random((40, 128)) < 0.05
    values = np.where(active, random.gamma(2, 3, (40, 128)), 0)
    record = SampleRecord(0, "top", np.arange(40), np.zeros(40, dtype=np.int32), values)
    assert len(bson.encode(sample_document(record))) < 2048


@pytest.mark.parametrize("name", ["", "../up", "a b", "a/b", ".hidden", "ä", "a" * 121, "a\n"])
def test_names_that_do_not_fit_an_address_are_refused(database: Database, name: str) -> None:
    with pytest.raises(ConfigError, match="can't name an SAE"):
        database.draft(name, made_up.CACHE, made_up.MADE_FROM)
    with pytest.raises(ValueError, match="name"):
        made_up.sae(name)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"$set": {"schema_version": 3}}, "schema 3: needs a newer lmsaes"),
        ({"$set": {"schema_version": 1}}, "schema 1: analyze it again"),
        ({"$unset": {"schema_version": ""}}, "damaged: it has no schema_version"),
        ({"$unset": {"hook": ""}}, "damaged: hook: Field required"),
        ({"$set": {"feature_range": "all"}}, "damaged: feature_range: "),
    ],
)
def test_a_record_that_can_not_be_read_hides_no_other_and_can_be_removed(
    database: Database, uri: str, change: dict[str, object], problem: str
) -> None:
    other = made_up.publish(database, "demo:other")
    broken = made_up.publish(database)
    with MongoClient[dict[str, object]](uri) as client:
        client.get_default_database()["saes"].update_one({"_id": "demo:topk"}, change)
    assert database.saes() == [other]
    (unreadable,) = database.unreadable()
    assert unreadable.name == "demo:topk"
    assert unreadable.problem.startswith(problem)
    with pytest.raises(DatabaseError, match=r"'demo:topk' can't be read: ") as raised:
        database.sae("demo:topk")
    assert "lmsaes db rm demo:topk" in (raised.value.hint or "")
    # what it names stays until it is removed
    assert database.gc() == []
    database.remove("demo:topk")
    assert database.unreadable() == []
    assert [name for name in everything(uri) if broken.analysis in name] == []
    assert database.saes() == [other]


def test_what_a_newer_lmsaes_wrote_is_not_replaced_unasked(database: Database, uri: str) -> None:
    for version, refused in ((3, True), (1, False)):
        made_up.publish(database)
        with MongoClient[dict[str, object]](uri) as client:
            saes = client.get_default_database()["saes"]
            saes.update_one({}, {"$set": {"schema_version": version}})
        if refused:
            with pytest.raises(DatabaseError, match="needs a newer lmsaes"):
                made_up.publish(database)
            database.remove("demo:topk")
        else:
            assert made_up.publish(database) == database.sae("demo:topk")


def test_records_of_schema_1_are_listed_and_give_way(database: Database, uri: str) -> None:
    with MongoClient[dict[str, object]](uri) as client:
        mongo = client.get_default_database()
        for name in ("demo:topk", "demo:relu"):
            mongo["dictionaries"].insert_one({"_id": name, "analysis": "4" * 16})
            mongo[f"features/{name}/{'4' * 16}"].insert_one({"_id": 0})
    assert database.saes() == []
    problems = {each.name: each.problem for each in database.unreadable()}
    assert problems == dict.fromkeys(("demo:relu", "demo:topk"), "schema 1: analyze it again")
    record = made_up.publish(database)
    assert database.saes() == [record]
    assert [each.name for each in database.unreadable()] == ["demo:relu"]
    database.remove("demo:relu")
    assert [name for name in everything(uri) if "/" in name] == []
    assert database.saes() == [record]


def test_an_sae_is_renamed_with_all_that_it_has(database: Database) -> None:
    record = made_up.publish(database)
    made_up.publish(database, "other")
    for old, new, message in (
        ("demo:topk", "other", "'other' is in the database already"),
        ("demo:tok", "x", "no SAE 'demo:tok' in "),
        ("demo:topk", "a b", "can't name an SAE"),
    ):
        with pytest.raises(ConfigError, match=message):
            database.rename(old, new)
    database.rename("demo:topk", "better")
    assert [each.name for each in database.saes()] == ["better", "other"]
    assert database.gc() == []
    assert len(database.features(record.analysis, range(made_up.FEATURES))) == made_up.FEATURES


def test_an_unknown_sae_can_not_be_removed(database: Database) -> None:
    made_up.publish(database)
    with pytest.raises(ConfigError, match="no SAE 'demo:tok'") as raised:
        database.remove("demo:tok")
    assert raised.value.hint == "there are demo:topk"


def test_paths_that_are_no_text_are_kept_as_well_as_can_be(database: Database) -> None:
    record = made_up.publish(database, sae_path=os.fsdecode(b"runs/\xff/topk"))
    assert database.saes() == [record]
    assert record.sae_path == "runs/?/topk"
