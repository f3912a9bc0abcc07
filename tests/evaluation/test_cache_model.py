"""A model beside a cache is the one that made it, or is refused by what differs."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from lmsaes import cache_activations
from lmsaes.demo import MODEL
from lmsaes.errors import ModelError
from lmsaes.evaluation.cache_model import load_cache_model
from tests.support.small_capture import SMALL


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    out = tmp_path_factory.mktemp("cache_model") / "c"
    return cache_activations(**SMALL, hooks=["blocks.0.hook_resid_post"], tokens=320, out=out)


def test_the_model_that_made_the_cache_is_taken_wherever_it_is(cache, tmp_path):
    assert load_cache_model(cache).record == cache.manifest.model
    moved = shutil.copytree(MODEL, tmp_path / "moved")
    assert load_cache_model(cache, str(moved)).record.name == str(moved)


@pytest.mark.parametrize("other", ["weights", "tokenizer", "configuration"])
def test_another_model_is_refused_by_what_differs(cache, tmp_path, other):
    folder = shutil.copytree(MODEL, tmp_path / "other")
    match other:
        case "weights":
            path = folder / "model.safetensors"
            weights = load_file(path)
            name = next(n for n in sorted(weights) if n.endswith("ln_f.weight"))
            weights[name] = torch.full_like(weights[name], 0.5)
            save_file(weights, path, {"format": "pt"})
        case "tokenizer":
            path = folder / "tokenizer.json"
            content = json.loads(path.read_text())
            vocabulary = content["model"]["vocab"]
            a, b = list(vocabulary)[-2:]
            vocabulary[a], vocabulary[b] = vocabulary[b], vocabulary[a]
            path.write_text(json.dumps(content))
        case _:
            path = folder / "config.json"
            content = json.loads(path.read_text())
            path.write_text(json.dumps(content | {"layer_norm_epsilon": 1e-3}))
    with pytest.raises(ModelError, match=f"other is not the model .*: another {other}$") as error:
        load_cache_model(cache, str(folder))
    assert "--model" in (error.value.hint or "")
