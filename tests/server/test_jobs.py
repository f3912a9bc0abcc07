"""Explanations as jobs: one at a time, cancelled, bounded, and kept after their end."""

import threading
import time

import pytest
from fastapi.testclient import TestClient

from lmsaes import Database
from lmsaes.database import EmbeddedServer
from lmsaes.errors import ConfigError
from lmsaes.explain import ExplainConfig
from lmsaes.server import jobs as jobs_module
from lmsaes.server.app import create_app
from lmsaes.server.settings import Settings, explainer_of
from tests.support import made_up_analysis as made_up
from tests.support.chat_server import Reply, chat_server

pytest.importorskip("openai")

NAME = "demo:topk"


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    with EmbeddedServer(tmp_path_factory.mktemp("db")) as server, Database(server.uri) as database:
        made_up.publish(database, NAME)
        yield database


class Gate:
    """Answers with a label, each question only when it is let through."""

    def __init__(self) -> None:
        self.open, self.asked = threading.Event(), threading.Event()

    def __call__(self, _):
        self.asked.set()
        self.open.wait()
        return "LABEL: ships"


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.open.set()


def serving(database, server, **how):
    config = ExplainConfig.of(
        {"sae": "", "endpoint": server.address, "explainer": "rule", "parallel": 1, **how}
    )
    return TestClient(create_app(database=database, model="none", explain=config))


def start(client, status=202, **asked):
    response = client.post(f"/api/saes/{NAME}/explain", json={"start": 0, "stop": 8, **asked})
    assert response.status_code == status, response.text
    return response.json()


def ended(client, job):
    while not (found := client.get(f"/api/jobs/{job['id']}").json())["ended"]:
        time.sleep(0.01)
    return found


def labels(database):
    return database.explanations.current(database.sae(NAME).sae_hash, range(8))


def test_a_job_writes_labels_and_another_finds_them(database):
    with chat_server(lambda _: "LABEL: names of ships") as server, serving(database, server) as c:
        assert c.get("/api/about").json()["explainer"] == "rule"
        first = start(c)
        assert (first["state"], first["sae"], first["explainer"]) == ("waiting", NAME, "rule")
        done = ended(c, first)
        assert (done["state"], done["detail"], done["unfinished"]) == ("done", None, 0)
        assert done["written"] == done["requests"] == len(server.requests) > 1
        assert (done["what"], done["done"]) == ("labels", done["total"])
        found = labels(database)
        assert {each.text for each in found.values()} == {"names of ships"}
        assert len(found) == done["written"]
        again = ended(c, start(c))
        assert (again["state"], again["written"], again["requests"]) == ("done", 0, 0)
        assert [each["id"] for each in c.get("/api/jobs").json()] == [again["id"], first["id"]]


def test_one_runs_at_a_time_and_both_kinds_are_cancelled(database, gate):
    with chat_server(gate) as server, serving(database, server, explainer="other") as c:
        running, waiting = start(c), start(c)
        gate.asked.wait()
        assert c.get(f"/api/jobs/{running['id']}").json()["state"] == "running"
        assert c.get(f"/api/jobs/{waiting['id']}").json()["state"] == "waiting"
        assert c.post(f"/api/jobs/{waiting['id']}/cancel").json()["state"] == "cancelled"
        assert c.post(f"/api/jobs/{running['id']}/cancel").json()["state"] == "running"
        gate.open.set()
        done = ended(c, running)
        assert (done["state"], done["written"], done["requests"]) == ("cancelled", 1, 1)
        assert done["unfinished"] > 0
        # what ended stays as it is
        assert c.post(f"/api/jobs/{running['id']}/cancel").json() == done
    assert len(server.requests) == 1


def test_no_more_wait_than_may(database, gate, monkeypatch):
    monkeypatch.setattr(jobs_module, "UNFINISHED", 2)
    with chat_server(gate) as server, serving(database, server, explainer="third") as c:
        jobs = [start(c), start(c)]
        assert "2 jobs run or wait" in start(c, 409)["detail"]
        for job in jobs:
            c.post(f"/api/jobs/{job['id']}/cancel")
        gate.open.set()
        for job in jobs:
            ended(c, job)
        start(c)


def test_a_server_that_ends_stops_its_jobs(database, gate):
    with chat_server(gate) as server:
        with serving(database, server, explainer="fourth") as c:
            job, waiting = start(c), start(c)
            gate.asked.wait()
            jobs = c.app.state.jobs
            threading.Timer(0.1, gate.open.set).start()
        assert [jobs.get(j["id"]).state for j in (job, waiting)] == ["cancelled", "cancelled"]
        assert len(server.requests) == 1
        with serving(database, server) as c:
            gone = c.get(f"/api/jobs/{job['id']}")
            assert (gone.status_code, c.get("/api/jobs").json()) == (404, [])
            assert "jobs end with the server" in gone.json()["detail"]


def test_a_job_that_fails_says_why_without_the_key(database, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    refusal = Reply(401, '{"error": {"message": "wrong key sk-very-secret"}}')
    with chat_server(lambda _: refusal) as server, serving(database, server, explainer="f") as c:
        failed = ended(c, start(c))
    assert failed["state"] == "failed"
    assert "refuses" in failed["detail"]
    assert "secret" not in failed["detail"]


@pytest.mark.parametrize(
    ("asked", "status", "words"),
    [
        ({"start": 5, "stop": 5}, 422, "has no features 5 to 5"),
        ({"start": 0, "stop": 10**6}, 422, "has no features"),
        ({"max_requests": 51}, 422, "more than the 50 of this server"),
        ({"endpoint": "http://elsewhere/v1"}, 422, "endpoint"),
        ({"stop": 1e99}, 422, "stop"),
    ],
)
def test_what_cannot_be_asked_for(database, asked, status, words):
    with chat_server(lambda _: "x") as server, serving(database, server, max_requests=50) as c:
        assert words in start(c, status, **asked)["detail"]
        headers = {"origin": "http://evil.example"}
        path = f"/api/saes/{NAME}/explain"
        assert c.post(path, json={"start": 0, "stop": 1}, headers=headers).status_code == 403
        assert c.get("/api/jobs").json() == []
    assert server.requests == []


def test_without_an_endpoint_nobody_is_asked(database, monkeypatch):
    monkeypatch.delenv("LMSAES_ENDPOINT", raising=False)
    with TestClient(create_app(database=database, model="none")) as c:
        assert c.get("/api/about").json()["explainer"] is None
        assert "--endpoint" in start(c, 503)["detail"]


def test_the_environment_names_whom_to_ask(monkeypatch):
    monkeypatch.setenv("LMSAES_ENDPOINT", "http://localhost:8080/v1/")
    monkeypatch.setenv("LMSAES_EXPLAINER", "qwen3")
    monkeypatch.setenv("LMSAES_MAX_REQUESTS", "2k")
    found = Settings().explain()
    assert found is not None
    whom = found.endpoint, found.explainer, found.max_requests
    assert whom == ("http://localhost:8080/v1", "qwen3", 2000)
    assert explainer_of({}) is None
    for given, message in [
        ({"endpoint": "http://h/v1"}, "needs --explainer"),
        ({"window": 16}, "--window is for labels"),
        ({"endpoint": "http://me:pw@h/v1", "explainer": "x"}, "OPENAI_API_KEY"),
    ]:
        with pytest.raises(ConfigError, match=message):
            explainer_of(given)
