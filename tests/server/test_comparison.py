"""SAEs beside each other over HTTP: twins, and how trainings went."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from lmsaes.database import Database, EmbeddedServer, TrainingCurves
from lmsaes.server.app import create_app
from tests.support import made_up_analysis as made_up


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("comparison")
    with EmbeddedServer(folder) as server, Database(f"{server.uri}/compared") as database:
        made_up.publish(database, "demo:relu")
        curves = TrainingCurves([50, 100], {"fvu": [0.5, None], "tokens": [100.0, 200.0]})
        with database.draft("demo:topk", made_up.CACHE, made_up.MADE_FROM) as draft:
            made_up.write(database, draft)
            draft.put_metrics(curves)
            draft.publish(made_up.sae("demo:topk", analysis=draft.analysis))
        made_up.publish(database, "demo:early", hook="blocks.0.hook_resid_post")
        with TestClient(create_app(database=database, model="none")) as client:
            yield client


def test_features_stand_beside_their_twins(client: TestClient) -> None:
    found = client.get("/api/compare", params={"a": "demo:topk", "b": "demo:relu"}).json()
    matches = found["a_in_b"]
    alive = [i for i in range(made_up.FEATURES) if i not in made_up.DEAD]
    assert matches["feature"] == alive
    assert matches["partner"] == [made_up.FEATURES - 1 - i for i in alive]
    assert set(matches["cosine"]) == {0.75}
    # what was not measured is null, and no number beside it
    assert [i for i, r in zip(alive, matches["correlation"], strict=True) if r is None] == [1]
    assert all(matches["mutual"])
    # the other one was analyzed before this one was there
    assert found["b_in_a"] is None


def test_only_saes_of_one_hook_are_compared(client: TestClient) -> None:
    answer = client.get("/api/compare", params={"a": "demo:topk", "b": "demo:early"})
    assert answer.status_code == 422
    assert "compare SAEs of one hook" in answer.json()["detail"]
    missing = client.get("/api/compare", params={"a": "demo:topk", "b": "demo:none"})
    assert missing.status_code == 404


def test_how_a_training_went_and_nothing_where_it_is_not_known(client: TestClient) -> None:
    found = client.get("/api/saes/demo:topk/metrics").json()
    assert found["step"] == [50, 100]
    assert found["series"] == {"fvu": [0.5, None], "tokens": [100.0, 200.0]}
    unknown = client.get("/api/saes/demo:relu/metrics").json()
    assert (unknown["step"], unknown["series"]) == ([], {})
