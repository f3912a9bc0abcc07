"""The loader's pool: its memory, what is read into it, what goes wrong, what it leaves behind."""

import os
import threading
from pathlib import Path

import pytest
import torch

from lmsaes.cache import blocks
from lmsaes.cache.reader import ActivationCache
from lmsaes.errors import CacheError, ConfigError
from lmsaes.loader.loader import ShuffledLoader
from lmsaes.loader.order import SMALLEST_POOL
from lmsaes.units import parse_bytes
from tests.support.made_up_cache import made_up_cache
from tests.support.made_up_loader import CONTEXTS, ROWS, SIZE, STORAGE, cache_of, loader_of, rows_of


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> ActivationCache:
    return cache_of(("safetensors", "none", "float32"), tmp_path_factory.mktemp("cache"))


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
