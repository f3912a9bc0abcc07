"""Promises of caches that grow: by contexts, by hooks, by several ranks, in any number of goes."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lmsaes.cache.extend import extended_manifest
from lmsaes.cache.manifest import MANIFEST, Manifest, read_manifest, write_manifest
from lmsaes.cache.reader import ActivationCache
from lmsaes.cache_tools.verify import verify
from lmsaes.errors import CacheError, RankError
from tests.cache.test_cache import data_files
from tests.support.made_up_cache import made_up_manifest, made_up_rows, write_made_up_cache

KINDS = [("safetensors", "float32"), ("zarr", "float32"), ("safetensors", "int8"), ("zarr", "int8")]
HOOKS = {"a": 3, "b": 5}


class ThreadRanks:
    """Ranks that are threads of one process."""

    def __init__(self, rank: int, barrier: threading.Barrier) -> None:
        self.rank, self.size, self._barrier = rank, barrier.parties, barrier

    def wait(self) -> None:
        try:
            self._barrier.wait(60)
        except threading.BrokenBarrierError:
            raise RankError("another process of this run has failed") from None

    def fail(self) -> None:
        self._barrier.abort()


def on_ranks(size: int, work: Callable[[ThreadRanks], None]) -> list[BaseException]:
    """Runs `work` on each rank; one that ends by an exception or early breaks the others'."""
    barrier = threading.Barrier(size)
    errors: list[BaseException] = []

    def run(rank: int) -> None:
        ranks = ThreadRanks(rank, barrier)
        try:
            work(ranks)
        except BaseException as error:
            errors.append(error)
            ranks.fail()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def kind(format: str, dtype: str, contexts: int, hooks: dict[str, int] = HOOKS) -> Manifest:
    return made_up_manifest(
        contexts, hooks=dict(hooks), format=format, dtype=dtype, shard_contexts=4, batch_size=2
    )


def grow(folder: Path, wanted: Manifest, stop_after: int | None = None) -> None:
    """What `cache_activations` does with a cache that is there, on one rank."""
    target = extended_manifest(folder, read_manifest(folder), wanted)
    if target.adding:
        write_made_up_cache(folder, target, stop_after)
        target = read_manifest(folder)
    if not target.complete and not target.adding:
        write_made_up_cache(folder, target, stop_after)


def same(folder: Path, other: Path) -> bool:
    manifests = [(f / MANIFEST).read_bytes() for f in (folder, other)]
    return data_files(folder) == data_files(other) and manifests[0] == manifests[1]


def holds(folder: Path, hook: str, contexts: int) -> bool:
    """Whether the cache can be read and has at least so many contexts of the made-up rows."""
    cache = ActivationCache.open(folder)
    read = cache.activations(hook, 0, cache.contexts)
    expected = made_up_rows(0, cache.contexts, 4, HOOKS[hook])
    scale = expected.abs().max() if cache.hooks[hook].dtype == "int8" else 0
    return cache.contexts >= contexts and torch.allclose(read, expected, atol=float(scale) / 100)


@pytest.mark.parametrize(("format", "dtype"), KINDS)
@given(start=st.integers(2, 20), more=st.integers(1, 15), stop=st.none() | st.integers(1, 40))
@settings(max_examples=5)
def test_a_cache_grown_by_contexts_is_one_made_at_once(
    tmp_path_factory, format, dtype, start, more, stop
):
    folder, whole = (tmp_path_factory.mktemp(name) / "c" for name in ("extended_manifest", "whole"))
    write_made_up_cache(whole, kind(format, dtype, start + more))
    write_made_up_cache(folder, kind(format, dtype, start))
    if stop is not None:
        grow(folder, kind(format, dtype, start + more), stop)
        # what was complete can be read whatever becomes of what is added
        assert holds(folder, "a", start)
    grow(folder, kind(format, dtype, start + more))
    assert same(folder, whole)


