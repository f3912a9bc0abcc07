"""Promises of the shuffling loader: which rows come, when, and with what values."""

import itertools
import time
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lmsaes.cache.reader import ActivationCache
from lmsaes.errors import ConfigError
from lmsaes.loader.loader import ShuffledLoader
from lmsaes.loader.order import SMALLEST_POOL
from tests.support.made_up_cache import made_up_rows
from tests.support.made_up_loader import CONTEXTS, KINDS, ROWS, SIZE, cache_of, loader_of, rows_of

POOLS = st.sampled_from([SMALLEST_POOL, ROWS])  # the second holds them all


@pytest.fixture(scope="module")
def caches(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, ...], ActivationCache]:
    folder = tmp_path_factory.mktemp("caches")
    return {kind: cache_of(kind, folder) for kind in KINDS}


@pytest.fixture(scope="module")
def cache(caches: dict[tuple[str, ...], ActivationCache]) -> ActivationCache:
    return caches["safetensors", "none", "float32"]


@pytest.fixture(scope="module")
def values(caches) -> dict[tuple[str, ...], dict[str, torch.Tensor]]:
    """All rows of every cache, as its reader gives them, by hook."""
    return {
        kind: {hook: cache.activations(hook, 0, CONTEXTS).flatten(0, 1) for hook in ("a", "b")}
        for kind, cache in caches.items()
    }


@given(
    pool=POOLS,
    batch_size=st.integers(50, 5000),
    world_size=st.sampled_from([1, 2, 3, 5]),
    special=st.booleans(),
    positions=st.sampled_from([(), (0,), (1, -1)]),
    seed=st.integers(0, 5),
)
@settings(max_examples=12)
def test_an_epoch_visits_every_kept_row_once(
    cache, pool, batch_size, world_size, special, positions, seed
):
    seen: list[torch.Tensor] = []
    for rank in range(world_size):
        with loader_of(
            cache,
            batch_size=batch_size,
            pool_rows=pool,
            seed=seed,
            rank=rank,
            world_size=world_size,
            drop_special=special,
            skip_positions=positions,
        ) as loader:
            seen += rows_of(loader)
    kept = torch.ones(CONTEXTS, SIZE, dtype=torch.bool)
    if special:
        kept &= cache.valid_positions(cache.tokens(0, CONTEXTS))
    kept[:, list(positions)] = False
    expected = kept.reshape(-1).nonzero().squeeze(-1)
    assert torch.equal(torch.cat(seen).sort().values, expected)


