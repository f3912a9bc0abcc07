"""The routes that ask the model, on a second architecture and on an SAE that was imported.

The imported SAE is the trained one as SAELens' folder: the same features by another way."""

from collections.abc import Iterator

import pytest
import torch
from fastapi.testclient import TestClient

from lmsaes import (
    SAE,
    Database,
    LanguageModel,
    TopKConfig,
    analyze,
    cache_activations,
    encode_text,
    export_sae,
    import_sae,
    steer,
    train,
)
from lmsaes.database import EmbeddedServer
from lmsaes.server.app import create_app
from lmsaes.steering import Edit, loss_effect
from tests.server.test_live import TEXT, events_of, post
from tests.support.small_capture import SMALL
from tests.support.tiny_models import tiny_llama

HOOK = "blocks.1.hook_resid_post"
SAES = ["run:topk", "run:imported"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("live-llama")


@pytest.fixture(scope="module")
def database(folder) -> Iterator[Database]:
    model = tiny_llama(folder / "model")
    how = {**SMALL, "model": model}
    cache = cache_activations(**how, hooks=[HOOK], out=str(folder / "cache"), tokens=1024)
    config = TopKConfig(name="topk", hook=HOOK, k=6, features=64)
    train(cache, [config], out=str(folder / "run"), tokens=1024, batch_size=128, device="cpu")
    export_sae(folder / "run" / "topk", to="saelens", out=folder / "saelens")
    # the exported folder has no path of this machine in it
    import_sae(folder / "saelens", out=folder / "run" / "imported", model=model)
    with EmbeddedServer(folder / "db") as server, Database(f"{server.uri}/llama") as database:
        analyze(str(folder / "run"), cache, database, device="cpu")
        yield database


@pytest.fixture(scope="module")
def client(database) -> Iterator[TestClient]:
    with TestClient(create_app(database=database, device="cpu")) as client:
        yield client


@pytest.fixture(scope="module")
def lm(folder, database) -> LanguageModel:
    return LanguageModel.load(str(folder / "model"), "cpu")


@pytest.fixture(scope="module")
def sae(folder, database) -> SAE:
    return SAE.load(folder / "run" / "topk")


@pytest.fixture(scope="module")
def feature(lm, sae) -> int:
    """One that fires in the text."""
    return int(encode_text(lm, sae, TEXT).features[0].dense()[1:].sum(0).argmax())


@pytest.mark.parametrize("name", SAES)
def test_own_text(client, lm, sae, feature, name):
    found = post(client, f"saes/{name}/activations", {"text": TEXT, "features": [feature]})
    encoded = encode_text(lm, sae, TEXT)
    dense = encoded.features[0].dense()
    assert found["active"] == [6] * len(encoded.tokens)
    assert found["chosen"][0]["values"] == pytest.approx(dense[:, feature].tolist(), abs=1e-3)
    strongest = dense[1:].max(0).values.max().item()
    assert found["features"][0]["maximum"] == pytest.approx(strongest, rel=1e-3)
    known = [token["log_probability"] for token in found["tokens"][1:]]
    assert known == pytest.approx(encoded.log_probabilities[1:].tolist(), abs=1e-3)


@pytest.mark.parametrize("name", SAES)
def test_steering(client, lm, sae, feature, name):
    edits = [[{"sae": name, "feature": feature, "method": "add", "value": v}] for v in (0.0, 9.0)]
    asked = {"prompt": "And the", "edits": edits, "tokens": 5}
    events = events_of(client.post("/api/steer", json=asked))
    done = {event["set"]: event for event in events if event["event"] == "completion"}
    grid = [[Edit(sae, feature, add=value)] for value in (0.0, 9.0)]
    expected = steer(lm, "And the", grid, tokens=5)
    assert done[None]["token_ids"] == done[0]["token_ids"] == expected.default.token_ids
    assert done[0]["kl"] == [0.0] * 5
    assert done[1]["token_ids"] == expected.sets[1].token_ids
    assert done[1]["kl"] == pytest.approx(expected.sets[1].kl.tolist(), rel=1e-2, abs=1e-4)
    assert max(done[1]["kl"]) > 1e-3


@pytest.mark.parametrize("name", SAES)
def test_loss_effect(client, database, lm, sae, feature, name):
    record = database.sae(name)
    contexts = database.samples(record.analysis, [feature], "top")[feature].contexts[:3].tolist()
    asked = {"contexts": contexts, "analysis": record.analysis}
    found = post(client, f"saes/{name}/features/{feature}/loss-effect", asked)
    assert [each["context"] for each in found["contexts"]] == contexts
    for each in found["contexts"]:
        tokens = database.contexts(record.cache, [each["context"]])[each["context"]]
        [wanted] = loss_effect(lm, sae, feature, torch.tensor(tokens)[None].long()).tolist()
        assert each["changes"][-1] is None
        assert each["changes"][:-1] == pytest.approx(wanted[:-1], rel=1e-2, abs=1e-3)
        assert max(map(abs, each["changes"][:-1])) > 1e-3


def test_both_ways_to_one_sae_agree(client):
    """One request; the model is loaded once for both, though only one names a cache."""
    asked = {"saes": SAES, "texts": [TEXT, "the sea"], "limit": 5}
    for trained, imported in post(client, "compare/activations", asked)["results"]:
        assert [f["index"] for f in trained["features"]] == [
            f["index"] for f in imported["features"]
        ]
        for one, other in zip(trained["features"], imported["features"], strict=True):
            assert one["values"] == pytest.approx(other["values"], abs=1e-3)