@pytest.mark.parametrize(("format", "dtype"), KINDS)
@given(contexts=st.integers(2, 20), stop=st.none() | st.integers(1, 20))
@settings(max_examples=5)
def test_a_hook_added_later_is_one_written_with_the_others(
    tmp_path_factory, format, dtype, contexts, stop
):
    folder, whole = (tmp_path_factory.mktemp(name) / "c" for name in ("extended_manifest", "whole"))
    write_made_up_cache(whole, kind(format, dtype, contexts))
    write_made_up_cache(folder, kind(format, dtype, contexts, {"a": 3}))
    before = data_files(folder)
    if stop is not None:
        grow(folder, kind(format, dtype, contexts), stop)
        assert holds(folder, "a", contexts)
        assert verify(folder, deep=True) == []
        # the command that made it still finds all it asks for
        found = read_manifest(folder)
        if "b" not in found.hooks:
            assert (
                extended_manifest(folder, found, kind(format, dtype, contexts, {"a": 3})) is found
            )
    grow(folder, kind(format, dtype, contexts, {"b": 5}))
    assert same(folder, whole)
    # what says which files there are, and what rounds a hook, has a hook more
    unchanged = {name for name in before if name.startswith(("activations", "tokens", "statist"))}
    assert {name: data_files(folder)[name] for name in unchanged} == {
        name: before[name] for name in unchanged
    }


@pytest.mark.parametrize(("format", "dtype"), KINDS)
def test_contexts_and_a_hook_are_added_in_one_go(tmp_path, format, dtype):
    write_made_up_cache(tmp_path / "whole", kind(format, dtype, 29))
    write_made_up_cache(tmp_path / "c", kind(format, dtype, 14, {"a": 3}))
    grow(tmp_path / "c", kind(format, dtype, 29))
    assert same(tmp_path / "c", tmp_path / "whole")


def test_a_hook_that_is_no_longer_wanted_leaves_nothing_behind(tmp_path):
    write_made_up_cache(tmp_path / "whole", kind("safetensors", "float32", 20, {"a": 3}))
    write_made_up_cache(tmp_path / "c", kind("safetensors", "float32", 10, {"a": 3}))
    grow(tmp_path / "c", kind("safetensors", "float32", 10), stop_after=6)
    assert read_manifest(tmp_path / "c").adding
    grow(tmp_path / "c", kind("safetensors", "float32", 20, {"a": 3}))
    assert same(tmp_path / "c", tmp_path / "whole")


@pytest.mark.parametrize(("format", "dtype"), KINDS)
@pytest.mark.parametrize("size", [2, 3])
def test_ranks_write_what_one_would(tmp_path, format, dtype, size):
    write_made_up_cache(tmp_path / "whole", kind(format, dtype, 27))
    manifest = kind(format, dtype, 27)
    folder = tmp_path / "c"
    errors = on_ranks(
        size, lambda ranks: write_made_up_cache(folder, manifest.model_copy(deep=True), ranks=ranks)
    )
    assert errors == []
    assert same(folder, tmp_path / "whole")


@pytest.mark.parametrize("format", ["safetensors", "zarr"])
@given(
    sizes=st.lists(st.integers(1, 3), min_size=1, max_size=3),
    stops=st.lists(st.integers(1, 30), min_size=9, max_size=9),
    adding=st.booleans(),
)
@settings(max_examples=5)
def test_when_a_rank_dies_others_end_and_any_number_goes_on(
    tmp_path_factory, format, sizes, stops, adding
):
    folder, whole = (tmp_path_factory.mktemp(name) / "c" for name in ("ranks", "whole"))
    write_made_up_cache(whole, kind(format, "float32", 27))
    # either a cache that grows, its last shard being short, or one that gets another hook
    start = kind(format, "float32", 27, {"a": 3}) if adding else kind(format, "float32", 6)
    write_made_up_cache(folder, start)
    target = extended_manifest(folder, read_manifest(folder), kind(format, "float32", 27))

    for turn, size in enumerate(sizes):

        def part(ranks: ThreadRanks, turn: int = turn) -> None:
            stop = stops[3 * turn + ranks.rank]
            write_made_up_cache(folder, read_manifest(folder), stop, ranks)
            ranks.fail()  # it has stopped early, or all are through

        write_manifest(folder, extended_manifest(folder, read_manifest(folder), target_of(target)))
        on_ranks(size, part)
        assert holds(folder, "a", 27 if adding else 6)
        assert verify(folder, deep=True) == []
    grow(folder, kind(format, "float32", 27))
    assert same(folder, whole)


