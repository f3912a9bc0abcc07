"""Promises of the shuffling loader."""

import itertools
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lmsaes.cache.loader import ShuffledLoader
from lmsaes.cache.order import BUCKETS, EpochOrder
from lmsaes.errors import CacheError, ConfigError
from tests.made_up_cache import made_up_cache, made_up_rows

CONTEXTS, SIZE = 220, 4


@pytest.fixture(scope="module")
def caches(tmp_path_factory):
    folder = tmp_path_factory.mktemp("caches")
    kinds = itertools.product(("safetensors", "zarr"), ("float32", "bfloat16"))
    return {
        (format, dtype): made_up_cache(
            folder / f"{format}-{dtype}",
            CONTEXTS,
            context_size=SIZE,
            hooks={"a": 3, "b": 5},
            format=format,
            dtype=dtype,
            shard_contexts=32,
        )
        for format, dtype in kinds
    }


@pytest.fixture(scope="module")
def cache(caches):
    return caches["safetensors", "float32"]


def memory_for(rows: int, hooks: tuple[int, ...] = (3,), value_bytes: int = 4) -> int:
    """Bytes that give a pool of about `rows` rows."""
    row = sum(hooks) * value_bytes
    block = max(hooks) * value_bytes * SIZE * 2
    return 2 * rows * (row + 32) + 4 * block


def row_numbers(loader: ShuffledLoader) -> list[torch.Tensor]:
    return [rows for _, rows in loader]


@given(
    pool=st.integers(2 * BUCKETS, 1000),
    batch_size=st.integers(1, 1000),
    world_size=st.sampled_from([1, 2, 3, 5, 7]),
    special=st.booleans(),
    seed=st.integers(0, 5),
)
@settings(max_examples=30, deadline=None)
def test_an_epoch_visits_every_row_once(cache, pool, batch_size, world_size, special, seed):
    seen = []
    for rank in range(world_size):
        with ShuffledLoader(
            cache,
            ["a"],
            batch_size,
            memory_for(pool),
            seed,
            rank,
            world_size,
            return_rows=True,
            drop_special=special,
        ) as loader:
            seen += row_numbers(loader)
    tokens = cache.tokens(0, CONTEXTS)
    expected = cache.ordinary(tokens).reshape(-1).nonzero().squeeze(-1)
    if not special:
        expected = torch.arange(CONTEXTS * SIZE)
    assert torch.equal(torch.cat(seen).sort().values, expected)


