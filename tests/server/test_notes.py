"""Notes on features: kept without accounts, never lost to somebody else's, files in and out."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from lmsaes.database import Database, EmbeddedServer
from lmsaes.server.app import create_app
from tests.support import made_up_analysis as made_up

NOTES = "/api/saes/demo:topk/notes"
NOTE = "/api/saes/demo:topk/features/0/note"


@pytest.fixture
def client(server: EmbeddedServer, request: pytest.FixtureRequest) -> Iterator[TestClient]:
    with Database(f"{server.uri}/{request.node.name[:30]}") as database:
        made_up.publish(database)
        made_up.publish(database, "demo:other", sae_hash="5f3a0")
        with TestClient(create_app(database=database)) as client:
            yield client


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path_factory.mktemp("notes")) as server:
        yield server


def keep(client: TestClient, text: str, version: int, path: str = NOTE) -> int:
    return client.put(path, json={"text": text, "version": version}).status_code


def test_a_note_is_kept_changed_and_taken_away(client: TestClient) -> None:
    assert client.get(NOTE).json() == {"feature": 0, "text": "", "version": 0, "changed": None}
    assert keep(client, "see 5\nand 7", 0) == 200
    kept = client.get(NOTE).json()
    assert (kept["text"], kept["version"]) == ("see 5\nand 7", 1)
    assert kept["changed"].endswith("Z")
    # of two who saw the same, the second is told
    assert keep(client, "mine", 1) == 200
    assert keep(client, "theirs", 1) == 409
    assert keep(client, "theirs", 0) == 409
    assert client.get(NOTE).json()["text"] == "mine"
    assert keep(client, "", 2) == 200
    assert client.get(NOTES).json() == {"sae": "demo:topk", "notes": []}


def test_notes_go_out_and_in_as_a_file(client: TestClient) -> None:
    keep(client, "rivers", 0)
    keep(client, "numbers", 0, NOTE.replace("/0/", "/10/"))
    keep(client, "lakes", 0, NOTE.replace("/0/", "/9/"))
    file = client.get(NOTES).json()
    assert file["notes"] == [
        {"feature": 0, "text": "rivers"},
        {"feature": 9, "text": "lakes"},
        {"feature": 10, "text": "numbers"},
    ]
    other = "/api/saes/demo:other/notes"
    assert client.get(other).json()["notes"] == []  # whose hash begins with the same digits
    assert client.post(other, json=file).json()["notes"] == file["notes"]
    assert client.post(other, json=file).json()["notes"] == file["notes"]  # again changes nothing
    more = {"notes": [{"feature": 9, "text": "and ponds"}]}
    assert client.post(other, json=more).json()["notes"][1]["text"] == "lakes\nand ponds"


@pytest.mark.parametrize("wrong", [{}, {"notes": [{"feature": -1, "text": ""}]}, {"notes": 3}])
def test_what_is_no_file_of_notes_is_one_line(client: TestClient, wrong: dict) -> None:
    answer = client.post(NOTES, json=wrong)
    assert answer.status_code == 422
    assert "\n" not in answer.json()["detail"]


def test_a_note_on_a_feature_that_is_not_there_changes_nothing(client: TestClient) -> None:
    file = {"notes": [{"feature": 1, "text": "x"}, {"feature": 9999, "text": "y"}]}
    assert client.post(NOTES, json=file).status_code == 404
    assert client.get(NOTES).json()["notes"] == []
    assert client.get(NOTE.replace("/0/", "/9999/")).status_code == 404