def target_of(target: Manifest) -> Manifest:
    return target.model_copy(update={"hooks": target.hooks | target.adding, "adding": {}})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"dtype": "float16"}, "hook a .3, float32., not .3, float16."),
        ({"format": "zarr"}, "format safetensors, not zarr"),
        ({"batch_size": 4}, "compute's batch_size 2, not 4"),
    ],
)
def test_another_cache_is_refused_by_name(tmp_path, change, named):
    write_made_up_cache(tmp_path / "c", kind("safetensors", "float32", 8))
    wanted = made_up_manifest(9, **{"hooks": dict(HOOKS), **change})
    with pytest.raises(CacheError, match=named):
        extended_manifest(tmp_path / "c", read_manifest(tmp_path / "c"), wanted)


def test_only_what_changes_rounding_may_be_let_differ(tmp_path):
    folder = tmp_path / "c"
    write_made_up_cache(folder, kind("safetensors", "float32", 8))
    found = read_manifest(folder)
    wanted = made_up_manifest(12, hooks=dict(HOOKS), batch_size=4)
    with pytest.raises(CacheError, match="batch_size 2, not 4") as error:
        extended_manifest(folder, found, wanted)
    assert error.value.hint
    assert "--allow-compute-change goes on with these" in error.value.hint
    target = extended_manifest(folder, found, wanted, allow_compute_change=True)
    assert (target.contexts_requested, target.compute) == (12, found.compute)
    wanted.text = wanted.text.model_copy(update={"seed": 3})
    with pytest.raises(
        CacheError, match="text's seed 0, not 3; compute's batch_size 2, not 4"
    ) as e:
        extended_manifest(folder, found, wanted, allow_compute_change=True)
    assert e.value.hint
    assert "--allow-compute-change" not in e.value.hint


def test_no_hook_is_added_to_shards_that_were_computed_otherwise(tmp_path):
    folder = tmp_path / "c"
    write_made_up_cache(folder, kind("safetensors", "float32", 8, {"a": 3}))
    found = read_manifest(folder)
    wanted = kind("safetensors", "float32", 8)
    assert extended_manifest(folder, found, wanted, allow_compute_change=True).adding
    found.shards[1] = found.shards[1].model_copy(
        update={"compute": found.compute.model_copy(update={"device": "another"})}
    )
    with pytest.raises(CacheError, match="its shard 1 was made with compute's device another"):
        extended_manifest(folder, found, wanted, allow_compute_change=True)


def test_asking_for_less_than_there_is_asks_for_nothing(tmp_path):
    write_made_up_cache(tmp_path / "c", kind("safetensors", "float32", 20))
    found = read_manifest(tmp_path / "c")
    less = kind("safetensors", "float32", 5, {"b": 5})
    assert extended_manifest(tmp_path / "c", found, less) is found


def test_a_record_that_a_crash_cut_short_is_removed(tmp_path):
    write_made_up_cache(tmp_path / "whole", kind("zarr", "float32", 14))
    write_made_up_cache(tmp_path / "c", kind("zarr", "float32", 14, {"a": 3}))
    grow(tmp_path / "c", kind("zarr", "float32", 14), stop_after=6)
    (tmp_path / "c/adding/00002.json.tmp").write_bytes(b"{")
    grow(tmp_path / "c", kind("zarr", "float32", 14))
    assert same(tmp_path / "c", tmp_path / "whole")
