"""Every route of the API, over a small analysis in the embedded database."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lmsaes.cli.serve import serve
from lmsaes.database.client import Database
from lmsaes.errors import ConfigError
from lmsaes.server.app import create_app
from tests.support import made_up_analysis as made_up

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with Database(folder=tmp_path_factory.mktemp("server")) as database:
        for name, run in (("demo:topk", "demo"), ("demo:relu", "demo")):
            record = made_up.sae(name, run=run)
            made_up.write(database, record)
            database.publish(record)
        yield database


@pytest.fixture(scope="module")
def client(database: Database) -> Iterator[TestClient]:
    with TestClient(create_app(database=database)) as client:
        yield client


def get(client: TestClient, path: str) -> dict:
    response = client.get(path)
    assert response.status_code == 200, response.text
    return response.json()


def test_the_list_of_dictionaries(client: TestClient) -> None:
    names = [dictionary["name"] for dictionary in get(client, "/dictionaries")]
    assert names == ["demo:relu", "demo:topk"]


def test_a_dictionary_counts_its_features_by_density(client: TestClient) -> None:
    dictionary = get(client, "/dictionaries/demo:topk")
    assert dictionary["kinds"] == {
        "ordinary": made_up.FEATURES - len(made_up.DEAD) - len(made_up.DENSE),
        "dense": len(made_up.DENSE),
        "dead": len(made_up.DEAD),
    }
    density = dictionary["density"]
    assert sum(density["counts"]) == made_up.FEATURES - len(made_up.DEAD)
    assert len(density["log10_edges"]) == len(density["counts"]) + 1
    assert dictionary["config"] == {"k": 32, "lr": 0.004}


@pytest.mark.parametrize("sort", ["density", "maximum", "mean"])
@pytest.mark.parametrize("order", ["ascending", "descending"])
def test_the_table_is_sorted_over_all_features(client: TestClient, sort: str, order: str) -> None:
    pages = [
        get(
            client,
            f"/dictionaries/demo:topk/features?sort={sort}&order={order}&offset={offset}&limit=50",
        )
        for offset in (0, 50, 100)
    ]
    rows = [row for page in pages for row in page["rows"]]
    values = [row[sort] for row in rows]
    assert values == sorted(values, reverse=order == "descending")
    assert {row["index"] for row in rows} == set(range(made_up.FEATURES))
    assert {page["total"] for page in pages} == {made_up.FEATURES}


def test_the_table_is_filtered_by_kind(client: TestClient) -> None:
    for kind, indices in (("dead", made_up.DEAD), ("dense", made_up.DENSE)):
        page = get(client, f"/dictionaries/demo:topk/features?filter={kind}")
        assert [row["index"] for row in page["rows"]] == list(indices)
        assert {row["kind"] for row in page["rows"]} == {kind}
    ordinary = get(client, "/dictionaries/demo:topk/features?filter=ordinary")
    assert ordinary["total"] == made_up.FEATURES - len(made_up.DEAD) - len(made_up.DENSE)


def test_a_row_shows_the_tokens_around_the_strongest_activation(client: TestClient) -> None:
    (row,) = get(client, "/dictionaries/demo:topk/features?offset=11&limit=1")["rows"]
    example, expected = row["example"], made_up.sample(11)
    assert max(example["activations"]) == example["activations"][example["position"]]
    assert example["activations"][example["position"]] == pytest.approx(row["maximum"], abs=1e-4)
    context = made_up.context_tokens()[expected.contexts[0]]
    at_maximum = made_up.TOKENS[context[expected.positions[0]]]
    assert example["tokens"][example["position"]] == at_maximum
    assert [weight["token"] for weight in row["promotes"]] == [
        made_up.TOKENS[token] for token, _ in made_up.feature(11).promotes[:4]
    ]


def test_a_dead_feature_has_no_example_and_no_contexts(client: TestClient) -> None:
    (row,) = get(client, "/dictionaries/demo:topk/features?offset=7&limit=1")["rows"]
    assert (row["kind"], row["example"]) == ("dead", None)
    assert get(client, "/dictionaries/demo:topk/features/7/contexts")["contexts"] == []


def test_a_feature_in_full(client: TestClient) -> None:
    feature, expected = get(client, "/dictionaries/demo:topk/features/42"), made_up.feature(42)
    for name in ("index", "firings", "density", "maximum", "mean"):
        assert feature[name] == getattr(expected, name)
    assert feature["histogram"]["counts"] == expected.histogram.tolist()
    assert [weight["id"] for weight in feature["suppresses"]] == [
        token for token, _ in expected.suppresses
    ]
    assert (feature["previous"], feature["next"]) == (41, 43)
    assert get(client, "/dictionaries/demo:topk/features/0")["previous"] is None
    assert get(client, "/dictionaries/demo:topk/features/119")["next"] is None


def test_a_random_feature_is_an_ordinary_one(client: TestClient) -> None:
    seen = [get(client, "/dictionaries/demo:topk/features/random") for _ in range(30)]
    assert {feature["kind"] for feature in seen} == {"ordinary"}
    assert len({feature["index"] for feature in seen}) > 5


def test_contexts_come_whole_and_in_order(client: TestClient) -> None:
    path = "/dictionaries/demo:topk/features/64/contexts"
    pages = [get(client, f"{path}?offset={offset}&limit=5") for offset in (0, 5, 10)]
    contexts = [context for page in pages for context in page["contexts"]]
    expected = made_up.sample(64)
    assert pages[0]["total"] == len(contexts) == made_up.TOP
    for row, context in enumerate(contexts):
        tokens = made_up.context_tokens()[expected.contexts[row]]
        assert context["tokens"] == [made_up.TOKENS[token] for token in tokens]
        np.testing.assert_allclose(context["activations"], expected.activations[row], atol=1e-4)
        assert context["position"] == expected.positions[row]
        assert context["maximum"] == max(context["activations"])


def test_a_page_asks_the_database_a_fixed_number_of_times(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    fetch = Database._fetch
    monkeypatch.setattr(
        Database, "_fetch", lambda self, where, keys: asked.append(1) or fetch(self, where, keys)
    )
    for path, most in (
        ("features/5", 1),
        ("features/5/contexts?limit=12", 2),
        ("features?limit=100", 3),
        ("features?limit=5", 3),
    ):
        with TestClient(create_app(database=database)) as client:
            get(client, "/dictionaries/demo:topk/features/0")  # reads columns and vocabulary
            asked.clear()
            get(client, f"/dictionaries/demo:topk/{path}")
            assert len(asked) == most


def test_a_new_analysis_shows_without_a_restart(tmp_path: Path) -> None:
    with (
        Database(folder=tmp_path) as database,
        TestClient(create_app(database=database)) as client,
    ):
        assert get(client, "/dictionaries") == []
        for analysis, seed in (("first", 0), ("second", 1)):
            record = made_up.sae(analysis=analysis)
            made_up.write(database, record, seed)
            database.publish(record)
            feature = get(client, "/dictionaries/demo:topk/features/5")
            assert feature["firings"] == made_up.feature(5, seed).firings


@pytest.mark.parametrize(
    ("path", "status", "detail"),
    [
        ("/dictionaries/demo:tok", 404, "no SAE 'demo:tok': there are demo:topk, demo:relu"),
        ("/dictionaries/x/features", 404, "no SAE 'x'"),
        ("/dictionaries/demo:topk/features/120", 404, "those analyzed are 0 to 119"),
        ("/dictionaries/demo:topk/features/-1", 404, "has no feature -1"),
        ("/dictionaries/demo:topk/features/5/contexts?group=x", 404, "there is top"),
        ("/dictionaries/demo:topk/features/five", 422, "index: "),
        ("/dictionaries/demo:topk/features?limit=1000", 422, "limit: "),
        ("/dictionaries/demo:topk/features?sort=name", 422, "sort: "),
        ("/nowhere", 404, "nothing is at /nowhere"),
        ("/dictionaries/%2e%2e/%2e%2e/etc/passwd", 404, "nothing is at"),
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
    for prefix in ("/", "/dictionaries/", "/dictionaries/demo:topk/features/"):
        quoted = "".join(f"%{byte:02x}" for byte in path)
        asked = "".join(f"%{byte:02x}" for byte in query)
        assert client.get(f"{prefix}{quoted}?offset={asked}").status_code < 500


def test_a_database_that_went_away_is_503(tmp_path: Path) -> None:
    database = Database(folder=tmp_path)
    with TestClient(create_app(database=database)) as client:
        pid = json.loads((tmp_path / "server.json").read_text())["pid"]
        os.kill(pid, signal.SIGKILL)
        response = client.get("/dictionaries")
        assert response.status_code == 503
        assert "database" in response.json()["detail"]
    database.close()


def test_other_sites_may_not_read_the_api(client: TestClient) -> None:
    for origin, allowed in (("http://localhost:24576", True), ("https://example.org", False)):
        headers = client.get("/about", headers={"Origin": origin}).headers
        assert ("access-control-allow-origin" in headers) == allowed


def test_the_schema_names_every_answer(client: TestClient) -> None:
    for path, methods in get(client, "/openapi.json")["paths"].items():
        for answer in methods["get"]["responses"].values():
            assert answer["content"]["application/json"]["schema"], path


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
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/about") as answer:
        assert str(tmp_path) in json.load(answer)["database"]
    os.killpg(process.pid, stop)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert "Traceback" not in output
    assert not (tmp_path / "server.json").exists()


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
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
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/dictionaries") as answer:
        assert json.load(answer) == []
    process.terminate()
    process.communicate()
    assert not (tmp_path / "server.json").exists()


def test_uvicorn_says_in_one_line_that_no_database_answers() -> None:
    address = f"mongodb://127.0.0.1:{free_port()}/x"
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
