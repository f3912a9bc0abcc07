"""Caches that were written once must stay readable, by us and by plain libraries alone.

`golden/make.py` made them. Those in float16 are older than int8 and storage errors; of those in
zarr, the one in float32 alone has its blocks' checksums in the manifest.
"""

import base64
import hashlib
import json
import shutil
from pathlib import Path

import crc32c
import numpy as np
import pytest
import torch
import zarr
from safetensors.numpy import load_file

from lmsaes.cache.reader import ActivationCache
from lmsaes.cache_tools.verify import verify
from lmsaes.loader.loader import ShuffledLoader
from tests.cache.golden.make import CONTEXTS, HOOKS, SIZE, golden_rows, golden_tokens

GOLDEN = Path(__file__).parent / "golden"
NAMES = (
    *("safetensors-float16", "safetensors-int8", "zarr-float16", "zarr-int8", "zarr-float32"),
    *("safetensors-float16-2", "zarr-int8-2"),
)


def plain_array(folder: Path, path: str) -> np.ndarray:
    """One array of a cache, by docs/cache-format.md and plain libraries."""
    if (folder / path / "zarr.json").exists():
        return zarr.open_array(folder / path, mode="r")[:]
    tensor = path.split("/")[0]
    shards = sorted((folder / path).glob("shard-*.safetensors"))
    return np.concatenate([load_file(shard)[tensor] for shard in shards])


def plain_rows(folder: Path, hook: str) -> tuple[np.ndarray, np.ndarray]:
    """A hook's activations and the largest error that its dtype allows."""
    values = plain_array(folder, f"activations/{hook}").astype(np.float32)
    if not (folder / "scales").exists():
        return values, np.zeros_like(values)
    scales = plain_array(folder, f"scales/{hook}").astype(np.float32)[..., None]
    channels = load_file(folder / "channels.safetensors")
    mean, deviation = channels[f"{hook}/mean"], channels[f"{hook}/deviation"]
    return mean + deviation * (scales * values), deviation * scales / 2 + 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_plain_libraries_find_in_it_what_was_put_there(name):
    folder = GOLDEN / name
    assert np.array_equal(plain_array(folder, "tokens"), golden_tokens())
    for hook, d_model in HOOKS.items():
        rows, error = plain_rows(folder, hook)
        assert rows.shape == (CONTEXTS, SIZE, d_model)
        assert (np.abs(rows - golden_rows(d_model)) <= error).all()


def plain_blocks(content: bytes, count: int) -> list[bytes]:
    """The `count` blocks of a safetensors shard as they are stored."""
    header = 8 + int.from_bytes(content[:8], "little")
    assert header == 4096
    data = content[header:]
    size = len(data) // count  # a block is one context here, but of tokens a whole shard
    return [data[i : i + size] for i in range(0, len(data), size)]


def plain_chunks(content: bytes, count: int) -> list[bytes]:
    """The `count` inner chunks of a zarr shard as they are stored, without their own checksums."""
    places = np.frombuffer(content[-16 * count - 4 : -4], "<u8").reshape(count, 2)
    return [content[offset : offset + size - 4] for offset, size in places.tolist()]


def plain_checksums(blocks: list[int] | str) -> list[int]:
    """Format 1 has a list of numbers, format 2 their bytes in base 64."""
    if isinstance(blocks, str):
        return np.frombuffer(base64.b64decode(blocks), "<u4").tolist()
    return blocks


@pytest.mark.parametrize("name", NAMES)
def test_its_manifest_says_what_the_files_are(name):
    folder = GOLDEN / name
    manifest = json.loads((folder / "manifest.json").read_text())
    shards = manifest.get("shards") or json.loads((folder / "shards.json").read_text())
    if manifest["format_version"] == 2:
        single = sorted((folder / "shards").glob("*.json"))
        assert shards == [json.loads(path.read_text()) for path in single]
        digest = hashlib.sha256((folder / "shards.json").read_bytes()).hexdigest()
        assert manifest["shards_sha256"] == digest
    named = {name: record for shard in shards for name, record in shard["files"].items()}
    for file, record in named.items():
        content = (folder / file).read_bytes()
        assert len(content) == record["bytes"]
        assert hashlib.sha256(content).hexdigest() == record["sha256"]
        if record.get("blocks"):
            checksums = plain_checksums(record["blocks"])
            count = len(checksums)
            if manifest["format"] == "zarr":
                chunks = 1 if file.startswith("tokens/") else manifest["shard_contexts"]
                blocks = plain_chunks(content, chunks)[:count]
            else:
                blocks = plain_blocks(content, count)
            assert [crc32c.crc32c(block) for block in blocks] == checksums
    for hook, record in manifest["hooks"].items():
        if record["dtype"] == "int8":
            channels = load_file(folder / "channels.safetensors")
            both = channels[f"{hook}/mean"].tobytes() + channels[f"{hook}/deviation"].tobytes()
            assert hashlib.sha256(both).hexdigest() == record["channels"]


@pytest.mark.parametrize("name", NAMES)
def test_lmsaes_reads_the_same(tmp_path, name):
    folder = shutil.copytree(GOLDEN / name, tmp_path / name)
    assert verify(folder, deep=True) == []
    cache = ActivationCache.open(folder)
    assert cache.manifest.complete
    assert np.array_equal(cache.tokens(0, CONTEXTS).numpy(), golden_tokens())
    for hook in HOOKS:
        rows, _ = plain_rows(folder, hook)
        found = cache.activations(hook, 0, CONTEXTS)
        assert np.allclose(found.float().numpy(), rows, rtol=1e-6, atol=1e-6)
        statistics = cache.hooks[hook].statistics
        assert statistics is not None
        assert statistics.mean == pytest.approx(rows.mean((0, 1)).tolist(), abs=1e-6)
        with ShuffledLoader(cache, hook, 3, return_rows=True) as loader:
            for batch, numbers in loader:
                assert torch.equal(batch, found.flatten(0, 1)[numbers])


def test_what_was_not_measured_yet_is_not_known():
    hook = next(iter(HOOKS))
    assert ActivationCache.open(GOLDEN / "zarr-float16").hooks[hook].storage_error is None
    error = ActivationCache.open(GOLDEN / "zarr-int8").hooks[hook].storage_error
    assert error is not None
    assert 0 < error < 1e-4
