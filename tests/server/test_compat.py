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
    # under the names that its code takes too
    other = {"modelId": "model", "layer": SOURCE, "index": index}
    several = ask(client, "api/activation/new", {"neuron": other, "customText": [TEXT, "the sea"]})
    assert [each["tokens"] == encoded.tokens for each in several] == [True, False]
    assert several[0]["values"] == found["values"]


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
    first = found["result"][0]
    index = int(first["index"])
    assert first["neuron"]["maxActApprox"] == pytest.approx(made_up.feature(index).maximum)
    assert first["neuron"]["explanations"] == []
    both = ask(client, "api/search-all", {**body, "text": [TEXT, "the sea"]})["results"]
    assert both[0] == found
    assert both[1]["tokens"] != found["tokens"]


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
    assert "stream" in ask(client, "api/steer", {**body, "stream": True}, 422)["detail"]


def test_the_dictionaries_of_2024(client, encoded):
    assert ask(client, "dictionaries") == ["run:sae"]
    alive = made_up.FEATURES - len(made_up.DEAD)
    found = ask(client, "dictionaries/run:sae")
    assert found["alive_feature_count"] == alive
    [trace] = found["feature_activation_times_histogram"]
    assert sum(trace["y"]) == alive
    found = ask(client, "dictionaries/run:sae/features/11")
    expected = made_up.feature(11)
    assert (found["feature_index"], found["act_times"]) == (11, expected.firings)
    [trace] = found["feature_activation_histogram"]
    assert trace["y"] == expected.histogram.tolist()
    assert trace["x"][-1] < found["max_feature_act"] == expected.maximum
    logits = [each["logit"] for each in found["logits"]["top_positive"]]
    assert logits == [weight for _, weight in expected.promotes]
    (group,) = found["sample_groups"]
    assert group["analysis_name"] == "top"
    sample = group["samples"][0]
    spans = [sample["text"][slice(*each["range"])] for each in sample["origins"]]
    assert spans == sample["context"]
    assert len(spans) == len(sample["feature_acts"])
    dead = ask(client, f"dictionaries/run:sae/features/{made_up.DEAD[0]}")
    assert (dead["act_times"], dead["interpretation"]) == (0, None)
    assert ask(client, "dictionaries/run:sae/features/random")["dictionary_name"] == "run:sae"
    ask(client, "dictionaries/run:sae/features/$where", status=404)
    custom = ask(client, "dictionaries/run:sae/features/0/custom", {}, input_text=TEXT)
    own = encoded.features[0].dense()[:, 0].tolist()
    assert custom["feature_acts"] == pytest.approx(own, abs=1e-3)
    said = {"type": "custom", "custom_interpretation": "ships"}
    told = ask(client, "dictionaries/run:sae/features/2/interpret", {}, **said)
    assert (told["text"], told["validation"]) == ("ships", [{"method": "manual", "passed": True}])
    assert ask(client, "dictionaries/run:sae/features/2")["interpretation"] == told
    ask(client, "dictionaries/run:sae/features/2/interpret", {}, 422, type="auto")


def test_all_features_of_a_text_of_2024(client, encoded):
    every = ask(client, "dictionaries/run:sae/custom", {}, input_text=TEXT)
    dense = encoded.features[0].dense().numpy()
    assert every["context"] == encoded.tokens
    assert every["feature_acts_indices"] == [np.flatnonzero(row).tolist() for row in dense]
    for row, indices, values, maxima in zip(
        dense,
        every["feature_acts_indices"],
        every["feature_acts"],
        every["max_feature_acts"],
        strict=True,
    ):
        assert values == pytest.approx(row[indices].tolist(), rel=1e-3)
        assert maxima == pytest.approx([made_up.feature(i).maximum for i in indices])


def test_generation_of_2024(client, sae, language_model):
    how = {"sae": "run:sae", "feature_index": 3, "steering_type": "set", "steering_value": 9}
    body = {"input_text": "In the", "max_new_tokens": 5, "temperature": 0, "steerings": [how]}
    found = ask(client, "model/generate", {**body, "saes": ["run:sae"]})
    edit = Edit(SAE.load(sae), 3, set=9.0)
    expected = steer(language_model, "In the", [edit], tokens=5, temperature=0)
    assert found["text"] == "In the" + expected.edited.text
    assert "".join(found["context"][-5:]) == expected.edited.text
    ids = [*expected.prompt.token_ids, *expected.edited.token_ids]
    assert (found["token_ids"], found["input_mask"]) == (ids, [1] * len(ids))
    # the likeliest token after each is the one that was written, and its logit the same
    logits, likeliest = found["logits"]["logits"], found["logits"]["token_ids"]
    assert [own[0] for own in likeliest[-6:-1]] == expected.edited.token_ids
    best = expected.edited.logits.max(1).values.tolist()
    assert [own[0] for own in logits[-6:-1]] == pytest.approx(best, abs=1e-2)
    assert {len(own) for own in logits} == {5}
    # it fires, as strong as it was set, wherever it was set: not on the first token
    (info,) = found["sae_info"]
    fires = [3 in own for own in info["feature_acts_indices"]]
    assert fires[1:] == [True] * (len(ids) - 1)
    plain = ask(client, "model/generate", {**body, "steerings": []})
    assert plain["text"] == "In the" + expected.default.text
    whole = ask(client, "model/generate", {**body, "input_text": ids, "max_new_tokens": 0})
    assert whole["token_ids"] == ids
    missing = {**how, "steering_value": None}
    ask(client, "model/generate", {**body, "steerings": [missing]}, 422)


def test_without_a_model_it_says_so(client):
    app = create_app(database=client.app.state.store.database, model="none")
    with TestClient(app, base_url="http://127.0.0.1") as without:
        feature = {"modelId": "model", "source": SOURCE, "index": 0}
        body = {"feature": feature, "customText": TEXT}
        assert "no language model" in ask(without, "api/activation/new", body, 503)["detail"]
        assert ask(without, f"api/feature/model/{SOURCE}/0")["index"] == "0"
