"""Copies of caches: convert, slice and merge."""

import itertools
import json
import random
import time
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lmsaes import ShuffledLoader
from lmsaes.cache.manifest import MANIFEST, Manifest, SourceRecord, read_manifest, write_manifest
from lmsaes.cache.reader import ActivationCache
from lmsaes.cache_tools.convert import convert
from lmsaes.cache_tools.merge import merge
from lmsaes.cache_tools.slice import cut_out
from lmsaes.cache_tools.verify import verify
from lmsaes.errors import CacheError
from tests.support.commands import children
from tests.support.made_up_cache import (
    made_up_cache,
    made_up_documents,
    made_up_manifest,
    write_made_up_cache,
)
from tests.support.tools import refused, tool

HOOKS = {"a": 5, "b.mlp": 8}


def files(folder: Path) -> dict[str, bytes]:
    """All files of a cache but its lock, and its manifest without the time."""
    found = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in (MANIFEST, ".lock")
    }
    manifest = read_manifest(folder).model_dump(exclude={"created"})
    return found | {MANIFEST: json.dumps(manifest, default=str).encode()}


def assert_same_contents(one: ActivationCache, other: ActivationCache) -> None:
    assert torch.equal(one.tokens(0, one.contexts), other.tokens(0, other.contexts))
    for hook in one.hooks:
        expected = other.activations(hook, 0, other.contexts)
        assert torch.equal(one.activations(hook, 0, one.contexts).float(), expected.float())


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int8"])
@given(
    contexts=st.integers(1, 21),
    shard_blocks=st.integers(1, 4),
    into=st.sampled_from(["safetensors", "zarr"]),
    compression=st.sampled_from(["none", "zstd", "lz4", "blosc"]),
    shard_size=st.integers(1, 800),
    block_size=st.integers(1, 300),
)
@settings(max_examples=5)
def test_converting_there_and_back_gives_the_same_cache(
    tmp_path_factory, dtype, contexts, shard_blocks, into, compression, shard_size, block_size
):
    folder = tmp_path_factory.mktemp("convert")
    source = made_up_cache(
        folder / "a", contexts, hooks=HOOKS, dtype=dtype, shard_contexts=2 * shard_blocks
    )
    before = files(folder / "a")
    there = convert(
        source,
        folder / "b",
        into,
        compression=compression if into == "zarr" else None,
        shard_size=shard_size,
        block_size=block_size,
    ).cache
    assert_same_contents(there, source)
    assert verify(folder / "b", deep=True) == []
    assert there.identity == source.identity
    assert {record.storage_error for record in there.hooks.values()} == {0.0}
    back = convert(there, folder / "c", "safetensors", compression="none").cache
    assert_same_contents(back, source)
    for hook, record in source.hooks.items():
        assert back.manifest.sources[0].dtypes[hook] == (dtype,)
        assert back.manifest.sources[0].storage_errors[hook] == record.storage_error
        # other batches are centered on other points, in float32
        mean = pytest.approx(record.statistics.mean, rel=1e-5, abs=1e-6)
        assert back.hooks[hook].statistics.mean == mean
    assert files(folder / "a") == before


@given(cuts=st.lists(st.integers(1, 21), max_size=4), dtype=st.sampled_from(["float16", "int8"]))
@settings(max_examples=6)
def test_merging_the_slices_of_a_cache_gives_it_back(tmp_path_factory, cuts, dtype):
    folder = tmp_path_factory.mktemp("slices")
    whole = made_up_cache(folder / "whole", 22, hooks=HOOKS, dtype=dtype)
    edges = sorted({0, 22, *cuts})
    parts = [
        cut_out(whole, folder / str(start), contexts=f"{start}:{stop}").cache
        for start, stop in itertools.pairwise(edges)
    ]
    for part, start in zip(parts, edges, strict=False):
        assert torch.equal(part.tokens(0, 1), whole.tokens(start, start + 1))
        assert (part.identity == whole.identity) == (start == 0)
    if len(parts) == 1:
        return
    merged = merge(parts, folder / "merged").cache
    assert_same_contents(merged, whole)
    assert merged.identity == whole.identity
    assert merged.manifest.text == whole.manifest.text
    assert verify(folder / "merged", deep=True) == []


