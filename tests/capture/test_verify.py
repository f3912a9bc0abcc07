"""`lmsaes tools verify --against-model`: what a cache holds is what its model says of its text."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from lmsaes import ActivationCache, cache_activations
from lmsaes.cache.manifest import write_manifest
from lmsaes.cache.writer import CacheWriter
from lmsaes.cache_tools.convert import convert
from lmsaes.cache_tools.merge import merge
from lmsaes.cache_tools.slice import cut_out
from lmsaes.capture.verify import verify_against_model
from lmsaes.cli.app import app
from lmsaes.demo import HELDOUT, MODEL, TEXT
from lmsaes.provenance import TextPosition
from tests.support.small_capture import SMALL
from tests.support.tools import refused, tool

HOOKS = ["blocks.0.hook_resid_post", "blocks.1.hook_mlp_out"]
COMMON: dict[str, Any] = {**SMALL, "hooks": HOOKS, "tokens": 1300}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> ActivationCache:
    return cache_activations(**COMMON, out=tmp_path_factory.mktemp("verify_against_model") / "c")


def rewritten(cache: ActivationCache, folder: Path, change: Any) -> ActivationCache:
    """The same manifest and text over activations that `change(hook, rows)` gives."""
    manifest = cache.manifest.model_copy(
        update={"shards": [], "contexts": 0, "complete": False}, deep=True
    )
    tokens = cache.tokens(0, cache.contexts)
    rows = {h: change(h, cache.activations(h, 0, cache.contexts).clone()) for h in cache.hooks}
    documents = cache.documents(0, cache.contexts)
    valid = cache.valid_positions(tokens)
    with CacheWriter(folder, manifest) as writer:
        start = 0
        while start < cache.contexts:
            part = slice(start, start + min(4, writer.shard_room))
            some = {hook: each[part] for hook, each in rows.items()}
            end = TextPosition()
            writer.write(tokens[part], some, valid[part], end, documents[part])
            start = part.stop
        writer.finish()
    return ActivationCache.open(folder)


@pytest.mark.parametrize(
    ("stored", "weights", "model_dtype"),
    [
        ("float16", "raw", "float32"),
        ("bfloat16", "raw", "bfloat16"),
        ("int8", "raw", "float32"),
        ("float32", "processed", "float32"),
    ],
)
def test_a_sound_cache_passes(tmp_path, stored, weights, model_dtype):
    settings = {"dtype": stored, "weights": weights, "model_dtype": model_dtype}
    cache_activations(**COMMON | settings, out=tmp_path / "c")
    printed = json.loads(tool("verify", tmp_path / "c", "--against-model", "7", "--json"))
    assert printed["faults"] == []
    found = printed["against_model"]
    assert len(set(found["contexts"])) == 7
    assert found["tokens_compared"] == 7 * 32
    assert found["weights"] == weights
    assert list(found["hooks"]) == HOOKS
    for each in found["hooks"].values():
        assert each["rows_beyond"] == 0
        assert each["typical"] <= each["largest"] * 1.01 + 1e-12
        assert each["largest"] <= each["explained"]


def test_contexts_are_drawn_by_seed(cache):
    drawn = [verify_against_model(cache, 5, seed, device="cpu").contexts for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(verify_against_model(cache, 1000, device="cpu").contexts) == cache.contexts


def test_copies_pass_by_what_was_lost_before(tmp_path, cache):
    convert(cache, tmp_path / "int8", dtype="int8")
    convert(ActivationCache.open(tmp_path / "int8"), tmp_path / "float32", dtype="float32")
    cut_out(cache, tmp_path / "part", contexts="7:30")
    other = cache_activations(
        **COMMON | {"dataset": str(TEXT), "tokens": 300}, out=tmp_path / "other"
    )
    merge([cache, other], tmp_path / "both")
    for name in ("int8", "float32", "part", "both"):
        copied = ActivationCache.open(tmp_path / name)
        found = verify_against_model(copied, copied.contexts, device="cpu")
        assert found.faults == [], name
        assert found.tokens_compared == copied.rows, name


def test_swapped_rows_are_found_by_hook_and_context(tmp_path, cache):
    def swap(hook: str, rows: torch.Tensor) -> torch.Tensor:
        if hook == HOOKS[1]:
            rows[[5, 9]] = rows[[9, 5]]
            rows[11, [3, 4]] = rows[11, [4, 3]]
        return rows

    rewritten(cache, tmp_path / "c", swap)
    tool("verify", tmp_path / "c", "--deep")
    result = CliRunner().invoke(app, ["tools", "verify", str(tmp_path / "c"), "--against-model",
                                      "1000"])  # fmt: skip
    assert result.exit_code == 1
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert f"hook '{HOOKS[1]}' is not the model's" in line
    assert "of contexts 5, 9, 11;" in line


def test_tokens_of_another_text_are_found(tmp_path, cache):
    other = cache_activations(**COMMON | {"dataset": str(TEXT)}, out=tmp_path / "other")
    manifest = other.manifest.model_copy(update={"text": cache.manifest.text})
    write_manifest(tmp_path / "other", manifest)
    found = verify_against_model(ActivationCache.open(tmp_path / "other"), 3, device="cpu")
    assert len(found.faults) == 3
    assert all("is not the text's in" in fault for fault in found.faults)


@pytest.mark.parametrize("weights", ["raw", "processed"])
def test_other_weights_are_found_by_the_rows_too(tmp_path, weights):
    shutil.copytree(MODEL, tmp_path / "model")
    arguments = COMMON | {"model": str(tmp_path / "model"), "weights": weights}
    cache_activations(**arguments, out=tmp_path / "c")
    tensors = load_file(tmp_path / "model/model.safetensors")
    name = next(name for name in tensors if ".0." in name and "mlp" in name and "weight" in name)
    tensors[name] = tensors[name] * 1.01
    save_file(tensors, tmp_path / "model/model.safetensors", metadata={"format": "pt"})
    found = verify_against_model(ActivationCache.open(tmp_path / "c"), 2, device="cpu")
    assert "weights of" in found.faults[0]
    assert [fault.split("'")[1] for fault in found.faults[1:]] == HOOKS
    named = verify_against_model(
        ActivationCache.open(tmp_path / "c"), 2, model=str(MODEL), device="cpu"
    )
    assert named.faults == []


def test_a_text_that_cannot_be_had_is_told_and_no_fault(tmp_path):
    shutil.copy(HELDOUT, tmp_path / "text.jsonl.gz")
    cache = cache_activations(
        **COMMON | {"dataset": str(tmp_path / "text.jsonl.gz")}, out=tmp_path / "c"
    )
    shutil.copy(TEXT, tmp_path / "text.jsonl.gz")
    found = verify_against_model(cache, 2, device="cpu")
    assert found.faults == []
    assert found.tokens_compared == 0
    assert "has changed" in found.notes[0]
    (tmp_path / "text.jsonl.gz").unlink()
    printed = tool("verify", tmp_path / "c", "--against-model", "2")
    assert "tokens weren't compared: there is no file or folder" in printed


def test_a_model_that_cannot_run_the_cache_is_told_in_one_line(tmp_path, cache):
    manifest = cache.manifest.model_copy(deep=True)
    shutil.copytree(cache.path, tmp_path / "c")
    manifest.model = manifest.model.model_copy(update={"name": str(tmp_path / "gone")})
    write_manifest(tmp_path / "c", manifest)
    assert "there is no folder" in refused("verify", tmp_path / "c", "--against-model", "2")
    shutil.copytree(MODEL, tmp_path / "gone")
    config = json.loads((tmp_path / "gone/config.json").read_text())
    assert "is sound" in tool("verify", tmp_path / "c", "--against-model", "2")
    tensors = load_file(tmp_path / "gone/model.safetensors")
    for name, tensor in tensors.items():
        if tensor.shape[0] == config["vocab_size"]:
            tensors[name] = tensor[:100].clone()
    save_file(tensors, tmp_path / "gone/model.safetensors", metadata={"format": "pt"})
    config["vocab_size"] = 100
    (tmp_path / "gone/config.json").write_text(json.dumps(config))
    line = refused("verify", tmp_path / "c", "--against-model", "2")
    assert "holds token id" in line
