"""Promises of the API, over a small analysis in the embedded database."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo import MongoClient

from lmsaes.cli.serve import serve
from lmsaes.database import Database, EmbeddedServer, connection
from lmsaes.database.connection import Connection
from lmsaes.errors import ConfigError
from lmsaes.server.app import create_app
from lmsaes.server.viewer import mount_viewer
from tests.support import made_up_analysis as made_up

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture(scope="module")
def database(server: EmbeddedServer) -> Iterator[Database]:
    with Database(f"{server.uri}/shared") as database:
        for name, run in (("demo:topk", "demo"), ("demo:relu", "demo")):
            made_up.publish(database, name, run=run)
        yield database


@pytest.fixture(scope="module")
def client(database: Database) -> Iterator[TestClient]:
    with TestClient(create_app(database=database)) as client:
        yield client


def get(client: TestClient, path: str) -> dict:
    response = client.get(path)
    assert response.status_code == 200, response.text
    return response.json()


def test_saes_are_listed_by_name(client: TestClient) -> None:
    assert [sae["name"] for sae in get(client, "/api/saes")] == ["demo:relu", "demo:topk"]


def test_former_addresses_of_the_api_lead_to_todays(client: TestClient) -> None:
    for former, today in (
        ("/dictionaries", "/api/saes"),
        ("/dictionaries/demo:topk/features?sort=maximum&limit=3",
         "/api/saes/demo:topk/features?sort=maximum&limit=3"),
    ):  # fmt: skip
        assert get(client, former) == get(client, today)


def test_an_sae_counts_its_features_by_density(client: TestClient) -> None:
    sae = get(client, "/api/saes/demo:topk")
    assert sae["density_classes"] == {
        "regular": made_up.FEATURES - len(made_up.DEAD) - len(made_up.DENSE),
        "dense": len(made_up.DENSE),
        "dead": len(made_up.DEAD),
    }
    density = sae["density"]
    assert sum(density["counts"]) == made_up.FEATURES - len(made_up.DEAD)
    assert len(density["log10_edges"]) == len(density["counts"]) + 1
    assert sae["config"] == {"k": 32, "lr": 0.004}


@pytest.mark.parametrize("sort", ["density", "maximum", "mean"])
@pytest.mark.parametrize("order", ["ascending", "descending"])
def test_the_table_is_sorted_over_all_features(client: TestClient, sort: str, order: str) -> None:
    pages = [
        get(
            client,
            f"/api/saes/demo:topk/features?sort={sort}&order={order}&offset={offset}&limit=50",
        )
        for offset in (0, 50, 100)
    ]
    rows = [row for page in pages for row in page["rows"]]
    values = [row[sort] or 0 for row in rows]  # a dead feature has no mean
    assert values == sorted(values, reverse=order == "descending")
    assert {row["index"] for row in rows} == set(range(made_up.FEATURES))
    assert {page["total"] for page in pages} == {made_up.FEATURES}


def test_the_table_is_filtered_by_density_class(client: TestClient) -> None:
    for density_class, indices in (("dead", made_up.DEAD), ("dense", made_up.DENSE)):
        page = get(client, f"/api/saes/demo:topk/features?filter={density_class}")
        assert [row["index"] for row in page["rows"]] == list(indices)
        assert {row["density_class"] for row in page["rows"]} == {density_class}
    regular = get(client, "/api/saes/demo:topk/features?filter=regular")
    assert regular["total"] == made_up.FEATURES - len(made_up.DEAD) - len(made_up.DENSE)


def test_a_row_shows_the_tokens_around_the_strongest_activation(client: TestClient) -> None:
    (row,) = get(client, "/api/saes/demo:topk/features?offset=11&limit=1")["rows"]
    example, expected = row["example"], made_up.sample(11)
    assert max(example["activations"]) == example["activations"][example["position"]]
    assert example["activations"][example["position"]] == pytest.approx(row["maximum"], abs=1e-4)
    context = made_up.context_tokens()[expected.contexts[0]]
    at_maximum = made_up.TOKENS[context[expected.positions[0]]]
    assert example["tokens"][example["position"]] == at_maximum
    assert [weight["token"] for weight in row["promotes"]] == [
        made_up.TOKENS[token] for token, _ in made_up.feature(11).promotes[:4]
    ]


def test_a_dead_feature_has_no_example(client: TestClient) -> None:
    (row,) = get(client, "/api/saes/demo:topk/features?offset=7&limit=1")["rows"]
    assert (row["density_class"], row["example"]) == ("dead", None)


def test_a_feature_is_shown_as_it_was_analyzed(client: TestClient) -> None:
    feature, expected = get(client, "/api/saes/demo:topk/features/42"), made_up.feature(42)
    for name in ("index", "firings", "density", "maximum", "mean"):
        assert feature[name] == getattr(expected, name)
    assert feature["histogram"]["counts"] == expected.histogram.tolist()
    assert [weight["id"] for weight in feature["suppresses"]] == [
        token for token, _ in expected.suppresses
    ]
    assert (feature["previous"], feature["next"]) == (41, 43)
    assert get(client, "/api/saes/demo:topk/features/0")["previous"] is None
    assert get(client, "/api/saes/demo:topk/features/119")["next"] is None


def test_a_random_feature_is_neither_dense_nor_dead(client: TestClient) -> None:
    seen = [get(client, "/api/saes/demo:topk/features/random") for _ in range(30)]
    assert {feature["density_class"] for feature in seen} == {"regular"}
    assert len({feature["index"] for feature in seen}) > 5


def test_a_page_costs_a_fixed_number_of_queries(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries: list[int] = []
    fetch = Connection.fetch
    monkeypatch.setattr(
        Connection, "fetch", lambda self, where, keys: queries.append(1) or fetch(self, where, keys)
    )
    for path, most in (
        ("features/5", 1),
        ("features/5/contexts?limit=12", 3),
        ("features?limit=100", 3),
        ("features?limit=5", 3),
    ):
        with TestClient(create_app(database=database)) as client:
            get(client, "/api/saes/demo:topk/features/0")  # reads columns and vocabulary
            queries.clear()
            assert client.get(f"/api/saes/demo:topk/{path}").status_code == 200
            assert len(queries) == most


def test_what_was_not_measured_is_null(server: EmbeddedServer) -> None:
    with (
        Database(f"{server.uri}/unmeasured") as database,
        TestClient(create_app(database=database)) as client,
    ):
        record = made_up.publish(database, fvu=None, l0=None)
        for sae in (*get(client, "/api/saes"), get(client, "/api/saes/demo:topk")):
            assert (sae["fvu"], sae["l0"], sae["ce_recovered"]) == (None, None, None)
        assert get(client, f"/api/saes/demo:topk/features/{made_up.DEAD[0]}")["mean"] is None
        database.set_evaluation(record.sae_hash, {"fvu": 0.2, "fvu_se": 0.01, "l0": None})
        (sae,) = get(client, "/api/saes")
        assert (sae["fvu"], sae["fvu_error"]) == (0.2, 0.01)
        assert (sae["l0"], sae["l0_error"], sae["ce_recovered_error"]) == (None, None, None)


def test_a_new_analysis_shows_without_a_restart(server: EmbeddedServer) -> None:
    with (
        Database(f"{server.uri}/restart") as database,
        TestClient(create_app(database=database)) as client,
    ):
        assert get(client, "/api/saes") == []
        for seed in (0, 1):
            made_up.publish(database, seed=seed)
            feature = get(client, "/api/saes/demo:topk/features/5")
            assert feature["firings"] == made_up.feature(5, seed).firings


def test_a_record_that_can_not_be_read_hides_no_other(server: EmbeddedServer) -> None:
    with (
        Database(f"{server.uri}/unreadable") as database,
        TestClient(create_app(database=database)) as client,
        MongoClient[dict[str, object]](database.uri) as mongo,
    ):
        assert get(client, "/api/unreadable") == []
        for name in ("demo:newer", "demo:topk"):
            made_up.publish(database, name)
        saes = mongo.get_default_database()["saes"]
        saes.update_one({"_id": "demo:newer"}, {"$set": {"schema_version": 3}})
        assert [sae["name"] for sae in get(client, "/api/saes")] == ["demo:topk"]
        assert get(client, "/api/unreadable") == [
            {
                "name": "demo:newer",
                "problem": "schema 3: needs a newer lmsaes",
                "hint": "update lmsaes, or remove it with: lmsaes db rm demo:newer",
            }
        ]
        answer = client.get("/api/saes/demo:newer/features/5")
        assert answer.status_code == 404
        assert "schema 3: needs a newer lmsaes" in answer.json()["detail"]


def test_an_embedded_database_that_was_killed_is_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection._TIMEOUTS, "serverSelectionTimeoutMS", 300)
    with (
        Database(folder=tmp_path) as database,
        TestClient(create_app(database=database)) as client,
    ):
        made_up.publish(database)
        before = get(client, "/api/saes/demo:topk/features/5")
        pid = json.loads((tmp_path / "server.json").read_text())["pid"]
        os.kill(pid, signal.SIGKILL)
        answers: list[int] = []
        while not answers or answers[-1] != 200:
            answer = client.get("/api/saes/demo:topk/features/5")
            answers.append(answer.status_code)
            if answer.status_code != 200:
                assert answer.status_code == 503
                assert "does not answer" in answer.json()["detail"]
                assert "\n" not in answer.json()["detail"]
        assert len(answers) < 10
        assert answer.json() == before


@pytest.mark.parametrize(
    ("path", "status", "detail"),
    [
        ("/api/saes/demo:tok", 404, "no SAE 'demo:tok': there are demo:topk, demo:relu"),
        ("/api/saes/x/features", 404, "no SAE 'x'"),
        ("/api/saes/demo:topk/features/120", 404, "features 0 to 119 were analyzed"),
        ("/api/saes/demo:topk/features/-1", 404, "has no feature -1"),
        ("/api/saes/demo:topk/features/5/contexts?group=x", 404, "groups are top"),
        ("/api/saes/demo:topk/features/five", 422, "index: "),
        ("/api/saes/demo:topk/features?limit=1000", 422, "limit: "),
        ("/api/saes/demo:topk/features?sort=name", 422, "sort: "),
        ("/nowhere", 404, "nothing is at /nowhere"),
        ("/api/nowhere", 404, "nothing is at /api/nowhere"),
        ("/api/saes/%2e%2e/%2e%2e/etc/passwd", 404, "nothing is at"),
    ],
)
def test_errors_are_one_line_that_says_what_exists(
    client: TestClient, path: str, status: int, detail: str
) -> None:
    response = client.get(path)
    assert response.status_code == status
    assert detail in response.json()["detail"]
    assert "\n" not in response.json()["detail"]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.binary(max_size=40), query=st.binary(max_size=20))
def test_no_bytes_crash_it(client: TestClient, path: bytes, query: bytes) -> None:
    for prefix in ("/", "/api/saes/", "/api/saes/demo:topk/features/"):
        quoted = "".join(f"%{byte:02x}" for byte in path)
        asked = "".join(f"%{byte:02x}" for byte in query)
        assert client.get(f"{prefix}{quoted}?offset={asked}").status_code < 500


def test_a_database_that_went_away_is_503(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path) as server:
        database = Database(f"{server.uri}/?serverSelectionTimeoutMS=100")
    with database, TestClient(create_app(database=database)) as client:
        response = client.get("/api/saes")
        assert response.status_code == 503
        assert response.json()["detail"].startswith("no database answers at 127.0.0.1")


def test_about_says_how_commands_reach_the_database_without_credentials(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Database(f"{server.uri}/shared?appName=secret") as database:
        about = serving(database)
        assert about["database_uri"] == f"{server.uri}/shared"
        assert about["database_folder"] is None
    monkeypatch.setenv("LMSAES_DB", "")
    monkeypatch.setenv("LMSAES_DB_FOLDER", str(server.folder))
    with Database() as database:
        about = serving(database)
        assert about["database_uri"] is None
        assert about["database_folder"] == str(server.folder)
        assert about["database"] == f"embedded in {server.folder}"
        monkeypatch.setattr("lmsaes.server.app.default_folder", lambda: server.folder)
        assert serving(database)["database_folder"] is None


def serving(database: Database) -> dict:
    with TestClient(create_app(database=database)) as client:
        return get(client, "/api/about")


def test_browsers_get_the_viewer_at_its_pages_and_data_from_the_api(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("the viewer")
    app = FastAPI()
    mount_viewer(app, tmp_path)
    client = TestClient(app)
    browser, program = {"Accept": "text/html,*/*"}, {"Accept": "application/json"}
    assert client.get("/saes/demo:topk", headers=browser).text == "the viewer"
    assert client.get("/saes/demo:topk", headers=program).status_code == 404
    assert client.get("/api/nowhere", headers=browser).status_code == 404


def test_other_sites_may_not_read_the_api(client: TestClient) -> None:
    for origin, allowed in (("http://localhost:24576", True), ("https://example.org", False)):
        headers = client.get("/api/about", headers={"Origin": origin}).headers
        assert ("access-control-allow-origin" in headers) == allowed


def test_the_documentation_lists_every_route(client: TestClient) -> None:
    text = (REPOSITORY / "docs" / "server.md").read_text()
    for path in get(client, "/api/openapi.json")["paths"]:
        assert f"| `{path}` |" in text


def test_the_schema_describes_every_answer(client: TestClient) -> None:
    for path, methods in get(client, "/api/openapi.json")["paths"].items():
        for method in methods.values():
            for answer in method["responses"].values():
                (content,) = answer["content"].values()
                assert content["schema"], path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "LMSAES_DB_FOLDER": str(folder), "LMSAES_DB": ""}


SERVE = "import typer; from lmsaes.cli.serve import serve; typer.run(serve)"


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_serve_says_where_and_stops_cleanly(tmp_path: Path, stop: signal.Signals) -> None:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-uc", SERVE, "--port", str(port)],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    lines = iter(process.stdout.readline, "")
    assert any(f"http://127.0.0.1:{port}" in line for line in lines)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/about") as answer:
        assert str(tmp_path) in json.load(answer)["database"]
    os.killpg(process.pid, stop)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert "Traceback" not in output
    assert not (tmp_path / "server.json").exists()


def test_a_port_that_is_taken_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"can't listen on 127.0.0.1:{port}: address already"):
            serve(port=port, host="127.0.0.1")


def test_uvicorn_finds_the_application_in_the_repository(tmp_path: Path) -> None:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "server.app:app", "--port", str(port)],
        cwd=REPOSITORY,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    lines = iter(process.stdout.readline, "")
    assert any("running on" in line for line in lines)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/saes") as answer:
        assert json.load(answer) == []
    process.terminate()
    process.communicate()
    assert not (tmp_path / "server.json").exists()


def test_uvicorn_says_in_one_line_that_no_database_answers() -> None:
    address = f"mongodb://127.0.0.1:{free_port()}/x?serverSelectionTimeoutMS=100"
    nowhere = {**os.environ, "LMSAES_DB": address, "LMSAES_DB_FOLDER": ""}
    found = subprocess.run(
        [sys.executable, "-m", "uvicorn", "server.app:app", "--port", str(free_port())],
        cwd=REPOSITORY,
        env=nowhere,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode != 0
    assert "no database answers at 127.0.0.1" in found.stderr
    assert "Traceback" not in found.stderr
