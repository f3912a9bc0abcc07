"""The tools that look at a cache and change nothing, and the one that deletes it."""

import builtins
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from lmsaes.cache.reader import ActivationCache, valid_positions
from lmsaes.cache.writer import CacheWriter, lock_cache
from lmsaes.cache_tools.inspect import PERCENTILES, describe
from lmsaes.demo import MODEL
from lmsaes.model.language_model import LanguageModel
from lmsaes.provenance import TextPosition
from lmsaes.text.tokenizer import token_strings, tokenizer_facts
from tests.cache.test_cache import data_files
from tests.support.made_up_cache import made_up_cache, made_up_manifest, made_up_tokens
from tests.support.tools import refused, tool

HOOKS = {"a": 5, "b.mlp": 8}


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_inspect_gives_the_statistics_of_the_rows(tmp_path, dtype):
    cache = made_up_cache(tmp_path / "c", 21, hooks=HOOKS, dtype=dtype)
    facts = json.loads(tool("inspect", tmp_path / "c", "--json"))
    assert facts["tokens"] == 84
    folder = tmp_path / "c"
    for hook in HOOKS:
        found = facts["hooks"][hook]
        norms = cache.activations(hook, 0, 21).float().norm(dim=-1).double().numpy()
        assert found["mean_norm_by_position"] == pytest.approx(norms.mean(0).tolist(), rel=1e-5)
        expected = norms[:, 0].mean() / norms[:, 1:].mean()
        assert found["first_position"]["times_the_others"] == pytest.approx(expected, rel=1e-5)
        assert found["norms"]["contexts"] == 21
        by_position = np.percentile(norms, PERCENTILES, axis=0).T
        assert np.allclose(found["norms"]["by_position"], by_position)
        pooled = np.percentile(norms[:, 2:4], PERCENTILES)
        assert np.allclose(found["norms"]["by_positions"]["2:4"], pooled)
        paths = [p for room in ("activations", "scales") for p in (folder / room / hook).glob("*")]
        assert found["bytes"] == sum(p.stat().st_size for p in paths)
    assert "first position" in tool("inspect", tmp_path / "c")


def test_inspect_names_outlier_channels(tmp_path):
    manifest = made_up_manifest(8, hooks={"h": 32})
    tokens = made_up_tokens(8, 4)
    rows = torch.randn(8, 4, 32, generator=torch.Generator().manual_seed(0))
    rows[:, :, 7] = 20 + rows[:, :, 7]
    rows[:, :, 30] *= 9
    with CacheWriter(tmp_path / "c", manifest) as writer:
        for start in range(0, 8, 2):
            part = slice(start, start + 2)
            valid = valid_positions(tokens[part], (0,))
            writer.write(tokens[part], {"h": rows[part]}, valid, TextPosition())
        writer.finish()
    cache = ActivationCache.open(tmp_path / "c")
    found = describe(cache)["hooks"]["h"]["outlier_channels"]
    kept = rows[cache.valid_positions(tokens)].double()
    sizes = kept.square().mean(0).sqrt()
    assert [each["channel"] for each in found["largest"]] == [7, 30]
    assert found["count"] == 2
    for each in found["largest"]:
        size = sizes[each["channel"]] / np.median(sizes)
        assert each["times_the_median"] == pytest.approx(float(size), rel=1e-5)
        column = kept[:, each["channel"]]
        assert each["mean"] == pytest.approx(float(column.mean()), rel=1e-5)
        assert each["deviation"] == pytest.approx(float(column.std(unbiased=False)), rel=1e-5)


def test_inspect_reads_a_bounded_sample_by_seed(tmp_path, monkeypatch):
    from lmsaes.cache_tools import inspect as module

    cache = made_up_cache(tmp_path / "c", 40)
    monkeypatch.setattr(module, "_SAMPLED_BYTES", 5 * 2 * cache.context_size * 3 * 4)
    sampled = [describe(cache, seed)["hooks"]["hook"]["norms"] for seed in (0, 0, 1)]
    assert [each["contexts"] for each in sampled] == [10, 10, 10]
    assert sampled[0] == sampled[1]
    assert sampled[0] != sampled[2]


def test_inspect_draws_a_picture(tmp_path, monkeypatch):
    made_up_cache(tmp_path / "c", 9, hooks=HOOKS)
    assert "plot: " in tool("inspect", tmp_path / "c", "--plot", tmp_path / "out.png")
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
    nowhere = refused("inspect", tmp_path / "c", "--plot", tmp_path / "no/out.png")
    assert "no folder" in nowhere
    assert "can't be written" in refused("inspect", tmp_path / "c", "--plot", tmp_path / "o.xyz")
    real = builtins.__import__

    def without_matplotlib(name, *more):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *more)

    monkeypatch.setattr(builtins, "__import__", without_matplotlib)
    line = refused("inspect", tmp_path / "c", "--plot", tmp_path / "out.png")
    assert "needs matplotlib" in line
    assert "lmsaes[plot]" in line


