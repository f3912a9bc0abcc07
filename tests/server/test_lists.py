"""Lists of features: kept without accounts, never lost to somebody else's change."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from lmsaes.database import Database, EmbeddedServer
from lmsaes.server.app import create_app
from tests.support import made_up_analysis as made_up

ADDRESS = "http://127.0.0.1:24577"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with (
        EmbeddedServer(tmp_path_factory.mktemp("lists")) as server,
        Database(server.uri) as database,
    ):
        made_up.publish(database)
        with TestClient(create_app(database=database), ADDRESS) as client:
            yield client


def test_a_list_goes_out_and_in_as_a_file(client: TestClient) -> None:
    entry = {"sae": "demo:topk", "feature": 0, "note": "the first"}
    made = client.post("/api/lists", json={"name": "Rivers", "features": [entry]})
    assert made.status_code == 201
    file = client.get(f"/api/lists/{made.json()['id']}").json()
    assert file == made.json()
    assert file["features"] == [entry]
    copy = client.post("/api/lists", json=file).json()  # its own file, taken as a new list
    assert copy["features"] == file["features"]
    assert copy["id"] != file["id"]
    assert [each["name"] for each in client.get("/api/lists").json()] == ["Rivers", "Rivers"]
    for each in (copy, file):
        assert client.delete(f"/api/lists/{each['id']}").json() == each
        assert client.get(f"/api/lists/{each['id']}").status_code == 404
    assert client.get("/api/lists").json() == []


def test_of_two_changes_at_once_the_second_is_told(client: TestClient) -> None:
    """Or an entry that one page added is lost when another page adds its own."""
    seen = client.post("/api/lists", json={"name": "two"}).json()
    path = f"/api/lists/{seen['id']}"

    def with_feature(feature: int) -> dict:
        return {**seen, "features": [{"sae": "demo:topk", "feature": feature}]}

    first = client.put(path, json=with_feature(1))
    assert (first.status_code, first.json()["version"]) == (200, 2)
    second = client.put(path, json=with_feature(2))
    assert (second.status_code, "changed meanwhile" in second.json()["detail"]) == (409, True)
    assert client.get(path).json()["features"][0]["feature"] == 1


@pytest.mark.parametrize(
    "wrong",
    [{"name": ""}, {"name": "x", "features": [{"sae": "a:b", "feature": -1}]}, {"features": []}],
)
def test_what_is_no_list_is_one_line(client: TestClient, wrong: dict) -> None:
    answer = client.post("/api/lists", json=wrong)
    assert answer.status_code == 422
    assert "\n" not in answer.json()["detail"]


def test_all_labels_of_an_sae_come_in_one_answer(client: TestClient) -> None:
    for text in ("rivers", "rivers and lakes"):
        for feature in (0, 5):
            path = f"/api/saes/demo:topk/features/{feature}/explanations"
            assert client.put(path, json={"text": text, "author": "me"}).status_code == 200
    client.put("/api/saes/demo:topk/features/5/explanations", json={"text": "", "author": "me"})
    said = client.get("/api/saes/demo:topk/explanations")
    assert said.json()["explanations"] == [
        {"feature": 0, "text": "rivers and lakes", "author": "me", "by_model": False}
    ]


@pytest.mark.parametrize("origin", ["https://example.org", "http://127.0.0.1:8888", "null"])
def test_pages_of_other_origins_may_not_write(client: TestClient, origin: str) -> None:
    headers = {"Origin": origin}
    for method, path in (
        ("POST", "/api/lists"),
        ("PUT", "/api/saes/demo:topk/features/1/explanations"),
        ("POST", "/api/steer"),
    ):
        body = {"name": "theirs", "text": "theirs", "author": "them"}
        answer = client.request(method, path, json=body, headers=headers)
        assert (answer.status_code, "may not write" in answer.json()["detail"]) == (403, True)
    assert "theirs" not in client.get("/api/lists").text


def test_the_viewers_own_pages_may_write(client: TestClient) -> None:
    for origin in (ADDRESS, "http://localhost:24576"):
        made = client.post("/api/lists", json={"name": "own"}, headers={"Origin": origin})
        assert made.status_code == 201
        client.delete(f"/api/lists/{made.json()['id']}")
