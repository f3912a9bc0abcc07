"""Promises that hold whatever befalls a writer: SIGKILL at any moment, and a disk that is full.

`make test` kills a few times, `make stress` many times.
"""

import gc
import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from lmsaes.cache.extend import extended_manifest
from lmsaes.cache.manifest import MANIFEST, Manifest, read_manifest
from lmsaes.cache.reader import ActivationCache
from lmsaes.cache_tools.verify import verify
from lmsaes.errors import CacheError
from tests.cache.test_cache import data_files
from tests.support.commands import children
from tests.support.made_up_cache import made_up_manifest, made_up_rows, write_made_up_cache

KINDS = [("safetensors", "float32"), ("zarr", "float32"), ("safetensors", "int8"), ("zarr", "int8")]
HOOKS = {"a": 3, "b": 5}


def kind(format: str, dtype: str, contexts: int, hooks: dict[str, int] = HOOKS) -> Manifest:
    return made_up_manifest(contexts, hooks=dict(hooks), format=format, dtype=dtype)


def bring_on(folder: Path, format: str, dtype: str) -> None:
    """Goes on with what is there: 41 contexts of one hook, another hook for them, then 64."""
    first = kind(format, dtype, 41, {"a": 3})
    found = read_manifest(folder) if (folder / MANIFEST).exists() else first
    if found.contexts_requested == 41 and not found.complete:
        write_made_up_cache(folder, found)
        found = read_manifest(folder)
    target = extended_manifest(folder, found, kind(format, dtype, 64))
    if target.adding:
        write_made_up_cache(folder, target)
        target = read_manifest(folder)
    if not target.complete:
        write_made_up_cache(folder, target)


@pytest.mark.parametrize(("format", "dtype"), KINDS)
@pytest.mark.parametrize("deaths", [5, pytest.param(60, marks=pytest.mark.stress)])
def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(tmp_path, format, dtype, deaths):
    write_made_up_cache(tmp_path / "whole", kind(format, dtype, 64))
    folder = tmp_path / "killed"
    generator = random.Random(f"{format} {dtype}")
    died, readable = 0, 0
    while died < deaths:
        if (folder / MANIFEST).exists() and read_manifest(folder).complete and died % 3 == 0:
            shutil.rmtree(folder)
            readable = 0
        child = children.Process(target=bring_on, args=(folder, format, dtype))
        child.start()
        while child.is_alive() and not (folder / ".lock").exists():
            time.sleep(0.001)
        time.sleep(generator.uniform(0, 0.25))
        died += child.is_alive()
        child.kill()
        child.join()
        assert child.exitcode in (0, -9)
        if not (folder / MANIFEST).exists():
            continue
        manifest = read_manifest(folder)
        # a short last shard can be gone for the moment in which a longer one takes its place
        assert manifest.contexts >= readable - readable % 4
        readable = manifest.contexts
        if readable:
            cache = ActivationCache.open(folder)
            for hook in cache.hooks:
                check_rows(cache, hook)
    bring_on(folder, format, dtype)
    assert data_files(folder) == data_files(tmp_path / "whole")
    content = [(f / MANIFEST).read_bytes() for f in (folder, tmp_path / "whole")]
    assert content[0] == content[1]


def check_rows(cache: ActivationCache, hook: str) -> None:
    """What can be read is what was to be written."""
    expected = made_up_rows(0, cache.contexts, 4, cache.hooks[hook].d_model)
    slack = float(expected.abs().max()) / 100 if cache.hooks[hook].dtype == "int8" else 0
    assert torch.allclose(cache.activations(hook, 0, cache.contexts), expected, atol=slack)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with one MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)):
        pytest.skip("only root may mount a small disk")
    yield disk
    gc.collect()  # caches that are read keep their folder open
    subprocess.run(["umount", disk], check=True)


def mount(*words: str) -> int:
    return subprocess.run(["mount", *words], capture_output=True, check=False).returncode


@pytest.mark.parametrize(("format", "dtype"), KINDS)
def test_a_full_disk_is_told_and_room_lets_it_go_on(tmp_path, small_disk, format, dtype):
    hooks = {"a": 3, "wide": 512}
    wanted = kind(format, dtype, 160, hooks)
    write_made_up_cache(tmp_path / "whole", wanted.model_copy(deep=True))
    folder = small_disk / "c"
    for _ in range(2):  # the same again while there is no room
        manifest = read_manifest(folder) if (folder / MANIFEST).exists() else wanted
        with pytest.raises(CacheError, match="no space left on the disk") as error:
            write_made_up_cache(folder, manifest)
        assert error.value.hint == "make room and run the same command again: it continues"
        cache = ActivationCache.open(folder)
        assert 0 < cache.contexts < 160
        for hook in hooks:
            check_rows(cache, hook)
    assert mount("-o", "remount,size=8m", str(small_disk)) == 0
    write_made_up_cache(folder, read_manifest(folder))
    assert data_files(folder) == data_files(tmp_path / "whole")
    assert verify(folder, deep=True) == []
