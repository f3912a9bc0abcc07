"""Promises of the cache on disk: contents, atomic commits, checks."""

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors
import torch
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from lmsaes.cache.commits import CAPTURE_CONFIG
from lmsaes.cache.manifest import MANIFEST, read_manifest
from lmsaes.cache.reader import ActivationCache, valid_positions
from lmsaes.cache.writer import CacheWriter
from lmsaes.cache_tools.verify import repair, verify
from lmsaes.errors import CacheError, ConfigError
from lmsaes.provenance import TextPosition
from tests.support.made_up_cache import (
    made_up_cache,
    made_up_manifest,
    made_up_rows,
    made_up_tokens,
    write_made_up_cache,
)

FORMATS = ("safetensors", "zarr")


def data_files(folder: Path) -> dict[str, bytes]:
    """All files of a cache but its manifest, its configuration and lock."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in (MANIFEST, CAPTURE_CONFIG, ".lock")
    }


@pytest.mark.parametrize("format", FORMATS)
@given(
    contexts=st.integers(1, 23),
    size=st.integers(2, 5),
    block=st.sampled_from([1, 2, 4]),
    blocks_per_shard=st.integers(1, 4),
    batch=st.sampled_from([1, 3, 8]),
    dtype=st.sampled_from(["float32", "float16", "bfloat16"]),
    compression=st.sampled_from(["none", "zstd", "lz4", "blosc"]),
    cut=st.data(),
)
@settings(max_examples=25, deadline=None)
def test_what_is_written_is_read(
    tmp_path_factory,
    format,
    contexts,
    size,
    block,
    blocks_per_shard,
    batch,
    dtype,
    compression,
    cut,
):
    folder = tmp_path_factory.mktemp("cache")
    manifest = made_up_manifest(
        contexts,
        context_size=size,
        hooks={"a": 3, "b.mlp": 7},
        dtype=dtype,
        format=format,
        block_contexts=block,
        shard_contexts=block * blocks_per_shard,
        batch_size=batch,
    )
    if format == "zarr":
        manifest.compression = compression
    write_made_up_cache(folder, manifest)
    cache = ActivationCache.open(folder)
    assert cache.contexts == contexts
    assert cache.manifest.complete
    start = cut.draw(st.integers(0, contexts))
    stop = cut.draw(st.integers(start, contexts))
    assert torch.equal(cache.tokens(start, stop), made_up_tokens(contexts, size)[start:stop])
    assert cache.tokens(0, 0).dtype == torch.int64
    for hook, d_model in (("a", 3), ("b.mlp", 7)):
        expected = made_up_rows(start, stop - start, size, d_model).to(getattr(torch, dtype))
        assert torch.equal(cache.activations(hook, start, stop), expected)
    assert verify(folder, deep=True) == []


def test_statistics_are_those_of_the_stored_rows(tmp_path):
    cache = made_up_cache(tmp_path / "c", 21, hooks={"a": 5}, dtype="float16")
    rows = cache.activations("a", 0, 21).double()
    valid = cache.valid_positions(cache.tokens(0, 21))
    assert not valid[:, 0].any()
    assert (cache.tokens(0, 21)[valid] != 0).all()
    groups = {"statistics": rows.flatten(0, 1), "valid": rows[valid]}
    for group, expected in groups.items():
        found = getattr(cache.hooks["a"], group)
        assert found.count == len(expected)
        assert found.mean == pytest.approx(expected.mean(0).tolist())
        assert found.variance == pytest.approx(expected.var(0, unbiased=False).tolist(), rel=1e-6)
        assert found.mean_norm == pytest.approx(expected.norm(dim=1).mean().item())
        assert found.mean_squared_norm == pytest.approx(expected.square().sum(1).mean().item())
        assert found.min == expected.min()
        assert found.max == expected.max()


@pytest.mark.parametrize("dtype", ["float16", "int8"])
@pytest.mark.parametrize("format", FORMATS)
def test_a_cache_written_in_parts_has_the_same_bytes(tmp_path, format, dtype):
    write_made_up_cache(tmp_path / "whole", made_up_manifest(30, format=format, dtype=dtype))
    parts = tmp_path / "parts"
    write_made_up_cache(parts, made_up_manifest(30, format=format, dtype=dtype), stop_after=7)
    unfinished = read_manifest(parts)
    assert 0 < unfinished.contexts < 30
    assert not unfinished.complete
    assert ActivationCache.open(parts).contexts == unfinished.contexts
    write_made_up_cache(parts, read_manifest(parts), stop_after=19)
    write_made_up_cache(parts, read_manifest(parts))
    assert data_files(parts) == data_files(tmp_path / "whole")
    assert (parts / MANIFEST).read_bytes() == (tmp_path / "whole" / MANIFEST).read_bytes()


def test_plain_libraries_open_it(tmp_path):
    made_up_cache(tmp_path / "s", 10, dtype="bfloat16")
    with safetensors.safe_open(
        tmp_path / "s/activations/hook/shard-00001.safetensors", framework="pt"
    ) as file:
        tensor = file.get_tensor("activations")
    assert torch.equal(tensor, made_up_rows(4, 4, 4, 3).bfloat16())
    made_up_cache(tmp_path / "z", 10, dtype="float32", format="zarr")
    array = zarr.open(tmp_path / "z/activations/hook", mode="r")
    assert np.array_equal(array[:], made_up_rows(0, 10, 4, 3).numpy())
    assert array.shards == (4, 4, 3)
    assert array.chunks == (2, 4, 3)
    made_up_cache(tmp_path / "b", 10, dtype="bfloat16", format="zarr")
    bits = zarr.open(tmp_path / "b/activations/hook", mode="r")
    assert bits.attrs["dtype"] == "bfloat16"
    assert bits.dtype == np.uint16


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    ("dtype", "array"),
    [("float32", "activations"), ("bfloat16", "activations"), ("int8", "scales")],
)
@pytest.mark.parametrize("harm", ["flip", "truncate", "remove", "foreign"])
def test_harm_is_found_by_name_and_repaired(tmp_path, format, dtype, array, harm):
    folder = tmp_path / "c"
    made_up_cache(folder, 20, hooks={"hook": 64}, format=format, dtype=dtype)
    sound = data_files(folder)
    name = {
        "safetensors": f"{array}/hook/shard-00002.safetensors",
        "zarr": f"{array}/hook/c/2/0" + ("/0" if array == "activations" else ""),
    }[format]
    path = folder / name
    content = path.read_bytes()
    match harm:
        case "flip":
            path.write_bytes(content[:5] + bytes([content[5] ^ 4]) + content[6:])
        case "truncate":
            path.write_bytes(content[:-9])
        case "remove":
            path.unlink()
        case "foreign":
            (folder / "activations/hook/shard-00009.safetensors").write_bytes(b"?")
    if harm == "flip" and format == "safetensors":
        # the header's padding is nobody's data: harm the last block instead
        path.write_bytes(content[:-3] + bytes([content[-3] ^ 4]) + content[-2:])
    faults = verify(folder, deep=True)
    assert len(faults) == 1
    expected = "shard-00009" if harm == "foreign" else name
    assert expected in faults[0]
    if harm == "flip":
        with pytest.raises(CacheError, match=path.name) as error:
            ActivationCache.open(folder).activations("hook", 0, 20)
        assert "damaged" in str(error.value)
    elif harm != "foreign":
        with pytest.raises(CacheError, match=path.name):
            ActivationCache.open(folder)
    assert repair(folder).dropped == ([] if harm == "foreign" else [2])
    assert verify(folder, deep=True) == []
    write_made_up_cache(folder, read_manifest(folder))
    assert data_files(folder) == sound


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        (float("nan"), "float32", "gave nan"),
        (float("inf"), "bfloat16", "gave inf"),
        (70000.0, "float16", "70000 .* does not fit float16"),
        (1e30, "bfloat16", "1e\\+30 .* is too large"),
    ],
)
def test_values_that_cannot_be_kept_are_refused_by_place(tmp_path, value, dtype, expected):
    manifest = made_up_manifest(16, dtype=dtype)
    tokens = made_up_tokens(16, 4)
    with CacheWriter(tmp_path / "c", manifest) as writer:
        for start in range(0, 16, 2):
            rows = made_up_rows(start, 2, 4, 3)
            batch = tokens[start : start + 2]
            arguments = (batch, {"hook": rows}, valid_positions(batch, (0,)), TextPosition())
            if start < 10:
                writer.write(*arguments)
                continue
            rows[1, 3, 1] = value
            with pytest.raises(CacheError, match=expected) as error:
                writer.write(*arguments)
            assert "hook 'hook', context 11, position 3" in str(error.value)
            break
    assert ActivationCache.open(tmp_path / "c").contexts == 8


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_values_that_are_not_finite_can_be_kept(tmp_path, dtype):
    """They are read as they were; statistics are those of the other rows."""
    rows = made_up_rows(0, 4, 4, 3)
    rows[1, 3, 1], rows[2, 0, 0], rows[3] = torch.nan, torch.inf, torch.inf
    tokens = made_up_tokens(4, 4)
    valid = valid_positions(tokens, (0,))
    with CacheWriter(tmp_path / "c", made_up_manifest(4, dtype=dtype), True) as writer:
        for part in (slice(0, 2), slice(2, 4)):
            writer.write(tokens[part], {"hook": rows[part]}, valid[part], TextPosition())
        writer.finish()
    cache = ActivationCache.open(tmp_path / "c")
    found = cache.activations("hook", 0, 4)
    assert torch.equal(found.nan_to_num(7.0), rows.to(found.dtype).nan_to_num(7.0))
    finite = found.isfinite().all(-1)
    for statistics, kept in (
        (cache.hooks["hook"].statistics, finite),
        (cache.hooks["hook"].valid, finite & valid),
    ):
        assert statistics.count == kept.sum()
        assert statistics.mean == pytest.approx(found[kept].double().mean(0).tolist())
    assert verify(tmp_path / "c", deep=True) == []


def test_a_hook_that_captures_nothing_is_refused(tmp_path):
    batch = made_up_tokens(2, 4)
    with (
        CacheWriter(tmp_path / "c", made_up_manifest(4)) as writer,
        pytest.raises(CacheError, match="same value 0 everywhere"),
    ):
        writer.write(batch, {"hook": torch.zeros(2, 4, 3)}, batch != 0, TextPosition())


def test_a_second_writer_is_told(tmp_path):
    with (
        CacheWriter(tmp_path / "c", made_up_manifest(4)),
        pytest.raises(CacheError, match="another process is writing"),
    ):
        CacheWriter(tmp_path / "c", made_up_manifest(4))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda m: m | {"format_version": 3}, "format version 3"),
        (lambda m: m | {"surprise": 1}, "surprise"),
        (lambda m: {k: v for k, v in m.items() if k != "model"}, "model"),
        (lambda m: m | {"contexts": 3}, "contexts"),
        (lambda m: m | {"shards": []}, "a list is of format 1 alone"),
        (lambda m: m | {"contexts_requested": 0}, "contexts_requested"),
    ],
)
def test_a_manifest_is_validated(tmp_path, change, expected):
    folder = tmp_path / "c"
    made_up_cache(folder, 10)
    path = folder / MANIFEST
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(CacheError, match=expected):
        ActivationCache.open(folder)


def test_what_is_no_cache_is_told(tmp_path):
    with pytest.raises(CacheError, match="is not an activation cache"):
        ActivationCache.open(tmp_path / "nowhere")
    (tmp_path / MANIFEST).write_text("{")
    with pytest.raises(CacheError, match="not valid JSON"):
        ActivationCache.open(tmp_path)


def test_what_the_cache_does_not_hold_is_told(tmp_path):
    cache = made_up_cache(tmp_path / "c", 4)
    with pytest.raises(ConfigError, match="does not hold hook 'other'"):
        cache.activations("other", 0, 1)
    with pytest.raises(ConfigError, match="contexts 2 to 5 are not in the cache"):
        cache.tokens(2, 5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_batches_from_a_gpu_are_copied_whole_while_it_goes_on(tmp_path, dtype):
    tokens = torch.ones(64, 128, dtype=torch.int64)
    manifest = made_up_manifest(
        512, 128, {"a": 768}, dtype, block_contexts=16, shard_contexts=128, batch_size=64
    )
    rows = [torch.randn(64, 128, 768, generator=torch.Generator().manual_seed(i)) for i in range(8)]
    with CacheWriter(tmp_path / "c", manifest) as writer:
        for batch in rows:
            writer.write(tokens, {"a": batch.cuda()}, tokens != 0, TextPosition())
            # memory that was let go while the copy still runs must not be this
            torch.full_like(batch, 7, device="cuda")
        writer.finish()
    cache = ActivationCache.open(tmp_path / "c")
    assert verify(tmp_path / "c", deep=True) == []
    for index, batch in enumerate(rows):
        read = cache.activations("a", 64 * index, 64 * index + 64)
        assert torch.equal(read, batch.to(read.dtype))