def test_a_merged_cache_trains_and_says_of_which_text_it_is(tmp_path):
    text = made_up_manifest(1).text
    parts = []
    for name, contexts in (("x", 7), ("y", 9)):
        manifest = made_up_manifest(contexts)
        manifest.text = text.model_copy(update={"dataset": name, "fingerprint": name})
        write_made_up_cache(tmp_path / name, manifest)
        parts.append(ActivationCache.open(tmp_path / name))
    tool("merge", tmp_path / "x", tmp_path / "y", "--out", tmp_path / "xy")
    merged = ActivationCache.open(tmp_path / "xy")
    record = merged.manifest
    assert record.text.dataset == "x + y"
    assert [(s.text, s.first_context, s.contexts) for s in record.sources] == [
        (part.manifest.text, 0, part.contexts) for part in parts
    ]
    assert merged.identity not in {part.identity for part in parts}
    rows = torch.cat(list(ShuffledLoader(merged, "hook", batch_size=8, memory="64MiB")))
    expected = torch.cat([p.activations("hook", 0, p.contexts).flatten(0, 1) for p in parts])
    assert sorted(rows.tolist()) == sorted(expected.tolist())
    # a slice over the seam keeps both parts' records
    sliced = cut_out(merged, tmp_path / "seam", contexts="5:10").cache.manifest
    assert [(s.text.dataset, s.first_context, s.contexts) for s in sliced.sources] == [
        ("x", 5, 2),
        ("y", 0, 3),
    ]


def test_losing_bits_is_measured_and_told(tmp_path):
    source = made_up_cache(tmp_path / "a", 20, hooks=HOOKS)
    for dtype in ("float16", "bfloat16", "int8"):
        printed = tool("convert", tmp_path / "a", "--out", tmp_path / dtype, "--dtype", dtype)
        copied = ActivationCache.open(tmp_path / dtype)
        for hook in HOOKS:
            exact = source.activations(hook, 0, 20)[
                source.valid_positions(source.tokens(0, 20))
            ].double()
            rounded = copied.activations(hook, 0, 20)[source.valid_positions(source.tokens(0, 20))]
            lost = (exact - rounded.double()).square().sum() / (
                exact - exact.mean(0)
            ).square().sum()
            assert copied.hooks[hook].storage_error == pytest.approx(float(lost), rel=1e-4)
            assert f"storing it as {dtype} lost {float(lost):.2g}" in printed
    # what was lost before stays on record
    tool("convert", tmp_path / "int8", "--out", tmp_path / "again", "--dtype", "float32")
    again = read_manifest(tmp_path / "again").sources[0]
    before = ActivationCache.open(tmp_path / "int8").hooks
    assert again.dtypes["a"] == ("float32", "int8")
    assert again.storage_errors["a"] == before["a"].storage_error


def test_documents_keep_their_numbers_and_texts_share_none(tmp_path):
    one = made_up_cache(tmp_path / "one", 9, documents=True)
    other = made_up_manifest(5, documents=True)
    other.text = other.text.model_copy(update={"fingerprint": "1"})
    write_made_up_cache(tmp_path / "other", other)
    parts = [
        cut_out(one, tmp_path / f"part-{i}", contexts=cut).cache
        for i, cut in enumerate([":5", "5:"])
    ]
    whole = merge([*parts, ActivationCache.open(tmp_path / "other")], tmp_path / "whole").cache
    documents = made_up_documents(9, 4)
    assert torch.equal(parts[1].documents(0, 4), documents[5:])
    assert torch.equal(whole.documents(0, 9), documents)
    expected = made_up_documents(5, 4)
    expected[expected >= 0] += documents.max() + 1
    assert torch.equal(whole.documents(9, 14), expected)
    old = made_up_cache(tmp_path / "old", 4)
    with pytest.raises(CacheError, match="does not keep which document"):
        old.documents(0, 1)
    assert not merge([parts[0], old], tmp_path / "mixed").cache.manifest.documents


def test_slicing_by_hook_keeps_the_numbers(tmp_path):
    source = made_up_cache(tmp_path / "a", 9, hooks=HOOKS)
    tool("slice", tmp_path / "a", "--hook", "b*", "--out", tmp_path / "b")
    sliced = ActivationCache.open(tmp_path / "b")
    assert list(sliced.hooks) == ["b.mlp"]
    assert sliced.identity == source.identity
    assert sliced.hooks["b.mlp"] == source.hooks["b.mlp"]
    assert_same_contents(sliced, source)


def _convert_slowly(source: Path, out: Path) -> None:
    convert(ActivationCache.open(source), out, "zarr", "int8", "zstd")


def test_a_killed_conversion_goes_on_to_the_same_bytes(tmp_path):
    made_up_cache(tmp_path / "a", 64, hooks=HOOKS)
    _convert_slowly(tmp_path / "a", tmp_path / "whole")
    out, generator, shards = tmp_path / "killed", random.Random(0), set()
    for _ in range(5):
        child = children.Process(target=_convert_slowly, args=(tmp_path / "a", out))
        child.start()
        while child.is_alive() and not (out / MANIFEST).exists():
            time.sleep(0.001)
        time.sleep(generator.uniform(0, 0.1))
        child.kill()
        child.join()
        shards.add(len(read_manifest(out).shards) if (out / MANIFEST).exists() else 0)
    _convert_slowly(tmp_path / "a", out)
    assert files(out) == files(tmp_path / "whole")
    assert "nothing to do" in tool(
        "convert", tmp_path / "a", "--out", out, "--format", "zarr", "--dtype", "int8",
        "--compression", "zstd",
    )  # fmt: skip


