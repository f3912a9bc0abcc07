"""The language model over HTTP: own text, steering, explanations, limits."""

import asyncio
import json
import shutil
import threading
from collections.abc import Iterator
from io import BytesIO

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from safetensors.numpy import load
from typer.testing import CliRunner

from lmsaes import SAE, Database, TopKConfig, analyze, cache_activations, encode_text, steer, train
from lmsaes.cli.app import app as cli
from lmsaes.database import EmbeddedServer
from lmsaes.server import live as live_module
from lmsaes.server.app import create_app
from lmsaes.steering import DatabaseFeatures, Edit, loss_effect, rank_features
from tests.support.small_capture import SMALL
from tests.support.tiny_models import tiny_llama

TEXT = "In the beginning God created the heaven and the earth."
HOOK = "blocks.1.hook_resid_post"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("live")


@pytest.fixture(scope="module")
def database(folder) -> Iterator[Database]:
    """Two trained and analyzed SAEs of the bundled model, one of them a transcoder."""
    hooks = [HOOK, "blocks.1.hook_resid_mid", "blocks.1.hook_mlp_out"]
    cache = cache_activations(**SMALL, hooks=hooks, out=str(folder / "cache"), tokens=4096)
    transcoder = {"hook": "blocks.1.hook_resid_mid", "target": "blocks.1.hook_mlp_out"}
    configs = [
        TopKConfig(name="topk", hook=HOOK, k=8, features=96),
        TopKConfig(name="transcoder", k=8, features=64, **transcoder),
    ]
    how = {"tokens": 8192, "batch_size": 256, "device": "cpu"}
    train(cache, configs, out=str(folder / "run"), **how)
    with EmbeddedServer(folder / "db") as server, Database(f"{server.uri}/live") as database:
        analyze(str(folder / "run"), cache, database, device="cpu")
        yield database


@pytest.fixture(scope="module")
def client(database) -> Iterator[TestClient]:
    with TestClient(create_app(database=database, device="cpu")) as client:
        yield client


@pytest.fixture(scope="module")
def saes(folder, database):
    return {name: SAE.load(folder / "run" / name) for name in ("topk", "transcoder")}


def post(client, path, body, status=200):
    response = client.post(f"/api/{path}", json=body)
    assert response.status_code == status, response.text
    return response.json()


