"""`torchrun … lmsaes cache`: several processes write the cache that one would."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lmsaes import cache_activations
from lmsaes.cache.location import lock_cache
from lmsaes.cache.manifest import MANIFEST, read_manifest
from lmsaes.demo import MODEL
from tests.cache.test_cache import data_files
from tests.support.commands import Started, start

HOOKS = ["blocks.0.hook_resid_post", "blocks.1.mlp.hook_post"]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("Now it came to pass in those days, that there went out a decree. " * 60)
    return path


def two_ranks(*words: str) -> list[Started]:
    """The command in two processes that know of each other as under torchrun."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    there = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1",
             "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}  # fmt: skip
    ranks = [start(*words, environment=there | {"RANK": rank, "LOCAL_RANK": rank}) for rank in "01"]
    codes = [rank.wait() for rank in ranks]
    assert codes == [0, 0], [rank.stderr for rank in ranks]
    return ranks


def torchrun(*words: str) -> subprocess.CompletedProcess[str]:
    """Two ranks of the console script, each with one thread."""
    folder = Path(sys.executable).parent
    return subprocess.run(
        [folder / "torchrun", "--standalone", "--nproc-per-node", "2", "--no-python",
         folder / "lmsaes", *words],
        capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def command(text: Path, out: Path, hooks: list[str], tokens: int) -> list[str]:
    named = [word for hook in hooks for word in ("--hook", hook)]
    return ["cache", "--model", str(MODEL), "--dataset", str(text), *named, "--out", str(out),
            "--tokens", str(tokens), "--context-size", "32", "--batch-size", "2", "--dtype",
            "int8", "--format", "zarr", "--shard-size", "16KiB", "--block-size", "8KiB",
            "--device", "cpu"]  # fmt: skip


def test_two_ranks_write_what_one_would(tmp_path, text):
    """Into shards, int8 channels and an end of the text that the second rank comes to; then with
    another hook."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        arguments = {"model": str(MODEL), "dataset": str(text), "context_size": 32,
                     "batch_size": 2, "dtype": "int8", "format": "zarr", "shard_size": "16KiB",
                     "block_size": "8KiB", "device": "cpu", "tokens": 10_000}  # fmt: skip
        whole = cache_activations(**arguments, hooks=HOOKS[:1], out=tmp_path / "whole")
        assert len(whole.manifest.shards) > 4
        out = tmp_path / "ranks"
        first, other = two_ranks(*command(text, out, HOOKS[:1], 10_000))
        said = first.stderr + other.stderr
        assert said.count("batches of 2 × 32 tokens on cpu and 1 other ranks") == 1
        assert said.count("the text ended after") == 1
        assert (first.stdout + other.stdout).count("next: lmsaes train") == 1
        _check_same(out, whole.path)
        cache_activations(**arguments, hooks=HOOKS, out=whole.path)
        two_ranks(*command(text, out, HOOKS, 10_000))
        _check_same(out, whole.path)
    finally:
        torch.set_num_threads(threads)


def _check_same(folder: Path, whole: Path) -> None:
    assert data_files(folder) == data_files(whole)
    created = {"created": ""}
    found, expected = (read_manifest(f).model_copy(update=created) for f in (folder, whole))
    assert found == expected
    assert [path.name for path in folder.glob("manifest*")] == [MANIFEST]


def test_when_one_rank_fails_the_others_end_too(tmp_path, text):
    with lock_cache(tmp_path / "c"):
        result = torchrun(*command(text, tmp_path / "c", HOOKS[:1], 500))
    assert result.returncode != 0
    assert f"error: another process is writing to {tmp_path / 'c'}" in result.stderr
    assert not (tmp_path / "c" / MANIFEST).exists()
