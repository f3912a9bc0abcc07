"""A feature is taken away as a file that needs no server."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from lmsaes.database import Database, EmbeddedServer, feature_page
from lmsaes.server.app import create_app
from tests.support import made_up_analysis as made_up

PATH = "/api/saes/demo:topk/features/5/export"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with Database(folder=tmp_path_factory.mktemp("export")) as database:
        made_up.publish(database)
        yield database


def test_every_format_is_a_file_of_the_feature(database: Database) -> None:
    with TestClient(create_app(database=database)) as client:
        (record,) = database.saes()
        page = feature_page(database, record, 5)
        found = client.get(f"{PATH}?format=json")
        assert found.json() == {"analysis": record.analysis, **page}
        assert 'filename="demo-topk-5.json"' in found.headers["content-disposition"]
        html = client.get(f"{PATH}?format=html").text
        assert html.count("<p><small>top") == len(page["groups"]["top"]["contexts"])
        assert "<script" not in html
        assert "http" not in html
        assert client.get(f"{PATH}?format=vhs").status_code == 422
        dead = client.get(PATH.replace("5", str(made_up.DEAD[0])) + "?format=html")
        assert "never fires" in dead.text


def test_the_snippet_opens_the_database_that_is_served(database: Database) -> None:
    with EmbeddedServer(database.folder) as server, Database(server.uri) as by_address:
        for served in (database, by_address):
            with TestClient(create_app(database=served)) as client:
                code = client.get(f"{PATH}?format=python").text
            run: dict = {}
            exec(code, run)
            assert run["feature"] == feature_page(served, served.saes()[0], 5)
