"""Addresses and field names that programs written for other servers know, and odd requests."""

import numpy as np
import pytest
from fastapi.testclient import TestClient

from lmsaes import SAE, Database, encode_text, steer
from lmsaes.database import EmbeddedServer
from lmsaes.demo import MODEL
from lmsaes.sae import TopKConfig
from lmsaes.server.app import create_app
from lmsaes.steering import Edit
from tests.support import made_up_analysis as made_up

TEXT = "In the beginning God created the heaven and the earth."
SOURCE = "1-run-sae"


@pytest.fixture(scope="module")
def sae(tmp_path_factory):
    """An SAE of the bundled model with random weights, and its folder."""
    folder = tmp_path_factory.mktemp("compat") / "sae"
    config = TopKConfig(features=made_up.FEATURES, k=8, hook="blocks.1.hook_resid_post")
    SAE.create(config, 256).save(folder)
    return folder


@pytest.fixture(scope="module")
def client(sae, tmp_path_factory):
    """A made-up analysis under that SAE's name and hash."""
    from lmsaes.sae import sae_hash

    loaded = SAE.load(sae)
    with (
        EmbeddedServer(tmp_path_factory.mktemp("db")) as server,
        Database(f"{server.uri}/compat") as database,
    ):
        own = {"sae_path": str(sae), "sae_hash": sae_hash(sae, loaded), "run": "run"}
        hook = {"hook": "blocks.1.hook_resid_post", "d_model": loaded.d_in, "model": str(MODEL)}
        made_up.publish(database, "run:sae", **own, **hook)
        app = create_app(database=database, model=str(MODEL), device="cpu")
        with TestClient(app, base_url="http://127.0.0.1") as client:
            yield client


def ask(client, path, body=None, status=200, **params):
    how = {"params": params} if params else {}
    response = (
        client.get(f"/compat/{path}", **how)
        if body is None
        else client.post(f"/compat/{path}", json=body, **how)
    )
    assert response.status_code == status, response.text
    return response.json()


@pytest.fixture(scope="module")
def encoded(sae, language_model):
    return encode_text(language_model, SAE.load(sae), TEXT)


def test_neuronpedias_feature(client):
    found = ask(client, f"api/feature/model/{SOURCE}/11")
    assert (found["modelId"], found["layer"], found["index"]) == ("model", SOURCE, "11")
    expected = made_up.feature(11)
    assert found["maxActApprox"] == expected.maximum
    assert found["pos_str"][0] == made_up.TOKENS[expected.promotes[0][0]]
    assert len(found["activations"]) == len(made_up.sample(11).contexts)
    assert found["explanations"] == []
    first = ask(client, "api/feature/model/run:sae/0")
    assert first["index"] == "0"
    assert "no SAE" in ask(client, "api/feature/other/x/0", status=404)["detail"]
    ask(client, f"api/feature/model/{SOURCE}/5000", status=404)


@pytest.mark.parametrize("index", [0, 5])
def test_neuronpedias_activation_of_a_text(client, encoded, index):
    feature = {"modelId": "model", "source": SOURCE, "index": str(index)}
    found = ask(client, "api/activation/new", {"feature": feature, "customText": TEXT})
    own = encoded.features[0].dense()[:, index].numpy()
    assert found["values"] == pytest.approx(own.tolist(), abs=1e-3)
    assert found["tokens"] == encoded.tokens
    assert found["maxValueTokenIndex"] == found["activations"]["maxValueIndex"] == own.argmax()
    without = {"feature": feature, "customText": TEXT, "ignoreBos": True}
    assert ask(client, "api/activation/new", without)["tokens"] == encoded.tokens[1:]


