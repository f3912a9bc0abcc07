"""While an analysis is replaced nothing false is answered: no torn page, none that looks dead."""

from collections.abc import Iterator

import numpy as np
import pytest
from fastapi.testclient import TestClient

from lmsaes.database import Database, EmbeddedServer, SAERecord
from lmsaes.server.app import create_app
from tests.support import made_up_analysis as made_up
from tests.support.safetensors_files import read_file

OF_AN_ANALYSIS = (
    "columns",
    "features?limit=3",
    "features/5",
    "features/5/contexts",
    f"features/5/contexts/{made_up.sample(5).contexts[0]}",
)


@pytest.fixture
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with (
        EmbeddedServer(tmp_path_factory.mktemp("replaced")) as server,
        Database(server.uri) as database,
    ):
        yield database


def asked(path: str, analysis: str) -> str:
    return f"/api/saes/demo:topk/{path}{'&' if '?' in path else '?'}analysis={analysis}"


def test_no_page_is_of_two_analyses(database: Database) -> None:
    """Who names an analysis gets that one or is told that it is gone."""
    first = made_up.publish(database)
    with TestClient(create_app(database=database)) as client:
        for path in OF_AN_ANALYSIS:
            answer = client.get(asked(path, first.analysis))
            assert answer.status_code == 200
            assert "immutable" in answer.headers["cache-control"]
        second = made_up.publish(database, seed=1)
        for path in OF_AN_ANALYSIS[:-1]:
            gone = client.get(asked(path, first.analysis))
            assert (gone.status_code, "no longer there" in gone.json()["detail"]) == (410, True)
            assert "immutable" not in gone.headers.get("cache-control", "")
            assert client.get(asked(path, second.analysis)).status_code == 200
        tensors, about = read_file(client.get("/api/saes/demo:topk/columns"))
        assert about["analysis"] == second.analysis
        np.testing.assert_array_equal(tensors["firings"], made_up.columns(1)["firings"])


def test_without_an_analysis_in_the_address_nothing_is_kept_as_if_it_never_changed(
    database: Database,
) -> None:
    made_up.publish(database)
    with TestClient(create_app(database=database)) as client:
        for path in OF_AN_ANALYSIS[1:]:
            answer = client.get(f"/api/saes/demo:topk/{path}")
            assert "immutable" not in answer.headers.get("cache-control", "")


def test_a_live_feature_is_not_called_dead_while_its_analysis_is_dropped(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A group that is gone is not an empty one."""
    record = made_up.publish(database)
    with TestClient(create_app(database=database)) as client:
        client.get("/api/saes/demo:topk/columns")
        read, done = Database.samples, list[str]()

        def after_a_replacement(
            self: Database, analysis: str, indices: list[int], group: str = "top"
        ) -> dict:
            if not done:
                done.append(analysis)
                made_up.publish(database, seed=1)
            return read(self, analysis, indices, group)

        monkeypatch.setattr(Database, "samples", after_a_replacement)
        for path in ("features/5/contexts", "features?limit=3"):
            done.clear()
            answer = client.get(f"/api/saes/demo:topk/{path}")
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert "is being replaced" in answer.json()["detail"]
            again = client.get(f"/api/saes/demo:topk/{path}")
            assert again.status_code == 200
        assert done != [record.analysis]


def test_a_row_of_the_list_is_not_shown_without_its_example_while_it_is_replaced(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_up.publish(database)
    monkeypatch.setattr(Database, "samples", lambda *_: {})
    with TestClient(create_app(database=database)) as client:
        assert client.get("/api/saes/demo:topk/features?limit=3").status_code == 503


def test_contexts_that_are_missing_for_good_are_no_replacement(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_up.publish(database)
    monkeypatch.setattr(Database, "samples", lambda *_: {})
    with TestClient(create_app(database=database)) as client:
        answer = client.get("/api/saes/demo:topk/features/5/contexts")
        assert answer.status_code == 503
        assert (
            "contexts of feature 5 of 'demo:topk' are missing (analyze" in answer.json()["detail"]
        )
        dead = client.get(f"/api/saes/demo:topk/features/{made_up.DEAD[0]}/contexts")
        assert dead.status_code == 200


def test_columns_of_two_analyses_are_never_mixed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record is read, then it is replaced, then the columns are read."""
    published = [made_up.publish(database).analysis]
    find = Database.sae

    def then_replaced(self: Database, name: str) -> SAERecord | None:
        found = find(self, name)
        if found is not None:
            monkeypatch.setattr(Database, "sae", find)
            published.append(made_up.publish(database, seed=1).analysis)
        return found

    with TestClient(create_app(database=database)) as client:
        monkeypatch.setattr(Database, "sae", then_replaced)
        answer = client.get(asked("columns", published[0]))
        assert answer.status_code == 410, published
        assert client.get(asked("columns", published[0])).status_code == 410
