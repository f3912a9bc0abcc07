"""A feature is taken away as a file that needs no server."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from fastapi.testclient import TestClient

import lmsaes
from lmsaes.database import Database, EmbeddedServer, feature_document, feature_page
from lmsaes.errors import ConfigError, DatabaseError
from lmsaes.server.app import create_app
from tests.support import made_up_analysis as made_up

PATH = "/api/saes/demo:topk/features/5/export"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("export")


@pytest.fixture(scope="module")
def database(folder: Path) -> Iterator[Database]:
    with EmbeddedServer(folder) as server, Database(server.uri) as database:
        made_up.publish(database)
        yield database


def test_every_format_is_a_file_of_the_feature(database: Database) -> None:
    with TestClient(create_app(database=database)) as client:
        (record,) = database.saes()
        page = feature_page(database, record, 5)
        found = client.get(f"{PATH}?format=json")
        words = {"explanation": None, "note": ""}
        assert found.json() == {"analysis": record.analysis, **page, **words}
        assert 'filename="demo-topk-5.json"' in found.headers["content-disposition"]
        html = client.get(f"{PATH}?format=html").text
        shown = html.count('<p class="tokens"><small>top')
        assert shown == len(page["groups"]["top"]["contexts"]) > 0
        assert "<script" not in html
        assert "http" not in html
        assert client.get(f"{PATH}?format=vhs").status_code == 422
        dead = client.get(PATH.replace("5", str(made_up.DEAD[0])) + "?format=html")
        assert "never fires" in dead.text


def test_the_snippet_opens_the_database_that_is_served(database: Database, folder: Path) -> None:
    with Database(folder=folder) as in_folder:
        for served in (database, in_folder):
            with TestClient(create_app(database=served)) as client:
                code = client.get(f"{PATH}?format=python").text
            run: dict = {}
            exec(code, run)
            assert run["feature"] == feature_page(served, served.saes()[0], 5)


def test_the_page_that_other_pages_may_frame_is_the_exported_one(database: Database) -> None:
    with TestClient(create_app(database=database)) as client:
        found = client.get("/embed/saes/demo:topk/features/5")
        assert found.text == client.get(f"{PATH}?format=html").text
        policy = found.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src" not in policy
        assert "frame-ancestors *" in policy
        assert client.get("/embed/saes/demo:topk/features/999").status_code == 404
        assert client.get("/embed/saes/demo:topk/features/5?analysis=old").status_code == 410


def test_a_group_or_a_context_is_embedded_alone(database: Database) -> None:
    (record,) = database.saes()
    contexts = feature_page(database, record, 5)["groups"]["top"]["contexts"]
    path = "/embed/saes/demo:topk/features/5"
    with TestClient(create_app(database=database)) as client:
        group = client.get(f"{path}?group=top")
        assert group.text.count('<p class="tokens">') == len(contexts)
        one = client.get(f"{path}?context={contexts[1]['context']}")
        assert one.text.count('<p class="tokens">') == 1
        assert f"top · {contexts[1]['maximum']:.4g}" in one.text
        for wrong in ("group=strongest", "context=999999"):
            assert client.get(f"{path}?{wrong}").status_code == 404


def test_a_page_is_called_what_people_call_the_feature(database: Database) -> None:
    path = "/api/saes/demo:topk/features/6"
    said, note = {"text": "<rivers>", "author": "me"}, {"text": "see & 7", "version": 0}
    with TestClient(create_app(database=database)) as client:
        assert client.put(f"{path}/explanations", json=said).status_code == 200
        assert client.put(f"{path}/note", json=note).status_code == 200
        html = client.get(f"{path}/export?format=html").text
    for text in ("<p>&lt;rivers&gt;</p>", "<p>see &amp; 7</p>"):
        assert text in html
    assert repr(lmsaes.show("demo:topk", 6, database)).endswith(": <rivers>")


def test_what_can_not_be_seen_is_drawn() -> None:
    """A token that is nothing to the eye would be a color without a word."""
    context = {"maximum": 1.0, "tokens": ["a\u200b", "\n", "\u202e"], "activations": [1.0, 0, 0]}
    page = {"feature": 0, "sae": "a:b", "firings": 1, "maximum": 1.0, "label": "x"}
    page |= {"explanation": None, "note": "", "groups": {"top": {"contexts": [context]}}}
    html = feature_document(page, "0")
    for drawn in ("aU+200B</bdi>", "<bdi>↵\n</bdi>", "<bdi>U+202E</bdi>"):
        assert drawn in html


def test_a_notebook_draws_the_feature_as_one_element(database: Database) -> None:
    (record,) = database.saes()
    view = lmsaes.show("demo:topk", 5, database)
    page = feature_page(database, record, 5)
    assert repr(view) == f"feature 5 of demo:topk: {page['label']}"
    html = view._repr_html_()
    assert html.startswith('<div class="lmsaes-feature">')
    (styles,) = [part.split("</style>")[0] for part in html.split("<style>")[1:]]
    rules = styles.split("}")[:-1]
    # and styles nothing else of the notebook's page
    assert all(rule.startswith(".lmsaes-feature") for rule in rules)
    strongest = page["groups"]["top"]["contexts"][0]
    assert f'title="{strongest["maximum"]:.4g}"' in html
    assert lmsaes.show(record, 5, database.uri) == view
    with pytest.raises(ConfigError, match="no SAE 'demo:none'"):
        lmsaes.show("demo:none", 5, database)
    with pytest.raises(ConfigError, match="no feature 999"):
        lmsaes.show("demo:topk", 999, database)


def test_health_is_asked_without_the_database_and_readiness_with_it() -> None:
    with TestClient(create_app(database=cast(Database, _Gone()))) as client:
        assert client.get("/api/healthz").json() == {"status": "ok"}
        found = client.get("/api/readyz")
        assert (found.status_code, found.json()) == (503, {"detail": "nothing answers"})


def test_readiness_is_the_databases(database: Database) -> None:
    with TestClient(create_app(database=database)) as client:
        assert client.get("/api/readyz").json() == {"status": "ok"}


class _Gone:
    def ping(self) -> None:
        raise DatabaseError("nothing answers")