def test_neuronpedias_search_of_all_features(client, encoded):
    body = {"modelId": "model", "sourceSet": "run-sae", "text": TEXT, "numResults": 7}
    found = ask(client, "api/search-all", body)
    own = encoded.features[0].dense().numpy().copy()
    own[0] = 0  # the beginning
    best = np.argsort(-own.max(0), kind="stable")[:7]
    assert [each["index"] for each in found["result"]] == [str(i) for i in best]
    assert {each["layer"] for each in found["result"]} == {SOURCE}
    chosen = ask(client, "api/search-all", {**body, "sortIndexes": [3]})["result"]
    assert chosen[0]["index"] == str(own[3].argmax())
    ask(client, "api/search-all", {**body, "sourceSet": "none"}, 404)


def test_neuronpedias_steering(client, sae, language_model):
    feature = {"modelId": "model", "layer": SOURCE, "index": 3, "strength": 10}
    body = {"prompt": "In the", "modelId": "model", "features": [feature], "n_tokens": 6}
    body |= {"temperature": 0, "freq_penalty": 2, "seed": 16, "strength_multiplier": 2}
    found = ask(client, "api/steer", body)
    edit = Edit(SAE.load(sae), 3, add=20.0)
    expected = steer(language_model, "In the", [edit], tokens=6, temperature=0)
    assert found["DEFAULT"] == "In the" + expected.default.text
    assert found["STEERED"] == "In the" + expected.edited.text
    assert len(found["steeredLogProbs"]) == 6
    assert len(found["steeredLogProbs"][0]["topLogprobs"]) == 5


def test_the_dictionaries_of_2024(client, encoded):
    assert ask(client, "dictionaries") == ["run:sae"]
    alive = made_up.FEATURES - len(made_up.DEAD)
    assert ask(client, "dictionaries/run:sae")["alive_feature_count"] == alive
    found = ask(client, "dictionaries/run:sae/features/11")
    assert (found["feature_index"], found["act_times"]) == (11, made_up.feature(11).firings)
    (group,) = found["sample_groups"]
    assert group["analysis_name"] == "top"
    assert len(group["samples"][0]["context"]) == len(group["samples"][0]["feature_acts"])
    assert ask(client, "dictionaries/run:sae/features/random")["dictionary_name"] == "run:sae"
    ask(client, "dictionaries/run:sae/features/$where", status=404)
    custom = ask(client, "dictionaries/run:sae/features/0/custom", {}, input_text=TEXT)
    own = encoded.features[0].dense()[:, 0].tolist()
    assert custom["feature_acts"] == pytest.approx(own, abs=1e-3)
    every = ask(client, "dictionaries/run:sae/custom", {}, input_text=TEXT)
    assert every["features"][0]["feature_acts"]
    said = {"type": "custom", "custom_interpretation": "ships"}
    ask(client, "dictionaries/run:sae/features/2/interpret", {}, **said)
    assert ask(client, "dictionaries/run:sae/features/2")["interpretation"]["text"] == "ships"
    ask(client, "dictionaries/run:sae/features/2/interpret", {}, 422, type="auto")


def test_generation_of_2024(client, sae, language_model):
    how = {"sae": "run:sae", "feature_index": 3, "steering_type": "set", "steering_value": 9}
    body = {"input_text": "In the", "max_new_tokens": 5, "temperature": 0, "steerings": [how]}
    found = ask(client, "model/generate", body)
    edit = Edit(SAE.load(sae), 3, set=9.0)
    expected = steer(language_model, "In the", [edit], tokens=5, temperature=0)
    assert found["text"] == "In the" + expected.edited.text
    assert "".join(found["context"][-5:]) == expected.edited.text
    ask(client, "model/generate", {**body, "steerings": []}, 422)


def test_without_a_model_it_says_so(client):
    app = create_app(database=client.app.state.store.database, model="none")
    with TestClient(app, base_url="http://127.0.0.1") as without:
        feature = {"modelId": "model", "source": SOURCE, "index": 0}
        body = {"feature": feature, "customText": TEXT}
        assert "no language model" in ask(without, "api/activation/new", body, 503)["detail"]
        assert ask(without, f"api/feature/model/{SOURCE}/0")["index"] == "0"