@given(
    pool=st.integers(2 * BUCKETS, 1000),
    batch_size=st.integers(1, 500),
    world_size=st.sampled_from([2, 3, 4, 16]),
)
@settings(max_examples=20, deadline=None)
def test_global_batches_do_not_depend_on_the_number_of_ranks(cache, pool, batch_size, world_size):
    def batches(rank, world_size):
        with ShuffledLoader(
            cache, "a", batch_size, memory_for(pool), 1, rank, world_size, return_rows=True
        ) as loader:
            return row_numbers(loader)

    alone = batches(0, 1)
    shared = [
        torch.cat(parts)
        for parts in zip(*(batches(r, world_size) for r in range(world_size)), strict=True)
    ]
    assert len(alone) == len(shared) == -(-CONTEXTS * SIZE // batch_size)
    for one, many in zip(alone, shared, strict=True):
        assert torch.equal(one.sort().values, many.sort().values)


@given(
    pool=st.integers(2 * BUCKETS, 1000),
    batch_size=st.integers(1, 300),
    before=st.integers(0, 12),
    ranks=st.sampled_from([(1, 1), (1, 2), (3, 1), (2, 4)]),
)
@settings(max_examples=25, deadline=None)
def test_a_saved_state_goes_on_with_the_same_rows(cache, pool, batch_size, before, ranks):
    """In the middle of an epoch, over its end, and on another number of ranks."""

    def loader(rank, world_size):
        return ShuffledLoader(
            cache, "a", batch_size, memory_for(pool), 3, rank, world_size, return_rows=True
        )

    first, second = ranks
    with loader(0, first) as one:
        batches = (batch for _ in itertools.count() for batch in one)
        for _ in range(before):
            next(batches)
        state = one.state_dict()
        batches.close()
    with loader(0, 1) as one:
        whole = [r for _ in range(state["epoch"] + 1) for r in row_numbers(one)]
    going_on = []
    for rank in range(second):
        with loader(rank, second) as other:
            other.load_state_dict(state)
            going_on.append(row_numbers(other))
    end = state["epoch"] * len(one) + len(one)
    for one_batch, parts in zip(whole[before:end], zip(*going_on, strict=True), strict=True):
        assert torch.equal(one_batch.sort().values, torch.cat(parts).sort().values)


def test_order_depends_on_seed_and_epoch_and_not_on_format_dtype_or_batch_size(caches):
    def order(cache, seed=0, epoch=0, batch_size=64, value_bytes=4):
        with ShuffledLoader(
            cache,
            "b",
            batch_size,
            memory_for(300, (5,), value_bytes),
            seed,
            return_rows=True,
            epoch=epoch,
        ) as loader:
            return torch.cat(row_numbers(loader))

    reference = order(caches["safetensors", "float32"])
    for (format, dtype), cache in caches.items():
        same = order(cache, value_bytes=4 if dtype == "float32" else 2)
        assert torch.equal(reference, same), (format, dtype)
    assert torch.equal(reference, order(caches["safetensors", "float32"], batch_size=7))
    assert not torch.equal(reference, order(caches["safetensors", "float32"], seed=1))
    assert not torch.equal(reference, order(caches["safetensors", "float32"], epoch=1))


def test_a_second_epoch_comes_in_another_order(cache):
    with ShuffledLoader(cache, "a", 64, memory_for(200), return_rows=True) as loader:
        first, second = torch.cat(row_numbers(loader)), torch.cat(row_numbers(loader))
        assert loader.epoch == 2
    assert not torch.equal(first, second)
    assert torch.equal(first.sort().values, second.sort().values)


@pytest.mark.parametrize("pool", [120, 2000])
def test_rows_carry_their_own_values_in_every_hook(caches, pool):
    for (format, dtype), cache in caches.items():
        with ShuffledLoader(
            cache, ["a", "b"], 50, memory_for(pool, (3, 5)), return_rows=True
        ) as loader:
            for batch, rows in loader:
                for hook, d_model in (("a", 3), ("b", 5)):
                    expected = made_up_rows(0, CONTEXTS, SIZE, d_model).flatten(0, 1)[rows]
                    expected = expected.to(getattr(torch, dtype))
                    assert torch.equal(batch[hook], expected), (format, dtype)


def test_the_last_short_batch_is_handed_out_or_dropped(cache):
    with ShuffledLoader(cache, "a", 100, "1MiB") as loader:
        assert [len(batch) for batch in loader] == [100] * 8 + [80]
        assert len(loader) == 9
    with ShuffledLoader(cache, "a", 100, "1MiB", drop_last=True) as loader:
        assert [len(batch) for batch in loader] == [100] * 8
        assert len(loader) == 8


def test_a_cache_that_fits_is_shuffled_uniformly():
    """Where a row comes out says nothing of where it stood."""
    rows, epochs = 60, 4000
    line = [next(EpochOrder(rows, rows, 0, e).fills()) for e in range(epochs)]
    places = np.stack([fill.content[fill.order] for fill in line])  # [epochs, position]
    counts = np.zeros((rows, rows))
    np.add.at(counts, (np.tile(np.arange(rows), (epochs, 1)), places), 1)
    expected = epochs / rows
    chi_squared = ((counts - expected) ** 2 / expected).sum()
    degrees = (rows - 1) ** 2
    assert abs(chi_squared - degrees) < 6 * np.sqrt(2 * degrees)


def test_a_pool_stays_within_its_rows():
    order = EpochOrder(rows=5000, pool_rows=960, seed=0, epoch=0)
    for fill in order.fills():
        assert len(fill.content) <= 960
        assert len(set(fill.content.tolist())) == len(fill.content)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 4))
def test_a_state_of_another_order_is_refused(cache, which):
    with ShuffledLoader(cache, "a", 64, memory_for(200), seed=1) as loader:
        state = loader.state_dict()
        field = ["seed", "batch_size", "pool_rows", "drop_special", "cache"][which]
        state[field] = "other"
        with pytest.raises(ConfigError, match=field):
            loader.load_state_dict(state)


def test_too_little_memory_is_refused_with_a_size(cache):
    with pytest.raises(ConfigError, match="memory") as error:
        ShuffledLoader(cache, "a", 64, 100)
    assert error.value.hint
    assert "at least" in error.value.hint


def test_a_damaged_block_surfaces_with_its_shard(tmp_path: Path):
    cache = made_up_cache(tmp_path / "c", 64, context_size=SIZE)
    shard = tmp_path / "c/activations/hook/shard-00007.safetensors"
    content = bytearray(shard.read_bytes())
    content[-5] ^= 1
    shard.write_bytes(content)
    with (
        ShuffledLoader(cache, "hook", 16, "1MiB") as loader,
        pytest.raises(CacheError, match="shard-00007"),
    ):
        list(loader)


def test_closing_early_leaves_no_thread(cache):
    before = set(threading.enumerate())
    with ShuffledLoader(cache, "a", 16, memory_for(100)) as loader:
        next(iter(loader))
        assert set(threading.enumerate()) - before
    assert not set(threading.enumerate()) - before
