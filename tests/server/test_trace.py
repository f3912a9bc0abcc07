"""Prompts traced over HTTP, and what is asked of the model about a graph."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from lmsaes.database import Database, EmbeddedServer
from lmsaes.demo import MODEL
from lmsaes.model import LanguageModel
from lmsaes.sae import SAE, sae_hash
from lmsaes.server.app import create_app
from tests.support import made_up_analysis as made_up
from tests.support.made_up_transcoders import made_up_transcoders

PROMPT = "The piano was in the"
SAES = ["run:layer-0", "run:layer-1", "run:layer-3"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lm = LanguageModel.load(str(MODEL), "cpu")
    return made_up_transcoders(
        lm, tmp_path_factory.mktemp("trace") / "run", ["relu", "batchtopk", None, "relu"], skip=True
    )


@pytest.fixture(scope="module")
def database(run: Path) -> Iterator[Database]:
    with EmbeddedServer(run.parent / "db") as server, Database(server.uri) as database:
        for folder in sorted(run.iterdir()):
            config = SAE.load(folder).config
            made_up.publish(
                database,
                f"run:{folder.name}",
                model=str(MODEL),
                sae_path=str(folder),
                sae_hash=sae_hash(folder, SAE.load(folder)),
                hook=config.hook,
                target=config.target,
                run="run",
            )
        made_up.publish(database, "demo:topk")
        yield database


@pytest.fixture(scope="module")
def client(database: Database) -> Iterator[TestClient]:
    app = create_app(database=database, model=str(MODEL), device="cpu")
    with TestClient(app, "http://127.0.0.1:24577") as client:
        yield client


def traced(client: TestClient, **asked: object) -> list[dict]:
    body = {"saes": SAES, "prompt": PROMPT, "nodes": 60, **asked}
    answer = client.post("/api/graphs", json=body)
    assert answer.status_code == 200, answer.text
    pieces = [piece for piece in answer.text.split("\n\n") if piece.startswith("data: ")]
    return [json.loads(piece.removeprefix("data: ")) for piece in pieces]


def get(client: TestClient, path: str, status: int = 200, **query: object):
    answer = client.get(f"/api/{path}", params=query)
    assert answer.status_code == status, answer.text
    return answer.json()


@pytest.fixture(scope="module")
def name(client: TestClient) -> str:
    events = traced(client, verify=3, name="piano")
    kinds = [event["event"] for event in events]
    assert kinds == ["progress"] * (len(kinds) - 1) + ["graph"]
    assert {event["what"] for event in events[:-1]} == {"tracing", "ablating"}
    assert (events[0]["done"], events[0]["total"]) == (0, 60)
    return events[-1]["name"]


def test_the_sets_that_prompts_can_be_traced_with(client: TestClient):
    assert get(client, "transcoders") == [
        {"run": "run", "model": str(MODEL), "saes": SAES, "layers": [0, 1, 3]}
    ]


def test_a_traced_prompt_is_a_graph_of_analyzed_features(client: TestClient, name: str):
    graph = get(client, f"graphs/{name}")
    assert [each["sae"] for each in graph["transcoders"]] == [*SAES[:2], None, SAES[2]]
    assert all(each["analyzed"] for each in graph["transcoders"] if each["sae"])
    assert graph["proof"]["verification"]["ablations"] == 3
    assert graph["proof"]["features_followed"] == 60
    nodes = get(client, f"graphs/{name}/nodes")["nodes"]
    assert len(nodes) == graph["nodes"]
    feature = next(node for node in nodes if node["kind"] == "feature")
    found = get(client, f"saes/{feature['sae']}/features/{feature['index']}/graphs")
    assert feature["id"] in [node["id"] for node in found[0]["nodes"]]


def test_edges_are_split_by_head(client: TestClient, name: str):
    nodes = get(client, f"graphs/{name}/nodes")["nodes"]
    edges = get(client, f"graphs/{name}/edges")
    pairs = zip(edges["source"], edges["target"], edges["weight"], strict=True)
    seen = set()
    for source, target, weight in pairs:
        kinds = nodes[source]["kind"], nodes[target]["kind"]
        if kinds in seen:
            continue
        seen.add(kinds)
        ends = {"source": nodes[source]["id"], "target": nodes[target]["id"]}
        found = get(client, f"graphs/{name}/split", **ends)
        assert found["weight"] == pytest.approx(weight)
        for block in found["blocks"]:
            parts = sum(block["heads"]) + block["stream"]
            assert parts == pytest.approx(weight, rel=1e-3, abs=1e-5)
    assert {("token", "feature"), ("feature", "logit"), ("error", "logit")} <= seen
    away = get(client, f"graphs/{name}/split", 404, source=nodes[-1]["id"], target=nodes[0]["id"])
    assert "has no edge" in away["detail"]


def test_nodes_and_groups_are_ablated_in_the_real_model(client: TestClient, name: str):
    graph = get(client, f"graphs/{name}")
    nodes = get(client, f"graphs/{name}/nodes")["nodes"]
    features = [node for node in nodes if node["kind"] == "feature"]
    low, other = (node["id"] for node in features[:2])
    groups = [{"name": "both", "nodes": [low, other]}]
    body = {"graph": graph["graph"], "version": graph["version"], "groups": groups}
    assert client.put(f"/api/graphs/{name}/groups", json=body).status_code == 200

    def asked(*edits: dict[str, object], status: int = 200, **more: object) -> dict:
        body = {"graph": graph["graph"], "edits": edits, **more}
        answer = client.post(f"/api/graphs/{name}/interventions", json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    one = asked({"node": low, "factor": 0}, limit=3)
    assert [edit["node"] for edit in one["edits"]] == [low]
    assert len(one["features"]) == 3
    out = get(client, f"graphs/{name}/nodes/{low}/edges", limit=10_000)["outgoing"]
    weights = {edge["node"]: edge["weight"] for edge in out}
    for change in one["targets"] + one["features"]:
        if change["node"] in weights:
            assert change["direct"] == pytest.approx(-weights[change["node"]], rel=1e-2, abs=1e-5)
    assert sum(token["before"] for token in one["next_tokens"]) <= 1
    same = asked({"group": "both", "factor": 1})
    assert {edit["node"] for edit in same["edits"]} == {low, other}
    assert all(abs(c["real"]) < 1e-3 and c["direct"] == 0 for c in same["targets"])
    assert "no group 'x'" in asked({"group": "x", "factor": 0}, status=404)["detail"]
    assert "no node 'x'" in asked({"node": "x", "factor": 0}, status=404)["detail"]
    assert "either" in asked({"factor": 0}, status=422)["detail"]
    token = next(node["id"] for node in nodes if node["kind"] == "token")
    assert "features and errors" in asked({"node": token, "factor": 0}, status=422)["detail"]


def test_names_are_made_from_the_prompt_and_never_taken_from_another(client: TestClient, name: str):
    made = [traced(client)[-1]["name"] for _ in range(2)]
    assert made == ["the-piano-was-in-the", "the-piano-was-in-the-2"]
    body = {"saes": SAES, "prompt": PROMPT, "name": name}
    assert client.post("/api/graphs", json=body).status_code == 409


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"saes": ["demo:topk"]}, "is not a folder"),
        ({"saes": ["run:nothing"]}, "run:nothing"),
        ({"name": "no/name"}, "can't name"),
        ({"targets": ["the piano"]}, "tokens"),
        ({"prompt": "the " * 2000}, "more than the 1024"),
    ],
)
def test_what_is_impossible_is_said_at_once(
    client: TestClient, asked: dict[str, object], message: str
):
    answer = client.post("/api/graphs", json={"saes": SAES, "prompt": PROMPT, **asked})
    assert answer.status_code in (404, 422, 503), answer.text
    assert message in answer.json()["detail"]


def test_a_trace_that_takes_too_long_or_too_much_is_ended(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
):
    limits = client.app.state.live.limits  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setattr(limits, "trace_seconds", -1.0)
    assert "took longer" in traced(client, name="late")[-1]["detail"]
    monkeypatch.setattr(limits, "bytes", 1000)
    answer = client.post("/api/graphs", json={"saes": SAES, "prompt": PROMPT})
    assert (answer.status_code, "GiB" in answer.json()["detail"]) == (422, True)
    assert client.get("/api/graphs/late").status_code == 404


def test_whoever_leaves_ends_the_trace_and_the_model_is_free(client: TestClient):
    from lmsaes.server import trace_work
    from lmsaes.server.graph_schemas import TraceRequest

    state = client.app.state  # pyright: ignore[reportAttributeAccessIssue]
    asked = TraceRequest(saes=SAES, prompt=PROMPT, name="left", verify=50)
    events = trace_work.traced(asked, state.store, state.live)
    assert '"progress"' in next(events)
    events.close()
    before = time.monotonic()
    with state.live.turn():
        assert time.monotonic() - before < 30
    assert client.get("/api/graphs/left").status_code == 404
