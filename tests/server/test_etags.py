"""What has not changed does not travel again."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from lmsaes.database import Database, EmbeddedServer
from lmsaes.server.app import create_app
from tests.support import made_up_analysis as made_up

SAE = "/api/saes/demo:topk"
MAY_CHANGE = (
    *("/api/saes", SAE, f"{SAE}/explanations", f"{SAE}/notes", f"{SAE}/features/5", "/api/lists"),
    f"{SAE}/features/5/contexts",  # bytes too
)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with (
        EmbeddedServer(tmp_path_factory.mktemp("etags")) as server,
        Database(server.uri) as database,
    ):
        made_up.publish(database)
        with TestClient(create_app(database=database)) as client:
            yield client


@pytest.mark.parametrize("path", MAY_CHANGE)
@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_what_is_known_is_not_sent_again(client: TestClient, path: str, encoding: str) -> None:
    headers = {"Accept-Encoding": encoding}
    first = client.get(path, headers=headers)
    tag = first.headers["etag"]
    assert first.headers["cache-control"] == "no-cache"
    again = client.get(path, headers={**headers, "If-None-Match": f'"older", {tag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert "content-encoding" not in again.headers
    other = client.get(path, headers={**headers, "If-None-Match": 'W/"other"'})
    assert (other.status_code, other.content) == (200, first.content)
    assert client.head(path, headers={**headers, "If-None-Match": tag}).status_code == 304


def test_what_has_changed_is_sent(client: TestClient) -> None:
    path = f"{SAE}/explanations"
    tag = client.get(path).headers["etag"]
    body = {"text": "rivers", "author": "me"}
    assert client.put(f"{SAE}/features/5/explanations", json=body).status_code == 200
    answer = client.get(path, headers={"If-None-Match": tag})
    assert (answer.status_code, answer.headers["etag"] != tag) == (200, True)


def test_what_never_changes_and_what_may_not_be_kept_have_no_tag(client: TestClient) -> None:
    analysis = client.get(SAE).json()["analysis"]
    for path in (f"{SAE}/features/5?analysis={analysis}", f"{SAE}/features/random"):
        assert "etag" not in client.get(path).headers
    missing = client.get(f"{SAE}/features/9999")
    assert (missing.status_code, "etag" in missing.headers) == (404, False)