@given(pool=POOLS, batch_size=st.integers(50, 5000), world_size=st.sampled_from([2, 3, 7]))
@settings(max_examples=6)
def test_global_batches_do_not_depend_on_the_number_of_ranks(cache, pool, batch_size, world_size):
    def batches(rank: int, world_size: int) -> list[torch.Tensor]:
        with loader_of(
            cache, batch_size=batch_size, pool_rows=pool, rank=rank, world_size=world_size
        ) as loader:
            return rows_of(loader)

    alone = batches(0, 1)
    shared = [
        torch.cat(parts)
        for parts in zip(*(batches(r, world_size) for r in range(world_size)), strict=True)
    ]
    assert len(alone) == len(shared) == -(-ROWS // batch_size)
    for one, many in zip(alone, shared, strict=True):
        assert torch.equal(one.sort().values, many.sort().values)


@given(
    pool=POOLS,
    batch_size=st.integers(300, 3000),
    before=st.integers(0, 12),
    ranks=st.sampled_from([(1, 1), (1, 2), (3, 1), (2, 4)]),
)
@settings(max_examples=8)
def test_a_saved_state_goes_on_with_the_same_rows(cache, pool, batch_size, before, ranks):
    """In the middle of an epoch, over its end, and on another number of ranks."""

    def loader(rank: int, world_size: int) -> ShuffledLoader:
        return loader_of(
            cache, batch_size=batch_size, pool_rows=pool, rank=rank, world_size=world_size
        )

    first, second = ranks
    with loader(0, first) as one:
        batches = (batch for _ in itertools.count() for batch in one)
        for _ in range(before):
            next(batches)
        state = one.state_dict()
    with loader(0, 1) as one:
        whole = [r for _ in range(state["epoch"] + 1) for r in rows_of(one)]
    going_on: list[list[torch.Tensor]] = []
    for rank in range(second):
        with loader(rank, second) as other:
            other.load_state_dict(state)
            going_on.append(rows_of(other))
    expected = whole[len(whole) - len(going_on[0]) :]
    for one_batch, parts in zip(expected, zip(*going_on, strict=True), strict=True):
        assert torch.equal(one_batch.sort().values, torch.cat(parts).sort().values)


@pytest.mark.parametrize("pool_rows", [SMALLEST_POOL, ROWS])
def test_order_depends_on_seed_epoch_and_pool_and_on_nothing_else(caches, pool_rows: int):
    def order(cache: ActivationCache, **settings: object) -> torch.Tensor:
        with loader_of(cache, **({"pool_rows": pool_rows, "hooks": "b"} | settings)) as loader:
            return torch.cat(rows_of(loader))

    cache = caches["safetensors", "none", "float32"]
    reference = order(cache)
    for kind, other in caches.items():
        assert torch.equal(reference, order(other)), kind
    assert torch.equal(reference, order(cache, batch_size=77))
    assert torch.equal(reference, order(cache, memory="1GiB", pool_device="cpu", check=False))
    assert not torch.equal(reference, order(cache, seed=1))
    assert not torch.equal(reference, order(cache, epoch=1))
    other_pool = SMALLEST_POOL + ROWS - pool_rows
    assert not torch.equal(reference, order(cache, pool_rows=other_pool))


def test_a_second_epoch_comes_in_another_order(cache):
    with loader_of(cache) as loader:
        first, second = torch.cat(rows_of(loader)), torch.cat(rows_of(loader))
        assert loader.epoch == 2
    assert not torch.equal(first, second)
    assert torch.equal(first.sort().values, second.sort().values)


@pytest.mark.parametrize("kind", [("zarr", "zstd"), ("safetensors", "none")])
def test_the_next_epochs_pool_is_filled_before_an_epoch_ends(caches, values, kind):
    kind = (*kind, "float32")
    epochs = range(4)
    with loader_of(caches[kind]) as loader:
        orders = [torch.cat(rows_of(loader)) for _ in epochs]
        each = loader.stats.fills // len(epochs)
    with loader_of(caches[kind], last_epoch=epochs[-1]) as loader:
        for epoch in epochs:
            batches, rows = zip(*loader, strict=True)
            assert torch.equal(torch.cat(rows), orders[epoch])
            assert torch.equal(torch.cat(batches), values[kind]["a"][orders[epoch]])
            ahead = epoch < epochs[-1]
            _until(lambda done=each * (epoch + 1) + ahead: loader.stats.fills == done)


def _until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("pool_rows", [SMALLEST_POOL, ROWS])
@pytest.mark.parametrize("pool_device", [None, "cpu"])
def test_rows_carry_their_own_values_in_every_hook(caches, values, pool_rows, pool_device):
    for kind, cache in caches.items():
        with loader_of(
            cache, hooks=["a", "b"], pool_rows=pool_rows, pool_device=pool_device
        ) as loader:
            for batch, rows in loader:
                for hook, expected in values[kind].items():
                    assert torch.equal(batch[hook], expected[rows]), kind


def test_batches_come_in_the_dtype_that_is_asked_for(caches, values):
    for kind, cache in caches.items():
        for dtype in (torch.float32, torch.float16):
            with loader_of(cache, dtype=dtype) as loader:
                batch, rows = next(iter(loader))
            assert batch.dtype == dtype
            assert torch.equal(batch, values[kind]["a"][rows].to(dtype)), kind


def test_the_last_short_batch_is_handed_out_or_dropped(cache):
    with ShuffledLoader(cache, "a", 900, "1MiB") as loader:
        assert [len(batch) for batch in loader] == [900] * 4 + [400]
        assert len(loader) == 5
    with ShuffledLoader(cache, "a", 900, "1MiB", drop_last=True) as loader:
        assert [len(batch) for batch in loader] == [900] * 4
        assert len(loader) == 4


def test_rows_of_outlying_norm_are_left_out(cache):
    """Channel 0 is the row's number, so norms grow along the cache."""
    norms = made_up_rows(0, CONTEXTS, SIZE, 3).flatten(0, 1).norm(dim=-1)
    limit = 1.5 * cache.hooks["a"].statistics.mean_norm
    with loader_of(cache, max_norm=1.5) as loader:
        seen = torch.cat(rows_of(loader)).sort().values
    assert torch.equal(seen, (norms <= limit).nonzero().squeeze(-1))
    assert 0 < len(seen) < ROWS


@pytest.mark.parametrize(
    ("field", "other"),
    [
        ("seed", 2),
        ("batch_size", 64),
        ("pool_rows", ROWS),
        ("drop_special", True),
        ("skip_positions", [1]),
        ("max_norm", 3.0),
    ],
)
def test_a_state_of_another_order_is_refused(cache, field: str, other: object):
    with loader_of(cache) as loader:
        state = loader.state_dict()
    with loader_of(cache, **{field: other}) as loader, pytest.raises(ConfigError, match="state"):
        loader.load_state_dict(state)


def test_a_new_iteration_goes_on_where_the_last_one_was_left(cache):
    with loader_of(cache) as loader:
        whole = rows_of(loader)
    with loader_of(cache) as loader:
        parts = [next(iter(loader))[1] for _ in range(3)] + rows_of(loader)
    assert torch.equal(torch.cat(whole), torch.cat(parts))


def test_the_time_waited_is_counted(cache):
    with loader_of(cache) as loader:
        rows_of(loader)
        stats = loader.stats
    assert stats.rows == ROWS
    assert stats.bytes == ROWS * 3 * 4
    assert stats.bytes_read >= stats.bytes
    assert 0 < stats.share_waited <= 1
    assert stats.gigabytes_per_second > 0
    assert stats.fills > 1


# ── on a GPU ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("pool_device", [None, "cpu", "cuda"])
@pytest.mark.parametrize("pool_rows", [SMALLEST_POOL, ROWS])
def test_batches_on_a_gpu_are_those_of_the_host(caches, pool_device, pool_rows):
    for kind, cache in caches.items():
        with (
            loader_of(cache, pool_rows=pool_rows) as host,
            loader_of(cache, pool_rows=pool_rows, device="cuda", pool_device=pool_device) as device,
        ):
            for (x, rows), (y, same) in zip(host, device, strict=True):
                assert torch.equal(rows, same)
                assert y.device.type == "cuda"
                torch.testing.assert_close(y.cpu(), x, msg=str(kind))


def test_a_pool_on_another_device_than_the_batches_is_refused(cache):
    with pytest.raises(ConfigError, match="pool on cuda"):
        loader_of(cache, pool_device="cuda")


@pytest.mark.parametrize("contexts", [1, CONTEXTS // 2 + 1, CONTEXTS])
def test_rows_of_the_first_contexts_alone_are_handed_out(cache, contexts):
    with ShuffledLoader(cache, "a", contexts=contexts, return_rows=True) as loader:
        rows = torch.cat([numbers for _, numbers in loader])
    assert sorted(rows.tolist()) == list(range(contexts * SIZE))
