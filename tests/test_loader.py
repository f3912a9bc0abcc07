"""Promises of the shuffling loader."""

import itertools
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lmsaes.cache import blocks
from lmsaes.cache.loader import ShuffledLoader
from lmsaes.cache.order import SMALLEST_POOL
from lmsaes.cache.reader import ActivationCache
from lmsaes.errors import CacheError, ConfigError
from lmsaes.quantities import parse_bytes
from tests.made_up_cache import made_up_cache, made_up_rows

CONTEXTS, SIZE = 1000, 4
ROWS = CONTEXTS * SIZE
POOLS = st.sampled_from([SMALLEST_POOL, ROWS])  # the second holds them all
STORAGE = [
    ("safetensors", "none"),
    ("zarr", "none"),
    ("zarr", "zstd"),
    ("zarr", "lz4"),
    ("zarr", "blosc"),
]


@pytest.fixture(scope="module")
def caches(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, ...], ActivationCache]:
    folder = tmp_path_factory.mktemp("caches")
    kinds = [
        *((format, compression, "float32") for format, compression in STORAGE),
        ("safetensors", "none", "int8"),
        ("zarr", "zstd", "bfloat16"),
    ]
    return {
        kind: made_up_cache(
            folder / "-".join(kind),
            CONTEXTS,
            context_size=SIZE,
            hooks={"a": 3, "b": 5},
            format=kind[0],
            compression=kind[1],
            dtype=kind[2],
            shard_contexts=400,
            block_contexts=8,
            batch_size=200,
        )
        for kind in kinds
    }


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


def rows_of(loader: ShuffledLoader) -> list[torch.Tensor]:
    return [rows for _, rows in loader]


def loader_of(cache: ActivationCache, **settings: object) -> ShuffledLoader:
    arguments = {"hooks": "a", "batch_size": 500, "return_rows": True, "pool_rows": SMALLEST_POOL}
    return ShuffledLoader(cache, **(arguments | settings))  # type: ignore[arg-type]


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
        kept &= cache.ordinary(cache.tokens(0, CONTEXTS))
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


# ── memory ───────────────────────────────────────────────────────────────────────────────────


def test_too_little_memory_is_refused_with_the_size_that_does(cache):
    with pytest.raises(ConfigError, match="memory") as error:
        loader_of(cache, pool_rows=None, memory=100)
    assert error.value.hint
    size = parse_bytes(error.value.hint.removeprefix("give at least "))
    loader_of(cache, pool_rows=None, memory=size).close()


def test_a_pool_takes_no_more_memory_than_it_is_given(cache):
    with loader_of(cache) as loader:
        least, most = loader.memory_for(SMALLEST_POOL), loader.memory_for(ROWS)
    for memory in range(least, most + 1, 997):
        with loader_of(cache, pool_rows=None, memory=memory) as loader:
            assert loader.memory_for(loader.pool_rows) <= memory
            assert loader.pool_rows in (SMALLEST_POOL, ROWS)


