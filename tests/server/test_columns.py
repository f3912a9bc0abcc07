"""An SAE's columns travel once, say all that a list of its features needs, and are never torn."""

from collections.abc import Iterator

import numpy as np
import pytest
from fastapi.testclient import TestClient

from lmsaes.database import Database, EmbeddedServer
from lmsaes.server.app import create_app
from tests.support import made_up_analysis as made_up
from tests.support.safetensors_files import read_file

NONE = 2**32 - 1
PATH = "/api/saes/demo:topk/columns"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path_factory.mktemp("columns")) as server:
        yield server


@pytest.fixture(scope="module")
def database(server: EmbeddedServer) -> Iterator[Database]:
    with Database(f"{server.uri}/shared") as database:
        made_up.publish(database)
        yield database


@pytest.fixture(scope="module")
def client(database: Database) -> Iterator[TestClient]:
    with TestClient(create_app(database=database)) as client:
        yield client


def test_columns_stand_under_an_address_that_never_changes_what_it_answers(
    client: TestClient, database: Database
) -> None:
    (record,) = database.saes()
    asked = client.get(f"{PATH}?part=core", follow_redirects=False)
    assert asked.status_code == 307
    assert asked.headers["location"] == f"{PATH}?part=core&analysis={record.analysis}"
    answer = client.get(asked.headers["location"])
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-encoding"] == "gzip"
    plain = client.get(asked.headers["location"], headers={"Accept-Encoding": "br"})
    assert "content-encoding" not in plain.headers
    assert plain.content == answer.content


def test_every_number_is_the_one_of_the_analysis(client: TestClient) -> None:
    tensors, about = read_file(client.get(PATH))
    written = made_up.columns()
    alive = written["firings"] > 0
    for name in ("firings", "maximum", "contexts"):
        np.testing.assert_array_equal(tensors[name], written[name])
    np.testing.assert_array_equal(tensors["mean"][alive], written["mean"][alive])
    assert tensors["maximum"].dtype == np.float32  # to the last bit, not to some digits
    assert about["tokens_analyzed"] == made_up.TOKENS_ANALYZED
    kinds = [about["kinds"][kind] for kind in tensors["kind"]]
    assert {i for i, kind in enumerate(kinds) if kind == "dead"} == set(made_up.DEAD)
    assert {i for i, kind in enumerate(kinds) if kind == "dense"} == set(made_up.DENSE)


def test_what_was_not_measured_is_not_a_number_never_zero(client: TestClient) -> None:
    tensors, about = read_file(client.get(PATH))
    dead = made_up.DEAD[0]
    assert np.isnan(tensors["mean"][dead])
    assert tensors["label_token"][dead].tolist() == [NONE] * 3
    assert tensors["twin_feature"][dead] == tensors["twin_sae"][dead] == NONE
    assert np.isnan(tensors["twin_cosine"][dead])
    assert np.isnan(tensors["twin_score"][dead])
    assert "output_score" not in tensors
    assert tensors["twin_feature"][5] == made_up.FEATURES - 6
    assert about["twin_saes"][tensors["twin_sae"][5]] == "demo:relu"


def test_the_parts_are_the_whole(client: TestClient) -> None:
    whole, _ = read_file(client.get(PATH))
    parts = [
        read_file(client.get(f"{PATH}?part={part}"))[0] for part in ("core", "tokens", "histograms")
    ]
    joined = {name: values for part in parts for name, values in part.items()}
    assert joined.keys() == whole.keys()
    for name, values in whole.items():
        np.testing.assert_array_equal(joined[name], values)


def test_an_analysis_of_a_former_version_has_columns_too(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Database(f"{server.uri}/former") as database:
        made_up.publish(database)
        with TestClient(create_app(database=database)) as client:
            today, _ = read_file(client.get(PATH))
        stored = Database.columns
        monkeypatch.setattr(
            Database,
            "columns",
            lambda self, analysis, keys=("density", "firings", "maximum", "mean"): {
                name: values
                for name, values in stored(self, analysis, keys).items()
                if name in ("density", "firings", "maximum", "mean", "contexts", "stability")
            },
        )
        monkeypatch.setattr(Database, "twins", lambda self, analysis: {})
        with TestClient(create_app(database=database)) as client:
            former, _ = read_file(client.get(PATH))
    assert former.keys() == today.keys()
    for name, values in today.items():
        np.testing.assert_array_equal(former[name], values)


def test_a_partial_analysis_says_which_features_it_is_of(server: EmbeddedServer) -> None:
    """Or it looks whole, and row 0 is taken for feature 0."""
    first, stop = 30, 90
    with Database(f"{server.uri}/partial") as database:
        with database.draft("demo:topk", made_up.CACHE, made_up.MADE_FROM) as draft:
            database.put_vocabulary(made_up.VOCABULARY, made_up.TOKENS)
            database.put_contexts(
                made_up.CACHE, np.arange(made_up.CONTEXTS), made_up.context_tokens()
            )
            draft.put_features(made_up.feature(i) for i in range(first, stop))
            draft.put_samples(s for s in made_up.samples() if first <= s.index < stop)
            columns = made_up.columns()
            draft.put_columns({name: values[first:stop] for name, values in columns.items()})
            draft.publish(made_up.sae(analysis=draft.analysis, feature_range=(first, stop)))
        with TestClient(create_app(database=database)) as client:
            tensors, about = read_file(client.get(PATH))
            assert (about["first_feature"], about["features_analyzed"]) == (first, stop - first)
            assert about["features"] == made_up.FEATURES
            assert tensors["firings"].tolist() == columns["firings"][first:stop].tolist()
            sae = client.get("/api/saes/demo:topk").json()
            assert (sae["first_feature"], sae["features_analyzed"]) == (first, stop - first)
            answer = client.get("/api/saes/demo:topk/features/5")
            assert answer.status_code == 404
            assert "features 30 to 89 were analyzed" in answer.json()["detail"]


def test_a_vocabulary_is_kept_for_ever(client: TestClient) -> None:
    answer = client.get(f"/api/vocabularies/{made_up.VOCABULARY}")
    assert answer.json() == made_up.TOKENS
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    missing = client.get(f"/api/vocabularies/{'0' * 16}")
    assert (missing.status_code, "no vocabulary" in missing.json()["detail"]) == (404, True)