def test_sample_prints_contexts_with_texts_and_norms(tmp_path, language_model: LanguageModel):
    facts = tokenizer_facts(language_model.tokenizer)
    manifest = made_up_manifest(9, hooks=HOOKS)
    manifest.model = manifest.model.model_copy(update={"name": str(MODEL)})
    manifest.text = manifest.text.model_copy(update={"tokenizer_hash": facts.hash})
    cache = _written(tmp_path / "c", manifest)
    names = token_strings(language_model.tokenizer, 50)
    found = json.loads(tool("sample", tmp_path / "c", "--context", 4, "--json"))["contexts"][0]
    assert found["tokens"] == cache.tokens(4, 5)[0].tolist()
    assert found["texts"] == [names[token] for token in found["tokens"]]
    for hook in HOOKS:
        norms = cache.activations(hook, 4, 5)[0].norm(dim=-1)
        assert found["norms"][hook] == pytest.approx(norms.tolist())
    printed = tool("sample", tmp_path / "c", "--count", 2, "--hook", "b*")
    assert printed.count("context ") == 2
    assert printed.count("(special)") >= 2
    assert printed == tool("sample", tmp_path / "c", "--count", 2, "--hook", "b*")
    line = refused("sample", tmp_path / "c", "--context", 9)
    assert "context 9 is not in" in line


def test_sample_does_without_a_tokenizer_it_cannot_have(tmp_path):
    made_up_cache(tmp_path / "c", 3)
    assert '""' not in tool("sample", tmp_path / "c")
    manifest = made_up_manifest(3)
    manifest.model = manifest.model.model_copy(update={"name": str(MODEL)})
    _written(tmp_path / "other", manifest)
    found = json.loads(tool("sample", tmp_path / "other", "--json"))
    assert found["contexts"][0]["texts"] is None  # the tokenizer is not the one it was made with


def _written(folder: Path, manifest) -> ActivationCache:
    from tests.support.made_up_cache import write_made_up_cache

    write_made_up_cache(folder, manifest)
    return ActivationCache.open(folder)


def test_rm_deletes_a_cache_and_nothing_else(tmp_path):
    folder = tmp_path / "c"
    made_up_cache(folder, 9, hooks=HOOKS, dtype="int8")
    assert "say so with --yes" in refused("rm", folder)
    lock = lock_cache(folder)
    assert "another process is writing" in _in_another_process("rm", str(folder), "--yes")
    lock.release()
    (folder / "note.txt").write_text("mine")
    assert "note.txt stay" in tool("rm", folder, "--yes")
    assert [path.name for path in folder.iterdir()] == ["note.txt"]
    assert "not an activation cache" in refused("rm", folder, "--yes")
    assert "not an activation cache" in refused("rm", tmp_path, "--yes")
    assert (folder / "note.txt").read_text() == "mine"
    made_up_cache(tmp_path / "d", 9, format="zarr")
    tool("rm", tmp_path / "d", "--yes")
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("format", ["safetensors", "zarr"])
def test_rm_leaves_files_of_others_inside_a_cache(tmp_path, format):
    folder = tmp_path / "c"
    made_up_cache(folder, 9, hooks=HOOKS, format=format)
    room = next(path for path in (folder / "activations").iterdir() if path.is_dir())
    others = [folder / "tokens/notes.txt", room / "plot.png", folder / "shards/mine.json"]
    for path in others:
        path.write_text("mine")
    tool("rm", folder, "--yes")
    assert [path for path in sorted(folder.rglob("*")) if path.is_file()] == sorted(others)


def test_rm_of_a_link_deletes_nothing(tmp_path):
    made_up_cache(tmp_path / "c", 9, hooks=HOOKS)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "c")
    before = data_files(tmp_path / "c")
    message = refused("rm", link, "--yes")
    assert f"is a link to {tmp_path / 'c'}: nothing is deleted" in message
    assert f"lmsaes tools rm {tmp_path / 'c'}" in message
    assert link.is_symlink()
    assert data_files(tmp_path / "c") == before
    # data that somebody has moved to another disk: the files go, the link stays
    (tmp_path / "c/activations").rename(tmp_path / "moved")
    (tmp_path / "c/activations").symlink_to(tmp_path / "moved")
    (tmp_path / "moved/mine").write_text("mine")
    assert "activations stay there" in tool("rm", tmp_path / "c", "--yes")
    assert [path for path in (tmp_path / "moved").rglob("*") if path.is_file()] == [
        tmp_path / "moved/mine"
    ]


def _in_another_process(*words: str) -> str:
    script = Path(sys.executable).with_name("lmsaes")
    result = subprocess.run([script, "tools", *words], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    return result.stderr


def test_output_may_be_cut_off(tmp_path):
    made_up_cache(tmp_path / "c", 9)
    script = Path(sys.executable).with_name("lmsaes")
    command = f"{script} tools sample {tmp_path / 'c'} --count 9 | head -c 10"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert result.stdout == "context 0\n"
    assert "error" not in result.stderr
