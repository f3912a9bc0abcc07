"""Promises about files that are sound and of the right size, but are not this cache's."""

import shutil
from pathlib import Path

import pytest
import torch

from lmsaes import ActivationCache, ShuffledLoader
from lmsaes.cache.arrays import shard_file
from lmsaes.cache.manifest import read_manifest, write_manifest
from lmsaes.cache.shards import FileRecord, write_list, write_shard
from lmsaes.cache.writer import CacheWriter
from lmsaes.cache_tools.inspect import describe
from lmsaes.cache_tools.verify import verify
from lmsaes.errors import CacheError
from lmsaes.provenance import TextPosition
from tests.support.made_up_cache import (
    made_up_cache,
    made_up_manifest,
    made_up_rows,
    write_made_up_cache,
)

LAYOUTS = [
    ("safetensors", "none"),
    ("zarr", "none"),
    ("zarr", "zstd"),
    ("zarr", "lz4"),
    ("zarr", "blosc"),
]
CONTEXTS, SIZE, SHARD, D_MODEL = 16, 4, 4, 8
ARRAYS = ["tokens", "activations/hook"]


def cache_of_equal_shards(folder: Path, format: str, compression: str, first: int) -> Path:
    """Shards of other values, whose files are of the same size: shard s holds rows times 2 to the
    power of first + s, and ids in a turn of their own."""
    manifest = made_up_manifest(
        CONTEXTS,
        SIZE,
        {"hook": D_MODEL},
        format=format,
        compression=compression,
        shard_contexts=SHARD,
    )
    rows, tokens = made_up_rows(0, SHARD, SIZE, D_MODEL), torch.arange(SHARD * SIZE)
    with CacheWriter(folder, manifest) as writer:
        for shard in range(CONTEXTS // SHARD):
            ids = tokens.roll(first + shard).reshape(SHARD, SIZE)
            values = {"hook": rows * 2.0 ** (first + shard)}
            writer.write(ids, values, ids > 0, TextPosition())
        writer.finish()
    return folder


def names(folder: Path, array: str) -> list[str]:
    """The files of an array's shards 1 and 2."""
    cache = ActivationCache.open(folder)
    specs = {spec.path: spec for spec in cache.stored("hook")} | {"tokens": cache._tokens}
    return [shard_file(cache.manifest, specs[array], shard) for shard in (1, 2)]


def swap(folder: Path, array: str) -> list[str]:
    one, two = names(folder, array)
    contents = [(folder / name).read_bytes() for name in (one, two)]
    assert len(contents[0]) == len(contents[1])
    assert contents[0] != contents[1]
    (folder / one).write_bytes(contents[1])
    (folder / two).write_bytes(contents[0])
    return [one, two]


def take_from(other: Path, folder: Path, array: str) -> list[str]:
    name = names(folder, array)[0]
    assert (other / name).stat().st_size == (folder / name).stat().st_size
    shutil.copy(other / name, folder / name)
    return [name]


def load(cache: ActivationCache, pool_device: str | None) -> None:
    settings = {"pool_device": pool_device, "drop_special": True}
    with ShuffledLoader(cache, "hook", 8, "1MiB", **settings) as loader:
        list(loader)


@pytest.mark.parametrize(("format", "compression"), LAYOUTS)
@pytest.mark.parametrize("array", ARRAYS)
@pytest.mark.parametrize("harm", ["swapped", "of another cache"])
def test_a_foreign_shard_is_found_by_whoever_reads_it(tmp_path, format, compression, array, harm):
    folder = cache_of_equal_shards(tmp_path / "c", format, compression, 0)
    other = cache_of_equal_shards(tmp_path / "other", format, compression, 8)
    foreign = swap(folder, array) if harm == "swapped" else take_from(other, folder, array)
    cache = ActivationCache.open(folder)
    with pytest.raises(CacheError, match=f"{foreign[0]} is damaged in block 0"):
        cache.tokens(0, 8) if array == "tokens" else cache.activations("hook", 0, 8)
    for pool_device in (None, "cpu"):
        with pytest.raises(CacheError, match=f"({'|'.join(foreign)}) is damaged in block"):
            load(cache, pool_device)
    faults = verify(folder, deep=True)
    assert len(faults) == len(foreign)
    for fault, name in zip(faults, foreign, strict=True):
        assert f"{folder / name} is damaged" in fault


@pytest.mark.parametrize("compression", ["none", "zstd", "blosc"])
def test_zarr_caches_of_before_the_manifest_knew_blocks_are_read_and_checked(tmp_path, compression):
    """By the checksums that zarr itself keeps."""
    folder = tmp_path / "c"
    cache = made_up_cache(folder, 10, format="zarr", compression=compression)
    manifest = cache.manifest
    manifest.shards = [
        shard.model_copy(
            update={
                "files": {
                    name: FileRecord(bytes=record.bytes, sha256=record.sha256)
                    for name, record in shard.files.items()
                }
            }
        )
        for shard in manifest.shards
    ]
    for shard in manifest.shards:
        write_shard(folder, shard)
    manifest.shards_sha256 = write_list(folder, manifest.shards)
    write_manifest(folder, manifest)
    cache = ActivationCache.open(folder)
    expected = made_up_rows(0, 10, 4, 3)
    assert torch.equal(cache.activations("hook", 0, 10), expected)
    for pool_device in (None, "cpu"):
        with ShuffledLoader(
            cache, "hook", 7, "1MiB", pool_device=pool_device, return_rows=True
        ) as loader:
            for batch, numbers in loader:
                assert torch.equal(batch, expected.flatten(0, 1)[numbers])
    path = folder / "activations/hook/c/1/0/0"
    content = path.read_bytes()
    path.write_bytes(content[:9] + bytes([content[9] ^ 4]) + content[10:])
    with pytest.raises(CacheError, match="activations/hook/c/1/0/0 is damaged in block 0"):
        cache.activations("hook", 0, 10)


def test_foreign_sums_are_not_counted(tmp_path):
    folder = tmp_path / "c"
    write_made_up_cache(folder, made_up_manifest(16), stop_after=13)
    one, two = (f"statistics/hook/shard-{shard:05d}.safetensors" for shard in (0, 1))
    shutil.copy(folder / two, folder / one)
    with pytest.raises(CacheError, match=f"{one} is damaged"):
        write_made_up_cache(folder, read_manifest(folder))
    with pytest.raises(CacheError, match=f"{one} is damaged"):
        describe(ActivationCache.open(folder))