def test_what_cannot_be_copied_is_refused_and_nothing_is_touched(tmp_path):
    made_up_cache(tmp_path / "a", 9, hooks=HOOKS)
    made_up_cache(tmp_path / "other", 9, hooks={"a": 5})
    (tmp_path / "full").mkdir()
    (tmp_path / "full/note.txt").write_text("mine")
    before = {name: files(tmp_path / name) for name in ("a", "other")}
    a, other = tmp_path / "a", tmp_path / "other"
    assert "not empty" in refused("convert", a, "--out", tmp_path / "full")
    assert "is a file" in refused("convert", a, "--out", tmp_path / "full/note.txt")
    assert "holds another cache" in refused("convert", a, "--out", other)
    assert "are not apart" in refused("convert", a, "--out", a)
    assert "are not apart" in refused("convert", a, "--out", a / "inside")
    assert "needs zarr" in refused("convert", a, "--out", tmp_path / "n", "--compression", "lz4")
    assert "not a size" in refused("convert", a, "--out", tmp_path / "n", "--shard-size", "big")
    assert "not an activation cache" in refused("convert", tmp_path, "--out", tmp_path / "n")
    assert "nothing to slice by" in refused("slice", a, "--out", tmp_path / "n")
    assert "does not hold hook" in refused("slice", a, "--hook", "c", "--out", tmp_path / "n")
    assert "not a range" in refused("slice", a, "--contexts", "3", "--out", tmp_path / "n")
    assert "not in" in refused("slice", a, "--contexts", "3:10", "--out", tmp_path / "n")
    assert "only one has hook 'b.mlp'" in refused("merge", a, other, "--out", tmp_path / "n")
    assert "alone" in refused("merge", a, "--out", tmp_path / "n")
    assert not (tmp_path / "n").exists()
    assert before == {name: files(tmp_path / name) for name in ("a", "other")}
    assert (tmp_path / "full/note.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"context_size": 5}, "context_size 5, not 4"),
        ({"dtype": "float16"}, "dtype of 'hook' float16, not float32"),
        ({"hooks": {"hook": 4}}, "d_model of 'hook' 4, not 3"),
    ],
)
def test_caches_that_do_not_fit_are_not_merged(tmp_path, change, told):
    made_up_cache(tmp_path / "a", 4)
    made_up_cache(tmp_path / "b", 4, **change)
    assert told in refused("merge", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "n")
    made_up_cache(tmp_path / "c", 4)
    manifest = read_manifest(tmp_path / "c")
    manifest.model = manifest.model.model_copy(update={"weights_hash": "1"})
    write_manifest(tmp_path / "c", manifest)
    line = refused("merge", tmp_path / "a", tmp_path / "c", "--out", tmp_path / "n")
    assert "model's weights_hash 1, not 0" in line


def test_a_value_that_does_not_fit_stops_a_conversion(tmp_path):
    made_up_cache(tmp_path / "a", 20_000, hooks={"hook": 2}, block_contexts=512,
                  shard_contexts=2048, batch_size=512)  # fmt: skip
    line = refused("convert", tmp_path / "a", "--dtype", "float16", "--out", tmp_path / "n")
    assert "does not fit float16" in line
    assert "hook 'hook', context 16380" in line


def test_a_damaged_block_stops_a_copy(tmp_path):
    made_up_cache(tmp_path / "a", 9)
    path = tmp_path / "a/activations/hook/shard-00001.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert "shard-00001" in refused("convert", tmp_path / "a", "--out", tmp_path / "n")


def _copied(manifest: Manifest, *runs: tuple[int, int]) -> Manifest:
    """The manifest of a copy of `runs` (first context, contexts) of a cache."""
    sources = [
        SourceRecord(
            content="0",
            text=manifest.text,
            compute=manifest.compute,
            first_context=first,
            contexts=contexts,
            dtypes={"hook": ("float32",)},
            storage_errors={"hook": 0.0},
        )
        for first, contexts in runs
    ]
    return manifest.model_copy(update={"sources": sources})


def test_a_copy_is_the_same_cache_only_if_its_contexts_have_the_same_numbers():
    manifest = made_up_manifest(12)
    same = [((0, 12),), ((0, 5),), ((0, 5), (5, 7))]
    assert {_copied(manifest, *runs).identity for runs in same} == {manifest.identity}
    others = [((5, 7),), ((5, 7), (0, 5)), ((0, 5), (6, 6)), ((0, 4), (6, 6)), ((0, 5), (0, 5))]
    assert len({_copied(manifest, *runs).identity for runs in others} | {manifest.identity}) == 6
