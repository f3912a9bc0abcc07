"""Promises of eight-bit storage: how close values come back, and what is refused."""

import json

import numpy as np
import pytest
import torch
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from lmsaes.cache.int8 import CHANNELS, Channels
from lmsaes.cache.manifest import MANIFEST, read_manifest
from lmsaes.cache.reader import ActivationCache, valid_positions
from lmsaes.cache.shards import SHARD_LIST
from lmsaes.cache.writer import CacheWriter
from lmsaes.cache_tools.verify import repair, verify
from lmsaes.errors import CacheError
from lmsaes.loader.loader import ShuffledLoader
from lmsaes.loader.order import SMALLEST_POOL
from lmsaes.provenance import TextPosition
from tests.support.made_up_cache import (
    made_up_cache,
    made_up_manifest,
    made_up_rows,
    made_up_tokens,
    write_made_up_cache,
)

FORMATS = ("safetensors", "zarr")


def random_rows(contexts: int, size: int, d_model: int, seed: int, spread: float) -> torch.Tensor:
    """Channels of different means and sizes, and first positions that are far larger."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(contexts, size, d_model, generator=generator)
    rows = rows * torch.logspace(-spread, spread, d_model) + torch.randn(
        d_model, generator=generator
    )
    rows[:, 0] *= 300
    return rows


@given(
    contexts=st.integers(1, 6),
    size=st.integers(1, 9),
    d_model=st.integers(1, 20),
    seed=st.integers(0, 1000),
    spread=st.floats(0, 3),
    drift=st.floats(-3, 3),
)
@settings(max_examples=100, deadline=None)
def test_every_value_comes_back_within_half_a_step(contexts, size, d_model, seed, spread, drift):
    first = random_rows(contexts, size, d_model, seed, spread)
    valid = torch.ones(contexts, size, dtype=torch.bool)
    valid[:, 0] = False
    channels = Channels.of(first, valid)
    later = random_rows(contexts, size, d_model, seed + 1, spread) * 10**drift
    for rows in (first, later):
        values, scales = channels.quantize(rows)
        assert values.dtype == torch.int8
        assert scales.dtype == torch.float16
        restored = channels.restore(values, scales)
        kept = scales.isfinite()
        assert torch.equal(restored.isfinite().all(-1), kept)
        farthest = ((rows - channels.mean) / channels.deviation).abs().amax(-1)
        assert (farthest[kept] < 65520 * 127).all()
        assert (farthest[~kept] > 65500 * 127).all()
        step = channels.deviation * scales.float().unsqueeze(-1)
        float32_rounding = 1e-6 * (rows.abs() + channels.mean.abs())
        lost = (rows - restored).abs() - 0.5001 * step - float32_rounding
        assert (lost[kept] <= 0).all()
        assert values.max() <= 127
        assert values.min() >= -127


def test_a_row_larger_than_the_others_takes_nothing_from_them():
    rows = random_rows(8, 16, 32, 0, 1)
    valid = torch.ones(8, 16, dtype=torch.bool)
    valid[:, 0] = False
    channels = Channels.of(rows, valid)
    restored = channels.restore(*channels.quantize(rows))
    lost = (rows - restored)[valid].square().sum()
    assert lost / (rows[valid] - rows[valid].mean(0)).square().sum() < 2e-4
    assert ((rows - restored)[:, 0].norm(dim=-1) < 0.1 * rows[:, 0].norm(dim=-1)).all()


def test_channels_that_slept_at_first_can_wake_up():
    rows = torch.randn(4, 50, 16, generator=torch.Generator().manual_seed(0))
    rows[..., 3] = 5.0
    channels = Channels.of(rows, torch.ones(4, 50, dtype=torch.bool))
    assert channels.deviation[3] == pytest.approx(channels.deviation.median().item() / 16, rel=0.3)
    awake = rows.clone()
    awake[..., 3] += 1
    error = (channels.restore(*channels.quantize(awake)) - awake).square().mean(-1)
    assert (error < 5e-3).all()


@pytest.mark.parametrize("rows", [torch.zeros(1, 1, 4), torch.full((2, 3, 4), 1e-5)])
def test_rows_that_are_all_alike_come_back(rows):
    channels = Channels.of(rows, torch.zeros(rows.shape[:2], dtype=torch.bool))
    assert torch.allclose(channels.restore(*channels.quantize(rows)), rows, rtol=1e-6)
    other = channels.restore(*channels.quantize(rows * 2))
    assert torch.allclose(other, rows * 2, rtol=1e-4)


def plainly_read(folder, format: str, hook: str) -> np.ndarray:
    """A hook's activations by docs/cache-format.md alone."""
    if format == "zarr":
        values = zarr.open_array(folder / "activations" / hook, mode="r")[:]
        scales = zarr.open_array(folder / "scales" / hook, mode="r")[:]
    else:
        shards = json.loads((folder / SHARD_LIST).read_text())
        files = [f"{hook}/shard-{s['index']:05d}.safetensors" for s in shards]
        values = np.concatenate(
            [load_file(folder / "activations" / f)["activations"] for f in files]
        )
        scales = np.concatenate([load_file(folder / "scales" / f)["scales"] for f in files])
    channels = load_file(folder / "channels.safetensors")
    scaled = scales.astype(np.float32)[..., None] * values.astype(np.float32)
    return channels[f"{hook}/mean"] + channels[f"{hook}/deviation"] * scaled