def events_of(response):
    lines = [line for line in response.text.split("\n\n") if line.startswith("data: ")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def test_the_model_is_loaded_when_it_is_first_asked_for(database):
    with TestClient(create_app(database=database, device="cpu")) as client:
        before = client.get("/api/about").json()
        assert (before["asks_model"], before["model"]) == (True, None)
        post(client, "tokenize", {"sae": "run:topk", "text": TEXT})
        assert client.get("/api/about").json()["model"] == SMALL["model"]


def test_tokens_join_to_the_text(client):
    found = post(client, "tokenize", {"sae": "run:topk", "text": TEXT})
    assert found["bos_added"]
    first, *rest = found["tokens"]
    assert (first["special"], first["start"]) == (True, None)
    assert [TEXT[token["start"] : token["end"]] for token in rest] == [t["token"] for t in rest]


@pytest.mark.parametrize("name", ["topk", "transcoder"])
@pytest.mark.parametrize("rank", ["maximum", "sum", "share", "relative", "surprise"])
def test_activations_are_those_of_the_library(client, database, saes, language_model, name, rank):
    asked = {"text": TEXT, "rank": rank, "limit": 7, "density_max": 0.5, "features": [0, 1]}
    found = post(client, f"saes/run:{name}/activations", asked)
    encoded = encode_text(language_model, saes[name], TEXT)
    analyzed = DatabaseFeatures(database, database.sae(f"run:{name}"))
    expected = rank_features(encoded, 0, rank, 7, density_max=0.5, analyzed=analyzed)
    assert found["total"] == expected.total
    assert found["hidden"] == {
        "dense": expected.hidden_dense,
        "special": expected.hidden_special,
    }
    assert [f["index"] for f in found["features"]] == [f.index for f in expected.features]
    for feature, wanted in zip(found["features"], expected.features, strict=True):
        assert feature["score"] == pytest.approx(wanted.score, rel=1e-3)
        assert feature["values"] == pytest.approx(wanted.values.tolist(), abs=1e-3)
    dense = encoded.features[0].dense()
    fires = [i for i in (0, 1) if dense[:, i].max() > 0]
    assert [f["index"] for f in found["chosen"]] == fires
    assert found["active"] == (dense > 0).sum(1).tolist()
    if rank == "surprise":
        assert [f["surprise"] for f in found["features"]] == [f["score"] for f in found["features"]]
    for position, own in enumerate(found["per_token"]):
        assert own[0]["activation"] == pytest.approx(float(dense[position].max()), rel=1e-3)
    assert found["tokens"][0]["log_probability"] is None
    assert len(found["variance_explained"]) == len(found["tokens"])


def test_surprise_counts_tokens_of_the_analysis(database):
    """Every activation of a feature in the cache, against the histogram's bins."""
    record = database.sae("run:topk")
    analyzed = DatabaseFeatures(database, record)
    columns = database.columns(record.analysis)
    index = int(columns["firings"].argmax())
    [weakest, strongest, beyond] = analyzed.at_least(
        [index] * 3, [1e-9, float(columns["maximum"][index]), 1e9]
    )
    assert weakest == pytest.approx(columns["firings"][index] / record.tokens_analyzed)
    assert 1 / record.tokens_analyzed <= strongest < weakest
    assert beyond == 1 / record.tokens_analyzed


def test_saes_and_texts_are_compared_in_one_request(client):
    texts = [TEXT, "the sea"]
    asked = {"saes": ["run:topk", "run:transcoder"], "texts": texts, "limit": 3}
    results = post(client, "compare/activations", asked)["results"]
    for text, own in zip(texts, results, strict=True):
        for name, found in zip(asked["saes"], own, strict=True):
            one = {"text": text, "limit": 3, "per_token": 0}
            assert found == post(client, f"saes/{name}/activations", one)


def steer_request(**changes):
    edit = {"sae": "run:topk", "feature": 3, "method": "add", "value": 0.0}
    strong = {**edit, "value": 8.0}
    asked = {"prompt": "And the", "edits": [[edit], [strong]], "tokens": 5, "log_probabilities": 2}
    return {**asked, **changes}


def test_steering_streams_what_the_library_writes(client, saes, language_model):
    response = client.post("/api/steer", json=steer_request())
    assert response.headers["content-type"].startswith("text/event-stream")
    events = events_of(response)
    sae = saes["topk"]
    grid = [[Edit(sae, 3, add=value)] for value in (0.0, 8.0)]
    expected = steer(language_model, "And the", grid, tokens=5)
    done = {e["set"]: e for e in events if e["event"] == "completion"}
    assert done[None]["token_ids"] == done[0]["token_ids"] == expected.default.token_ids
    assert done[0]["kl"] == [0.0] * 5
    assert done[1]["token_ids"] == expected.sets[1].token_ids
    assert done[1]["kl"] == pytest.approx(expected.sets[1].kl.tolist(), rel=1e-2, abs=1e-4)
    tokens = [e for e in events if e["event"] == "token" and e["set"] == 1]
    assert "".join(e["text"] for e in tokens) == done[1]["text"]
    known = expected.sets[1].logits.log_softmax(1)
    for event, row in zip(tokens, known, strict=True):
        assert event["log_probability"] == pytest.approx(float(row[event["id"]]), abs=1e-2)
        assert event["likeliest"][0]["id"] == int(row.argmax())


@pytest.mark.parametrize("name", ["topk", "transcoder"])
def test_loss_effects_are_those_of_the_library(client, database, saes, language_model, name):
    record = database.sae(f"run:{name}")
    feature = int(database.columns(record.analysis)["firings"].argmax())
    group = database.samples(record.analysis, [feature], "top")[feature]
    contexts = [*group.contexts[:2].tolist(), int(group.contexts[0])]
    path = f"saes/run:{name}/features/{feature}/loss-effect"
    found = post(client, path, {"contexts": contexts})
    assert (found["analysis"], found["feature"]) == (record.analysis, feature)
    assert [each["context"] for each in found["contexts"]] == contexts
    assert found["contexts"][0] == found["contexts"][2]
    for each in found["contexts"]:
        tokens = torch.tensor(database.contexts(record.cache, contexts)[each["context"]])
        [wanted] = loss_effect(language_model, saes[name], feature, tokens[None].long()).tolist()
        assert each["changes"][-1] is None
        assert each["changes"][:-1] == pytest.approx(wanted[:-1], rel=1e-2, abs=1e-3)
    assert post(client, path, {"contexts": [10**9]}, 404)["detail"].startswith("the database has")
    assert "today's" in post(client, path, {"contexts": [0], "analysis": "x"}, 410)["detail"]
    assert (
        "no feature"
        in post(client, path.replace(f"/{feature}/", "/999/"), {"contexts": [0]}, 404)["detail"]
    )


def test_show_prints_loss_effects(database):
    def show(*words):
        how = [*words, "--loss-effect", "--device", "cpu", "--contexts", "2", "--db", database.uri]
        done = CliRunner().invoke(cli, ["show", "run:topk", *how], env={"COLUMNS": "200"})
        assert done.exit_code == 0, done.output
        return done.stdout

    record = database.sae("run:topk")
    feature = str(database.columns(record.analysis)["firings"].argmax())
    page = json.loads(show(feature, "--json"))
    first, second, *others = page["groups"]["top"]["contexts"]
    for context in (first, second):
        changes = context["loss_effect"]
        assert (len(changes), changes[-1]) == (len(context["tokens"]), None)
    assert others
    assert all("loss_effect" not in context for context in others)
    place = max(range(len(first["tokens"]) - 1), key=lambda i: abs(first["loss_effect"][i]))
    token = first["tokens"][place + 1].replace("\n", "⏎")
    assert f"without it: '{token}' {first['loss_effect'][place]:+.2f}" in show(feature)


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("tokenize", {"sae": "nobody", "text": "x"}, 404, "no SAE 'nobody'"),
        ("tokenize", {"sae": "run:topk"}, 422, "either text or token_ids"),
        ("tokenize", {"sae": "run:topk", "token_ids": [5000]}, 422, "no token 5000"),
        ("tokenize", {"sae": "run:topk", "text": "x", "path": "/etc"}, 422, "path"),
        ("saes/run:topk/activations", {"text": "a " * 2000}, 422, "tokens are more than"),
        ("saes/run:topk/activations", {"text": "x", "positions": [9]}, 422, "no position 9"),
        ("saes/run:topk/activations", {"text": "x", "features": [96]}, 422, "no feature 96"),
        ("compare/activations", {"saes": [], "texts": ["x"]}, 422, "saes"),
        ("steer", steer_request(tokens=255), 422, "more than the 256"),
        ("steer", steer_request(prompt=""), 200, None),
        ("steer", steer_request(edits=[[]]), 422, "at least 1"),
        (
            "steer",
            steer_request(edits=[[{"sae": "run:topk", "feature": 99, "method": "ablate"}]]),
            422,
            "no feature 99",
        ),
        (
            "steer",
            steer_request(edits=[[{"sae": "run:topk", "feature": 9, "method": "set"}]]),
            422,
            "every method but ablate has a value",
        ),
    ],
)
def test_what_cannot_be_is_answered_with_a_sentence(client, path, body, status, words):
    response = client.post(f"/api/{path}", json=body)
    assert response.status_code == status, response.text
    if words:
        assert words in response.json()["detail"]


