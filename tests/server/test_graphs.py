"""Attribution graphs over HTTP, as the database has them."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from lmsaes.database import Database, EmbeddedServer, new_explanation
from lmsaes.server.app import create_app
from tests.support import made_up_analysis as made_up
from tests.support.made_up_graph import IDS, PROOF, made_up_graph

ADDRESS = "http://127.0.0.1:24577"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    folder = tmp_path_factory.mktemp("graphs")
    with EmbeddedServer(folder) as server, Database(server.uri) as database:
        made_up.publish(database)
        yield database


@pytest.fixture(scope="module")
def client(database: Database) -> Iterator[TestClient]:
    with TestClient(create_app(database=database, model="none"), ADDRESS) as client:
        yield client


@pytest.fixture
def id(database: Database) -> str:
    return database.graphs.put("piano", made_up_graph()).graph


def get(client: TestClient, path: str, status: int = 200, **query: object):
    response = client.get(f"/api/{path}", params=query)
    assert response.status_code == status, response.text
    return response.json()


def test_a_graph_says_what_it_is_of_and_how_far_to_believe_it(client: TestClient, id: str):
    found = get(client, "graphs")[0]
    assert (found["name"], found["graph"], found["tokens"]) == ("piano", id, 2)
    assert (found["features"], found["edges"], found["targets"]) == (2, 6, [" town"])
    assert found["r_per_source"] == 0.9
    graph = get(client, "graphs/piano")
    assert graph["proof"] == PROOF
    assert graph["tokens"] == ["the", " river"]
    assert graph["transcoders"] == [
        {"layer": 0, "sae": "demo:topk", "analyzed": True},
        {"layer": 1, "sae": "gone:layer-1", "analyzed": False},
    ]
    assert "no graph 'nobody'" in get(client, "graphs/nobody", 404)["detail"]


def test_nodes_are_labeled_with_what_is_said_of_them(
    client: TestClient, database: Database, id: str
):
    nodes = get(client, "graphs/piano/nodes")["nodes"]
    assert [node["id"] for node in nodes] == IDS
    assert [node["kind"] for node in nodes] == [
        "feature", "feature", "error", "token", "token", "logit",
    ]  # fmt: skip
    details = made_up.feature(3).details
    assert details is not None
    assert (nodes[0]["label"], nodes[0]["explained"]) == (details.label, False)
    assert (nodes[0]["sae"], nodes[0]["index"]) == ("demo:topk", 3)
    assert (nodes[1]["label"], nodes[1]["sae"]) == (None, "gone:layer-1")
    assert [node["label"] for node in nodes[2:]] == ["error", "the", " river", " town"]
    assert (nodes[5]["probability"], nodes[5]["influence"], nodes[5]["value"]) == (0.75, None, 4)
    database.explanations.add("5f3a", new_explanation(3, "rivers", "me"))
    nodes = get(client, "graphs/piano/nodes")["nodes"]
    assert (nodes[0]["label"], nodes[0]["explained"]) == ("rivers", True)


def test_nodes_say_how_large_their_features_get_and_on_which_tokens(client: TestClient, id: str):
    nodes = {node["id"]: node for node in get(client, "graphs/piano/nodes")["nodes"]}
    own, feature = nodes["0_3_1"], get(client, "saes/demo:topk/features/3")
    assert own["maximum"] == pytest.approx(feature["maximum"])
    assert own["density"] == pytest.approx(feature["density"])
    shares = {each["token"]: each["share_of_firings"] for each in feature["fires_on"]}
    assert shares[own["label_tokens"][0]] == max(shares.values())
    for without in ("1_5_1", "E_7_0", "3_2_1"):  # not analyzed, a token, a logit
        node = nodes[without]
        assert (node["maximum"], node["density"], node["label_tokens"]) == (None, None, [])


def test_a_graph_leaves_in_circuit_tracers_format(client: TestClient, database: Database, id: str):
    groups = [{"name": "towns", "nodes": ["0_3_1", "1_5_1"]}]
    asked = {"graph": id, "version": 1, "groups": groups}
    assert client.put("/api/graphs/piano/groups", json=asked).status_code == 200
    answer = client.get("/api/graphs/piano/export")
    assert answer.headers["content-disposition"] == 'attachment; filename="piano.json"'
    found = answer.json()
    assert found["qParams"]["supernodes"] == [["towns", "0_3_1", "1_5_1"]]
    assert [node["node_id"] for node in found["nodes"]] == IDS
    assert found["links"][0] == {"source": "E_7_0", "target": "0_3_1", "weight": 1.5}
    labels = {node["id"]: node["label"] for node in get(client, "graphs/piano/nodes")["nodes"]}
    assert found["nodes"][0]["clerp"] == labels["0_3_1"]


def test_edges_come_strongest_first_up_to_a_share(client: TestClient, id: str):
    whole = get(client, "graphs/piano/edges")
    assert whole["total"] == 6
    assert whole["weight"] == [1.5, 1.0, -0.5, 0.5, -0.25, 0.125]
    some = get(client, "graphs/piano/edges", threshold=0.8, limit=1, graph=id)
    assert (some["total"], some["source"], some["target"]) == (3, [3], [0])
    lists = get(client, "graphs/piano/nodes/3_2_1/edges")
    assert (lists["constant"], lists["value"], lists["in_total"], lists["out_total"]) == (
        3,
        4,
        3,
        0,
    )
    assert [each["node"] for each in lists["incoming"]] == ["0_3_1", "1_5_1", "error_1_1"]
    assert lists["incoming"][0]["share"] == pytest.approx(1 / 1.75)
    leaf = get(client, "graphs/piano/nodes/E_7_0/edges", limit=1)
    assert (leaf["constant"], leaf["outgoing"]) == (
        None,
        [{"node": "0_3_1", "weight": 1.5, "share": 0.75}],
    )
    assert "no node '9_9_9'" in get(client, "graphs/piano/nodes/9_9_9/edges", 404)["detail"]


def test_what_follows_from_a_graph_is_kept_by_browsers_until_it_is_another(
    client: TestClient, database: Database, id: str
):
    for path in ("edges", "nodes/0_3_1/edges"):
        answer = client.get(f"/api/graphs/piano/{path}?graph={id}")
        assert "immutable" in answer.headers["cache-control"]
        today = client.get(f"/api/graphs/piano/{path}")
        assert today.headers["cache-control"] == "no-cache"
        assert today.headers["etag"]
    database.graphs.put("piano", made_up_graph())
    assert "no longer there" in get(client, "graphs/piano/edges", 410, graph=id)["detail"]


def test_a_features_page_names_the_graphs_it_is_in(client: TestClient, id: str):
    found = get(client, "saes/demo:topk/features/3/graphs")
    assert [(each["name"], each["graph"]) for each in found] == [("piano", id)]
    assert found[0]["nodes"] == [
        {"id": "0_3_1", "position": 1, "token": " river", "activation": 2, "influence": 0.5}
    ]
    assert get(client, "saes/demo:topk/features/4/graphs") == []  # 5 is layer 1's, of another SAE
    assert get(client, "saes/demo:topk/features/5/graphs") == []


def test_groups_are_saved_with_the_graph(client: TestClient, id: str):
    def put(status: int, **changes: object) -> dict:
        groups = [{"name": "river words", "nodes": ["0_3_1", "E_9_1"]}]
        body = {"graph": id, "version": 1, "groups": groups, **changes}
        answer = client.put("/api/graphs/piano/groups", json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    changed = put(200)
    assert changed == get(client, "graphs/piano")
    assert (changed["version"], changed["groups"][0]["name"]) == (2, "river words")
    assert "changed meanwhile" in put(409)["detail"]
    assert "no longer there" in put(410, graph="0" * 16 + "_" + "0" * 8)["detail"]
    wrong = [{"name": "x", "nodes": ["nothing"]}]
    assert "no node 'nothing'" in put(422, version=2, groups=wrong)["detail"]


def test_other_sites_cannot_write_and_nobody_asks_a_model_that_is_not_there(
    client: TestClient, id: str
):
    other = {"origin": "http://evil.example"}
    assert client.delete("/api/graphs/piano", headers=other).status_code == 403
    asked = {"saes": ["demo:topk"], "prompt": "the river"}
    assert client.post("/api/graphs", json=asked, headers=other).status_code == 403
    assert client.post("/api/graphs", json=asked).status_code == 503
    assert get(client, "graphs/piano/split", 503, source="E_7_0", target="0_3_1")
    assert get(client, "transcoders") == []
    wrong = client.delete("/api/graphs/piano?graph=x")
    assert wrong.status_code == 410
    assert client.delete(f"/api/graphs/piano?graph={id}").json()["graph"] == id
    assert client.delete("/api/graphs/piano").status_code == 404
