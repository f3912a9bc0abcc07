"""`lmsaes tools bench`: what it measures, and that it stays within its bounds."""

import json
import os
import time

import pytest

from lmsaes.cache_tools import bench as module
from lmsaes.cache_tools.bench import STEP_COST, bench
from tests.support.made_up_cache import made_up_cache
from tests.support.tools import refused, tool

HOOKS = {"a": 16, "b": 8}


@pytest.mark.parametrize(
    ("format", "compression", "dtype"),
    [("safetensors", "none", "float16"), ("zarr", "zstd", "float32"), ("zarr", "none", "int8")],
)
def test_bench_says_which_saes_the_measured_rate_feeds(tmp_path, format, compression, dtype):
    stored = {"format": format, "compression": compression, "dtype": dtype}
    made_up_cache(tmp_path / "c", 64, hooks=HOOKS, **stored)
    settings = ["--hook", "b", "--seconds", "0.5"]
    found = json.loads(tool("bench", tmp_path / "c", *settings, "--flops", "40T", "--json"))
    assert (found["hook"], found["d_model"], found["dtype"]) == ("b", 8, dtype)
    for name in ("in_order_warm", "shuffled_warm"):
        assert found[name]["rows_per_second"] > 0
        assert found[name]["gigabytes_per_second"] > 0
    assert (found["in_order_cold"] is None) == (found["shuffled_cold"] is None)
    here, there = found["fed"]
    assert (here["measured"], there["measured"], there["flops"]) == (True, False, 40e12)
    for fed in (here, there):
        rows = found["shuffled_warm"]["rows_per_second"]
        assert fed["warm"] * STEP_COST * 2 * 8 * rows == pytest.approx(fed["flops"])
    printed = tool("bench", tmp_path / "c", *settings)
    assert "memory copy" in printed
    assert "a TopK SAE of" in printed


def test_bench_reads_no_more_than_its_time_allows(tmp_path, monkeypatch):
    cache = made_up_cache(tmp_path / "c", 400, block_contexts=2, shard_contexts=40)
    read: list[int] = []
    real = cache.read_block

    def slowly(spec, block):
        read.append(block.first)
        time.sleep(0.02)
        return real(spec, block)

    monkeypatch.setattr(cache, "read_block", slowly)
    found = bench(cache, seconds=0.4)
    assert found.in_order_warm is not None
    assert 2 <= len(read) < 50  # of 200 blocks, twice


def test_the_pool_stays_within_its_memory_and_follows_the_disk(tmp_path, monkeypatch):
    cache = made_up_cache(tmp_path / "c", 4096, hooks={"a": 64}, shard_contexts=2048)
    monkeypatch.setattr(module, "_LEAST_MEMORY", 1 << 20)

    def pool(disk: float, memory: str) -> int:
        """Of a disk that gives so many gigabytes a second."""
        monkeypatch.setattr(module, "_rate", lambda *_: module.Rate(1.0, disk))
        return bench(cache, memory=memory, seconds=0.2).shuffled_memory

    sizes = [pool(1e-6, "1GiB"), pool(1e3, "3MiB"), pool(1e3, "1GiB")]
    assert sizes == sorted(set(sizes))
    assert sizes[1] <= 3 << 20
    assert "give at least" in refused("bench", cache.path, "--memory", "64KiB", "--seconds", "0.1")


def test_no_cold_figure_is_made_up_where_pages_stay(tmp_path, monkeypatch):
    made_up_cache(tmp_path / "c", 64)
    monkeypatch.delattr(os, "posix_fadvise", raising=False)
    found = json.loads(tool("bench", tmp_path / "c", "--seconds", "0.3", "--json"))
    assert found["in_order_cold"] is found["shuffled_cold"] is found["fed"][0]["cold"] is None
    assert "not to be had here" in tool("bench", tmp_path / "c", "--seconds", "0.3")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--hook", "z"], "does not hold hook 'z'"),
        (["--seconds", "0"], "nothing to measure"),
        (["--flops", "fast"], "'fast' is not a count"),
        (["--memory", "much"], "'much' is not a size"),
    ],
)
def test_what_cannot_be_measured_is_refused(tmp_path, words, line):
    made_up_cache(tmp_path / "c", 8)
    assert line in refused("bench", tmp_path / "c", *words)