def test_edits_that_break_the_model_end_the_stream_with_a_sentence(client):
    edit = {"sae": "run:topk", "feature": 3, "method": "scale", "value": 1e6}
    edits = [[{**edit, "method": "add"}, {**edit, "method": "orthogonal"}]]
    events = events_of(client.post("/api/steer", json=steer_request(edits=edits)))
    assert events[-1]["event"] in ("error", "completion")
    assert all(e["event"] != "error" or "finite" in e["detail"] for e in events)


def test_a_features_directions_are_taken_away(database, saes):
    """Of what it reads and of what it adds, also where no model is served."""
    path = "/api/saes/run:transcoder/features/3/export?format="
    decoder, encoder = saes["transcoder"].W_dec[3].tolist(), saes["transcoder"].W_enc[3].tolist()
    with TestClient(create_app(database=database, model="none")) as client:
        vector = client.get(path + "vector")
        assert (vector.json()["decoder"], vector.json()["encoder"]) == (decoder, encoder)
        assert vector.json()["hook"] == "blocks.1.hook_mlp_out"  # where it adds
        npy = client.get(path + "npy")
        assert np.load(BytesIO(npy.content), allow_pickle=False).tolist() == decoder
        assert npy.headers["content-disposition"].endswith('"run-transcoder-3.npy"')
        file = load(client.get(path + "safetensors").content)
        assert {name: row.tolist() for name, row in file.items()} == {
            "decoder": decoder,
            "encoder": encoder,
        }


def test_a_text_is_embedded_with_its_activations(client, database):
    path = "/embed/saes/run:topk/features/"
    found = post(client, "saes/run:topk/activations", {"text": TEXT, "limit": 1})["features"][0]
    shown = client.get(f"{path}{found['index']}", params={"text": TEXT})
    assert shown.text.count('<p class="tokens">') == 1
    assert f'title="{found["maximum"]:.4g}"' in shown.text
    assert "<script" not in shown.text
    with TestClient(create_app(database=database, model="none")) as without:
        answer = without.get(f"{path}3", params={"text": TEXT})
        assert (answer.status_code, "serve --model" in answer.json()["detail"]) == (503, True)


def test_without_a_model_everything_else_works(database):
    with TestClient(create_app(database=database, model="none")) as client:
        assert client.get("/api/saes/run:topk").status_code == 200
        assert not client.get("/api/about").json()["asks_model"]
        for path, body in [
            ("tokenize", {"sae": "run:topk", "text": "x"}),
            ("saes/run:topk/activations", {"text": "x"}),
            ("steer", steer_request()),
        ]:
            assert "no language model is served" in post(client, path, body, 503)["detail"]