@pytest.mark.parametrize("world_size", [1, 4])
def test_a_pool_of_its_own_stays_as_large_as_it_was_made(cache, world_size: int):
    with loader_of(cache, pool_device="cpu", world_size=world_size) as loader:
        frames = loader._frames(SMALLEST_POOL, 48 // world_size)
        for _ in loader:
            assert len(loader._pool.tables[0]) == frames * 8 * SIZE


def test_a_pool_of_another_run_takes_the_memory_it_takes(cache):
    needed = loader_of(cache).memory_for(SMALLEST_POOL)
    with pytest.raises(ConfigError, match="pool of") as error:
        loader_of(cache, memory=needed - 1)
    assert error.value.hint
    with loader_of(cache, memory=2 * needed) as loader:
        assert loader.pool_rows == SMALLEST_POOL


# ── what is read, and what goes wrong ────────────────────────────────────────────────────────


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of what was checked against its checksum."""
    sizes: list[int] = []
    original = blocks.crc32c

    def counting(data: memoryview, before: int = 0) -> int:
        sizes.append(len(data))
        return original(data, before)

    monkeypatch.setattr(blocks, "crc32c", counting)
    return sizes


@pytest.mark.parametrize("pool_device", [None, "cpu"])
@pytest.mark.parametrize("pool_rows", [SMALLEST_POOL, ROWS])
def test_every_block_is_checked_once(cache, checked: list[int], pool_device, pool_rows):
    stored = ROWS * 3 * 4
    with loader_of(cache, pool_device=pool_device, pool_rows=pool_rows) as loader:
        rows_of(loader)
        rows_of(loader)
    assert sum(checked) == stored
    with loader_of(cache, pool_device=pool_device, pool_rows=pool_rows, check=False) as loader:
        rows_of(loader)
    assert sum(checked) == stored


@pytest.mark.parametrize("pool_device", [None, "cpu"])
def test_going_on_reads_only_what_is_still_to_come(cache, pool_device):
    with loader_of(cache, pool_device=pool_device, batch_size=100) as whole:
        batches = iter(whole)
        for _ in range(35):  # of 40
            next(batches)
        state = whole.state_dict()
        list(batches)
        everything = whole.stats.bytes_read
    with loader_of(cache, pool_device=pool_device, batch_size=100) as rest:
        rest.load_state_dict(state)
        assert len(rows_of(rest)) == 5
        assert 0 < rest.stats.bytes_read < everything


@pytest.mark.parametrize(("format", "compression"), STORAGE)
@pytest.mark.parametrize("pool_device", [None, "cpu"])
def test_a_damaged_block_is_never_handed_out(tmp_path: Path, format, compression, pool_device):
    cache = made_up_cache(
        tmp_path / "c", 64, context_size=SIZE, format=format, compression=compression
    )
    pattern = "*.safetensors" if format == "safetensors" else "c/7/0/0"
    shard = sorted((tmp_path / "c/activations/hook").glob(pattern))[-1]
    content = bytearray(shard.read_bytes())
    content[-5 if format == "safetensors" else 5] ^= 1
    shard.write_bytes(content)
    with (
        ShuffledLoader(cache, "hook", 16, "1MiB", pool_device=pool_device) as loader,
        pytest.raises(CacheError, match=shard.name),
    ):
        list(loader)


@pytest.mark.parametrize("pool_device", [None, "cpu"])
def test_a_file_that_goes_missing_is_named_at_once(tmp_path: Path, pool_device):
    cache = made_up_cache(
        tmp_path / "c", CONTEXTS, context_size=SIZE, shard_contexts=100, batch_size=50
    )
    with ShuffledLoader(
        cache, "hook", 100, pool_rows=SMALLEST_POOL, pool_device=pool_device
    ) as loader:
        batches = iter(loader)
        next(batches)
        for shard in (tmp_path / "c/activations/hook").iterdir():
            shard.unlink()
        with pytest.raises(CacheError, match="shard-000"):
            list(batches)
        assert loader.state_dict()["position"] < ROWS / 2


@pytest.mark.parametrize("format", ["safetensors", "zarr"])
@pytest.mark.parametrize("pool_device", [None, "cpu"])
@pytest.mark.parametrize("harm", ["remove", "truncate"])
@pytest.mark.parametrize("when", ["opened", "begun"])
def test_a_file_lost_after_the_cache_was_opened_is_named(
    tmp_path: Path, format, pool_device, harm, when
):
    """Rather than a signal, which touching memory behind a mapped file's end would be."""
    cache = made_up_cache(
        tmp_path / "c", 64, context_size=SIZE, hooks={"hook": 512}, format=format, shard_contexts=16
    )
    name = "shard-00001.safetensors" if format == "safetensors" else "c/1/0/0"
    shard = tmp_path / "c/activations/hook" / name

    def lose(moment: str) -> None:
        if when == moment:
            shard.unlink() if harm == "remove" else os.truncate(shard, 4096)

    def read() -> None:
        with ShuffledLoader(cache, "hook", 16, "1MiB", pool_device=pool_device) as loader:
            lose("begun")
            list(loader)

    lose("opened")
    with pytest.raises(CacheError, match=name):
        read()


FDS = Path("/proc/self/fd")


def open_files() -> set[str]:
    files = FDS.iterdir()
    return {str(file.readlink()) for file in files if file.is_symlink()}


def mapped(folder: Path) -> bool:
    return str(folder) in Path("/proc/self/maps").read_text()


@pytest.mark.parametrize("pool_device", [None, "cpu"])
@pytest.mark.parametrize("end", ["close", "break", "error"])
def test_an_early_end_leaves_no_thread_and_no_open_file(cache, pool_device, end: str):
    threads, files = set(threading.enumerate()), open_files()
    try:
        with loader_of(cache, pool_device=pool_device) as loader:
            batches = iter(loader)
            next(batches)
            assert set(threading.enumerate()) - threads
            if end == "error":
                raise RuntimeError
            if end == "break":
                for _ in loader:
                    break
    except RuntimeError:
        pass
    assert not set(threading.enumerate()) - threads
    assert open_files() <= files
    del batches, loader
    assert not mapped(cache.path)


def test_a_loader_does_not_change_the_number_of_torch_threads(cache):
    threads = torch.get_num_threads()
    with loader_of(cache) as loader:
        next(iter(loader))
        assert torch.get_num_threads() == threads
        seen: list[int] = []
        later = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
        later.start()
        later.join()
        assert seen == [threads]


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
