"""Promises of caches in an object store, held against a local S3 server."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from moto.server import ThreadedMotoServer
from typer.testing import CliRunner

from lmsaes import SAE, ActivationCache, ShuffledLoader, cache_activations
from lmsaes.cache import object_store as objects
from lmsaes.cache.extend import extended_manifest
from lmsaes.cache.location import locate, lock_cache
from lmsaes.cache.manifest import MANIFEST, Manifest, read_manifest
from lmsaes.cache.writer import CacheWriter
from lmsaes.cache_tools.inspect import describe
from lmsaes.cache_tools.verify import verify
from lmsaes.cli.app import app
from lmsaes.demo import HELDOUT, MODEL
from lmsaes.errors import CacheError, ConfigError
from tests.cache.test_cache import data_files
from tests.support.made_up_cache import made_up_manifest, made_up_rows, write_made_up_cache
from tests.support.tools import refused, tool

HOOKS = {"a": 3, "b": 5}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The URL of a bucket of the test's own."""
    for name, value in {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(objects, "_SECONDS_BETWEEN_SIGNS", 0.2)
    monkeypatch.setattr(objects, "_SECONDS_TO_WATCH", 2.0)
    name = tmp_path.name.replace("_", "-").lower()[:60].strip("-")
    urllib.request.urlopen(urllib.request.Request(f"{server}/{name}", method="PUT"))
    return f"s3://{name}"


def kind(contexts: int, dtype: str = "float32", hooks: dict[str, int] = HOOKS) -> Manifest:
    return made_up_manifest(contexts, hooks=dict(hooks), format="zarr", dtype=dtype)


def objects_of(url: str) -> dict[str, bytes]:
    """All objects of a cache but its manifest and lock."""
    place = locate(url)
    found = {str(o).removeprefix(url + "/"): o.read_bytes() for o in place.rglob("*")}
    return {name: content for name, content in found.items() if name != MANIFEST}


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_a_bucket_holds_the_bytes_of_a_folder(bucket, tmp_path, dtype):
    """Written in parts, extended_manifest by contexts and a hook."""
    url = f"{bucket}/caches/one"
    write_made_up_cache(tmp_path / "c", kind(22, dtype))
    write_made_up_cache(locate(url), kind(10, dtype, {"a": 3}), stop_after=6)
    assert ActivationCache.open(url).contexts == 4
    write_made_up_cache(locate(url), read_manifest(locate(url)))
    for _ in range(2):
        place = locate(url)
        target = extended_manifest(place, read_manifest(place), kind(22, dtype))
        write_made_up_cache(place, target, stop_after=7 if target.adding else 15)
        write_made_up_cache(place, read_manifest(place))
    assert objects_of(url) == data_files(tmp_path / "c")
    content = (tmp_path / "c" / MANIFEST).read_bytes()
    assert (locate(url) / MANIFEST).read_bytes() == content
    assert verify(locate(url), deep=True) == []


def test_a_cache_in_a_bucket_is_read_like_any_other(bucket, tmp_path):
    url = f"{bucket}/c"
    write_made_up_cache(locate(url), kind(19))
    cache = ActivationCache.open(url)
    assert torch.equal(cache.activations("b", 3, 11), made_up_rows(3, 8, 4, 5))
    assert describe(cache)["path"] == url
    rows = [ids for _, ids in ShuffledLoader(cache, ["a", "b"], 7, "1MiB", return_rows=True)]
    assert sorted(np.concatenate(rows).tolist()) == list(range(19 * 4))
    place = locate(url) / "activations/b/c/2/0/0"
    content = bytearray(place.read_bytes())
    content[20] ^= 4
    place.write_bytes(bytes(content))
    assert verify(locate(url)) == []
    assert len(verify(locate(url), deep=True)) == 1
    with pytest.raises(CacheError, match="activations/b/c/2/0/0 is damaged"):
        cache.activations("b", 8, 12)
    place.write_bytes((locate(url) / "activations/b/c/1/0/0").read_bytes())
    with pytest.raises(CacheError, match="activations/b/c/2/0/0 is damaged in block 0"):
        cache.activations("b", 8, 12)
    place.unlink()
    with pytest.raises(CacheError, match="activations/b/c/2/0/0: there is no such object"):
        cache.activations("b", 8, 12)
    with pytest.raises(CacheError, match="activations/b/c/2/0/0 is missing"):
        ActivationCache.open(url)


def test_a_second_writer_is_told_and_a_dead_ones_place_is_taken(bucket):
    place = locate(f"{bucket}/c")
    with lock_cache(place), pytest.raises(CacheError, match="another process is writing to s3://"):
        CacheWriter(place, kind(8))
    lock = lock_cache(place)
    lock._released.set()  # its holder gives no more signs of life
    lock._thread.join()
    write_made_up_cache(place, kind(8))
    assert not (place / ".lock").exists()
    assert ActivationCache.open(place).contexts == 8


def test_a_writer_that_lost_its_place_commits_nothing(bucket):
    place = locate(f"{bucket}/c")
    lock = lock_cache(place)
    (place / ".lock").write_bytes(b"another's")
    lock._thread.join(20)
    assert not lock.is_locked
    writer = CacheWriter(place, kind(8), lock=lock)
    with pytest.raises(CacheError, match="has taken over"):
        write_with(writer)
    assert read_manifest(place).contexts == 0
    assert (place / ".lock").read_bytes() == b"another's"


def write_with(writer: CacheWriter) -> None:
    from tests.support.made_up_cache import _activations, _valid, made_up_tokens

    tokens = made_up_tokens(8, 4)
    with writer:
        for start in range(0, 8, 2):
            batch = tokens[start : start + 2]
            writer.write(batch, _activations(writer.manifest, start, 2), _valid(batch), None)
        writer.finish()


def test_stage_one_writes_to_a_bucket(bucket):
    arguments = {"model": str(MODEL), "dataset": str(HELDOUT), "hooks": ["blocks.0.hook_mlp_out"],
                 "device": "cpu", "context_size": 32, "batch_size": 4, "tokens": 400,
                 "out": f"{bucket}/c"}  # fmt: skip
    with pytest.raises(ConfigError, match="in an object store is zarr"):
        cache_activations(**arguments)
    cache = cache_activations(**arguments, format="zarr")
    assert cache.contexts == 12
    assert str(cache.path) == f"{bucket}/c"
    again = cache_activations(**arguments, format="zarr", dtype="float32", overwrite=True)
    assert again.hooks["blocks.0.hook_mlp_out"].dtype == "float32"
    (locate(bucket) / "other/note.txt").write_bytes(b"mine")
    with pytest.raises(CacheError, match="is not empty and holds no cache"):
        cache_activations(**arguments | {"out": f"{bucket}/other"}, format="zarr")


def test_commands_read_a_cache_in_a_bucket(bucket, tmp_path, monkeypatch):
    monkeypatch.delenv("LMSAES_DB", raising=False)
    monkeypatch.setenv("LMSAES_DB_FOLDER", str(tmp_path / "db"))
    url, hook, run = f"{bucket}/c", "blocks.0.hook_resid_post", tmp_path / "run"
    cache_activations(
        str(MODEL), str(HELDOUT), [hook], url,
        tokens=1000, context_size=32, device="cpu", format="zarr",
    )  # fmt: skip
    assert "is sound" in tool("verify", url, "--against-model", "2", "--device", "cpu")
    trained = CliRunner().invoke(
        app,
        ["train", "--cache", url, "--hook", hook, "--out", str(run), "--tokens", "500",
         "--features", "8", "--k", "2", "--batch-size", "64", "--device", "cpu"],
    )  # fmt: skip
    assert trained.exit_code == 0, trained.output
    assert f"--cache {url}" in trained.output
    (sae,) = [SAE.load(folder) for folder in run.iterdir() if folder.is_dir()]
    assert sae.provenance is not None
    assert sae.provenance.cache == url
    analyzed = CliRunner().invoke(app, ["analyze", str(run), "--cache", url, "--device", "cpu"])
    assert analyzed.exit_code == 0, analyzed.output
    assert "lmsaes serve" in analyzed.output


def test_tools_look_at_a_cache_in_a_bucket(bucket):
    url = f"{bucket}/c"
    write_made_up_cache(locate(url), kind(64, "float16"))
    assert f"{url}: 64 contexts" in tool("inspect", url)
    assert f"{url} is sound" in tool("verify", url, "--deep")
    assert "context 3" in tool("sample", url, "--context", 3, "--hook", "b")
    found = json.loads(tool("bench", url, "--seconds", "0.3", "--json"))
    assert found["path"] == url
    assert found["shuffled_cold"]["rows_per_second"] > 0
    assert found["in_order_warm"] is found["shuffled_warm"] is None
    place = locate(url) / "activations/b/c/9/0/0"
    place.write_bytes(place.read_bytes()[:-1])
    assert "c/9/0/0 has" in refused("verify", url)
    assert "dropped 1 shard;" in tool("verify", url, "--repair")
    assert ActivationCache.open(url).contexts == 36
    (locate(url) / "note.txt").write_bytes(b"mine")
    assert "say so with --yes" in refused("rm", url)
    assert f"deleted {url}" in tool("rm", url, "--yes")
    assert list(objects_of(url)) == ["note.txt"]
    assert "not an activation cache" in refused("rm", url, "--yes")


def test_tools_copy_from_a_bucket_and_to_it(bucket, tmp_path):
    url = f"{bucket}/c"
    write_made_up_cache(locate(url), kind(16))
    rows = ActivationCache.open(url).activations("b", 0, 16)
    tool("convert", url, "--out", tmp_path / "near", "--format", "safetensors")
    tool("slice", url, "--out", f"{url}-part", "--contexts", "4:12", "--hook", "b")
    tool("merge", url, url, "--out", tmp_path / "both")
    tool("convert", tmp_path / "near", "--out", f"{bucket}/back", "--format", "zarr")
    for name, expected in {
        str(tmp_path / "near"): rows,
        f"{url}-part": rows[4:12],
        str(tmp_path / "both"): torch.cat([rows, rows]),
        f"{bucket}/back": rows,
    }.items():
        copied = ActivationCache.open(name)
        assert torch.equal(copied.activations("b", 0, copied.contexts), expected), name
        assert f"{name} is sound" in tool("verify", name, "--deep")
    assert "nothing to do" in tool("convert", url, "--out", tmp_path / "near", "--format",
                                   "safetensors")  # fmt: skip
    tool("shuffle", url, "--out", tmp_path / "mixed")
    assert "not apart" in refused("convert", url, "--out", url)
    assert "is not empty" in refused("convert", tmp_path / "near", "--out", bucket, "--format",
                                     "zarr")  # fmt: skip
    assert "object store is zarr" in refused("slice", tmp_path / "near", "--out", f"{bucket}/x",
                                             "--hook", "b")  # fmt: skip
    assert "name a folder or file of this machine" in refused(
        "shuffle", url, "--out", f"{bucket}/y"
    )


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://somewhere/c", "names no object store"),
        ("s3://there-is-no-such-bucket/c", "no such object or bucket"),
    ],
)
def test_what_is_no_place_is_told_in_one_line(bucket, url, message):
    with pytest.raises((ConfigError, CacheError), match=message) as error:
        write_made_up_cache(locate(url), kind(8))
    assert "\n" not in str(error.value)
