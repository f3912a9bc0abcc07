"""The shuffled copy of a cache's rows."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from lmsaes.cache_tools import shuffle as module
from lmsaes.cache_tools.shuffle import shuffle
from tests.support.made_up_cache import made_up_cache
from tests.support.tools import refused, tool

HOOKS = {"a": 5, "b.mlp": 8}


def shards(folder: Path, name: str) -> list[torch.Tensor]:
    paths = sorted((folder / name).glob("shard-*.safetensors"))
    return [load_file(path)[name.split("/")[0]] for path in paths]


def contents(folder: Path) -> dict[str, bytes]:
    paths = [p for p in folder.rglob("*") if p.is_file()]
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in paths}


@given(
    contexts=st.integers(1, 40),
    format=st.sampled_from(["safetensors", "zarr"]),
    dtype=st.sampled_from(["float32", "float16", "bfloat16", "int8"]),
    keep_special=st.booleans(),
    seed=st.integers(0, 2**32),
    shard_size=st.integers(1, 2000),
)
@settings(max_examples=8)
def test_every_row_is_there_once_in_the_order_of_its_key(
    tmp_path_factory, contexts, format, dtype, keep_special, seed, shard_size
):
    folder = tmp_path_factory.mktemp("shuffle")
    cache = made_up_cache(folder / "c", contexts, hooks=HOOKS, format=format, dtype=dtype)
    facts = shuffle(
        cache, folder / "s", seed=seed, keep_special=keep_special, shard_size=shard_size
    )
    kept = cache.valid_positions(cache.tokens(0, contexts)).flatten().numpy() | keep_special
    keys = np.random.default_rng(seed).integers(0, 1 << 64, cache.rows, np.uint64)
    expected = np.argsort(keys, kind="stable")
    expected = expected[kept[expected]]
    rows = torch.cat(shards(folder / "s", "rows"))
    assert rows.tolist() == expected.tolist()
    assert facts["rows"] == len(rows)
    for hook, d_model in HOOKS.items():
        parts = shards(folder / "s", f"activations/{hook}")
        assert all(len(part) == facts["rows_per_shard"] for part in parts[:-1])
        found = torch.cat(parts)
        assert found.shape == (len(rows), d_model)
        every = cache.activations(hook, 0, contexts).flatten(0, 1)
        assert torch.equal(found, every[rows].half() if dtype == "int8" else every[rows])
    assert not (folder / "s/.buckets").exists()


def test_neither_memory_nor_storage_changes_a_byte(tmp_path, monkeypatch):
    settings = {"hooks": {"a": 64}, "block_contexts": 4, "shard_contexts": 32, "batch_size": 4}
    one = made_up_cache(tmp_path / "one", 256, **settings)
    other = made_up_cache(tmp_path / "other", 256, format="zarr", **settings)
    buckets = []
    spread = module._spread
    monkeypatch.setattr(module, "_spread", lambda *a: (buckets.append(a[4]), spread(*a))[1])
    facts = shuffle(one, tmp_path / "a", shard_size="8KiB")
    shuffle(other, tmp_path / "b", shard_size="8KiB", memory="72KiB")
    a, b = contents(tmp_path / "a"), contents(tmp_path / "b")
    for name in ("shuffled.json", "README.md"):
        del a[name], b[name]  # they name the cache, of which the storage is a part
    assert a == b
    assert len(a) == 2 * -(-facts["rows"] * 64 * 4 // 8192)  # rows are in as many files
    assert buckets[0] == 1
    assert buckets[3] > 3


def test_shuffle_says_what_it_wrote_and_goes_on_after_an_interruption(tmp_path):
    made_up_cache(tmp_path / "c", 9, hooks=HOOKS, dtype="int8")
    words = ("shuffle", tmp_path / "c", "--hook", "b*", "--out", tmp_path / "s", "--seed", 3)
    assert "holds 24 rows" in tool(*words)
    whole = contents(tmp_path / "s")
    record = json.loads(whole["shuffled.json"])
    assert record["hooks"] == {"b.mlp": {"d_model": 8, "dtype": "float16"}}
    assert record["seed"] == 3
    assert record["text"]["dataset"] == "made-up"
    tool(*words)
    assert contents(tmp_path / "s") == whole
    # as an interruption leaves it
    record["complete"] = False
    (tmp_path / "s/shuffled.json").write_text(json.dumps(record))
    (tmp_path / "s/.buckets").mkdir()
    (tmp_path / "s/.buckets/0.keys").write_text("half")
    (tmp_path / "s/rows/shard-00000.safetensors").unlink()
    tool(*words)
    assert contents(tmp_path / "s") == whole


def test_what_cannot_be_shuffled_is_refused_and_nothing_is_touched(tmp_path):
    made_up_cache(tmp_path / "c", 9, hooks=HOOKS)
    made_up_cache(tmp_path / "large", 20_000, hooks={"a": 2}, block_contexts=512,
                  shard_contexts=2048, batch_size=512)  # fmt: skip
    (tmp_path / "full").mkdir()
    (tmp_path / "full/note.txt").write_text("mine")
    out, c = tmp_path / "s", tmp_path / "c"
    before = contents(c)
    assert "not an empty folder" in refused("shuffle", c, "--out", tmp_path / "full")
    assert "is a file" in refused("shuffle", c, "--out", tmp_path / "full/note.txt")
    assert "not apart" in refused("shuffle", c, "--out", c / "inside")
    assert "does not hold" in refused("shuffle", c, "--hook", "x", "--out", out)
    assert "too little for blocks" in refused("shuffle", c, "--memory", "1KiB", "--out", out)
    assert not out.exists()
    tool("shuffle", c, "--out", out)
    assert "seed would differ" in refused("shuffle", c, "--out", out, "--seed", 1)
    large = refused("shuffle", tmp_path / "large", "--dtype", "float16", "--out", tmp_path / "l")
    assert "does not fit float16" in large
    assert contents(c) == before
    assert (tmp_path / "full/note.txt").read_text() == "mine"


@pytest.mark.parametrize("contexts", [1, 300])
def test_rows_of_a_context_are_torn_apart(tmp_path, contexts):
    """Where a row goes says nothing of where its neighbor goes."""
    cache = made_up_cache(tmp_path / "c", contexts, block_contexts=64, shard_contexts=64)
    shuffle(cache, tmp_path / "s", keep_special=True)
    order = torch.cat(shards(tmp_path / "s", "rows"))
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order))
    if contexts == 1:
        assert sorted(order.tolist()) == [0, 1, 2, 3]
        return
    pairs = torch.stack([place[:-1], place[1:]]).double()
    assert abs(float(torch.corrcoef(pairs)[0, 1])) < 0.1