@given(
    contexts=st.integers(1, 23),
    size=st.integers(2, 5),
    block=st.sampled_from([1, 2, 4]),
    blocks_per_shard=st.integers(1, 4),
    batch=st.sampled_from([1, 3, 8]),
    compression=st.sampled_from(["none", "zstd", "lz4", "blosc"]),
)
@settings(max_examples=10, deadline=None)
def test_both_formats_give_the_same_original_units(
    tmp_path_factory, contexts, size, block, blocks_per_shard, batch, compression
):
    folder = tmp_path_factory.mktemp("cache")
    read = {}
    for format in FORMATS:
        manifest = made_up_manifest(
            contexts,
            context_size=size,
            hooks={"a": 3, "b.mlp": 7},
            dtype="int8",
            format=format,
            block_contexts=block,
            shard_contexts=block * blocks_per_shard,
            batch_size=batch,
        )
        if format == "zarr":
            manifest.compression = compression
        write_made_up_cache(folder / format, manifest)
        cache = ActivationCache.open(folder / format)
        assert cache.contexts == contexts
        read[format] = {hook: cache.activations(hook, 0, contexts) for hook in cache.hooks}
        assert verify(folder / format, deep=True) == []
        for hook, rows in read[format].items():
            assert rows.dtype == torch.float32
            plain = plainly_read(folder / format, format, hook)
            assert np.allclose(rows.numpy(), plain, rtol=1e-6, atol=1e-6)
    for hook in ("a", "b.mlp"):
        assert torch.equal(read["safetensors"][hook], read["zarr"][hook])


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int8"])
@pytest.mark.parametrize("format", FORMATS)
def test_what_storing_lost_is_measured(tmp_path, format, dtype):
    write_made_up_cache(
        tmp_path / "c",
        made_up_manifest(20, hooks={"hook": 9}, dtype=dtype, format=format),
        stop_after=9,
    )
    write_made_up_cache(tmp_path / "c", read_manifest(tmp_path / "c"))
    cache = ActivationCache.open(tmp_path / "c")
    kept = cache.valid_positions(cache.tokens(0, 20))
    original = made_up_rows(0, 20, 4, 9)[kept].double()
    stored = cache.activations("hook", 0, 20)[kept].double()
    expected = (original - stored).square().sum() / (stored - stored.mean(0)).square().sum()
    assert cache.hooks["hook"].storage_error == pytest.approx(expected.item(), rel=1e-4)
    assert (expected == 0) == (dtype == "float32")


@pytest.mark.parametrize("format", FORMATS)
def test_the_loader_gives_original_units(tmp_path, format):
    cache = made_up_cache(
        tmp_path / "c",
        1000,
        hooks={"a": 3, "b": 5},
        dtype="int8",
        format=format,
        shard_contexts=400,
        block_contexts=8,
        batch_size=200,
    )
    expected = {hook: cache.activations(hook, 0, 1000).flatten(0, 1) for hook in cache.hooks}
    seen = []
    # a pool of a part of the rows, so that blocks come and go
    with ShuffledLoader(cache, ["a", "b"], 77, pool_rows=SMALLEST_POOL, return_rows=True) as loader:
        assert loader.pool_rows < cache.rows
        for batch, rows in loader:
            seen.append(rows)
            for hook in cache.hooks:
                assert batch[hook].dtype == torch.float32
                assert torch.equal(batch[hook], expected[hook][rows])
    assert torch.equal(torch.cat(seen).sort().values, torch.arange(4000))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("nan"), "gave nan"),
        (float("-inf"), "gave -inf"),
        (1e30, "1e\\+30 .* (does not fit int8|is too large)"),
    ],
)
@pytest.mark.parametrize("allow_nonfinite", [False, True])
@pytest.mark.parametrize("batch", [0, 5])
def test_values_that_eight_bits_cannot_hold_are_refused_by_place(
    tmp_path, value, expected, allow_nonfinite, batch
):
    tokens = made_up_tokens(16, 4)
    with CacheWriter(tmp_path / "c", made_up_manifest(16, dtype="int8"), allow_nonfinite) as writer:
        for start in range(0, 16, 2):
            rows = made_up_rows(start, 2, 4, 3)
            part = tokens[start : start + 2]
            if start == 2 * batch:
                rows[1, 3, 1] = value
                with pytest.raises(CacheError, match=expected) as error:
                    writer.write(part, {"hook": rows}, valid_positions(part, (0,)), TextPosition())
                where = f"hook 'hook', context {start + 1}, position 3"
                assert where in str(error.value)
                return
            writer.write(part, {"hook": rows}, valid_positions(part, (0,)), TextPosition())


@pytest.mark.parametrize("harm", ["flip", "truncate", "remove"])
def test_harmed_channels_are_found_by_name_and_repaired(tmp_path, harm):
    folder = tmp_path / "c"
    made_up_cache(folder, 10, dtype="int8")
    path = folder / CHANNELS
    sound = path.read_bytes()
    match harm:
        case "flip":
            path.write_bytes(sound[:-2] + bytes([sound[-2] ^ 1]) + sound[-1:])
        case "truncate":
            path.write_bytes(sound[:-3])
        case "remove":
            path.unlink()
    assert [CHANNELS in fault for fault in verify(folder)] == [True]
    with pytest.raises(CacheError, match=CHANNELS):
        ActivationCache.open(folder)
    assert repair(folder).dropped == [0, 1, 2]
    write_made_up_cache(folder, read_manifest(folder))
    assert path.read_bytes() == sound
    assert verify(folder, deep=True) == []


def test_an_int8_manifest_without_channels_is_refused(tmp_path):
    made_up_cache(tmp_path, 4, dtype="int8")
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    manifest["hooks"]["hook"]["channels"] = None
    (tmp_path / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(CacheError, match="hook 'hook' is int8 and has no channels"):
        read_manifest(tmp_path)