def test_a_missing_sae_or_another_one_is_told(database, folder):
    with TestClient(create_app(database=database, device="cpu")) as client:
        kept = folder / "run" / "topk"
        moved = kept.rename(folder / "elsewhere")
        try:
            asked = {"text": "x"}
            assert "not a folder" in post(client, "saes/run:topk/activations", asked, 503)["detail"]
            other = SAE.load(moved)
            other.W_dec[0] += 1
            other.save(kept)
            detail = post(client, "saes/run:topk/activations", asked, 503)["detail"]
            assert "holds another SAE" in detail
        finally:
            shutil.rmtree(kept, ignore_errors=True)
            moved.rename(kept)


def test_requests_wait_for_their_turn_up_to_a_limit(client, monkeypatch):
    live = client.app.state.live
    monkeypatch.setattr(live_module, "WAITING", 1)
    began, over = threading.Event(), threading.Event()

    def hold():
        with live.turn():
            began.set()
            over.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    began.wait()
    answers = []
    body = {"sae": "run:topk", "text": "x"}
    waiter = threading.Thread(
        target=lambda: answers.append(client.post("/api/tokenize", json=body).status_code)
    )
    waiter.start()
    while live._waiting < 1:
        pass
    busy = client.post("/api/tokenize", json=body)
    assert busy.status_code == 503
    assert "busy" in busy.json()["detail"]
    over.set()
    holder.join()
    waiter.join()
    assert answers == [200]


def test_a_request_that_takes_too_long_says_so(client, monkeypatch):
    monkeypatch.setattr(client.app.state.live.limits, "seconds", -1.0)
    events = events_of(client.post("/api/steer", json=steer_request()))
    assert [e["event"] for e in events] == ["error"]
    assert "longer than" in events[0]["detail"]


def test_a_request_that_needs_too_much_memory_is_refused(client, monkeypatch):
    monkeypatch.setattr(client.app.state.live.limits, "bytes", 1000)
    for path, body in [("steer", steer_request()), ("saes/run:topk/activations", {"text": "x"})]:
        assert "GiB" in post(client, path, body, 422)["detail"]


def test_a_client_who_leaves_stops_the_work(client):
    """By ASGI itself: the test client can't hang up."""
    live, chunks = client.app.state.live, []

    async def request():
        body = json.dumps(steer_request(tokens=250)).encode()
        arrived, token_seen = [{"type": "http.request", "body": body}], asyncio.Event()

        async def receive():
            if arrived:
                return arrived.pop()
            await token_seen.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            chunks.append(message.get("body", b""))
            if b'"token"' in chunks[-1]:
                token_seen.set()

        headers = [(b"host", b"testserver"), (b"content-type", b"application/json")]
        scope = {
            "type": "http", "method": "POST", "path": "/api/steer", "raw_path": b"/api/steer",
            "query_string": b"", "headers": headers, "http_version": "1.1", "scheme": "http",
            "server": ("testserver", 80), "client": ("testclient", 1), "root_path": "",
        }  # fmt: skip
        await client.app(scope, receive, send)

    # in a thread of its own: browser tests leave a loop running in this one
    asked = threading.Thread(target=lambda: asyncio.run(request()))
    asked.start()
    asked.join()
    with live.turn():
        written = b"".join(chunks).count(b'"event":"token"')
    assert 1 <= written < 100


def test_explanations_are_said_and_read(client, database):
    path = "saes/run:topk/features/5/explanations"
    assert client.get(f"/api/{path}").json() == {"current": None, "versions": []}
    for text in ("a", "b"):
        answer = client.put(f"/api/{path}", json={"text": text, "author": "ann"})
        assert answer.status_code == 200, answer.text
    found = client.get(f"/api/{path}").json()
    assert found["current"] == "b"
    assert [v["text"] for v in found["versions"]] == ["a", "b"]
    assert client.put(f"/api/{path}", json={"text": "", "author": "ann"}).json()["current"] is None
    for body in ({"text": "x" * 2001, "author": "a"}, {"text": "x", "author": " "}):
        assert client.put(f"/api/{path}", json=body).status_code == 422
    assert client.get("/api/saes/run:topk/features/96/explanations").status_code == 404


def test_another_model_is_refused(database, folder, tmp_path):
    other = tiny_llama(tmp_path / "m", width=256)
    with TestClient(create_app(database=database, model=other, device="cpu")) as client:
        asked = {"sae": "run:topk", "text": "x"}
        assert "is not the model" in post(client, "tokenize", asked, 503)["detail"]
