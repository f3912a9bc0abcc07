"""Promises of format 2: commits that cost the same for ever, one list of all shards, statistics
that survive large means, and caches of format 1 that stay readable."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from lmsaes import ActivationCache
from lmsaes.cache import commits, manifest, shards
from lmsaes.cache.extend import extended_manifest
from lmsaes.cache.manifest import read_manifest
from lmsaes.cache.shards import SHARD_LIST, shard_record_file
from lmsaes.cache.writer import CacheWriter
from lmsaes.cache_tools.verify import repair, verify
from lmsaes.errors import CacheError
from lmsaes.provenance import TextPosition
from tests.cache.test_cache import data_files
from tests.support.made_up_cache import (
    made_up_cache,
    made_up_manifest,
    made_up_rows,
    write_made_up_cache,
)
from tests.support.tools import refused, tool

GOLDEN = Path(__file__).parent / "golden"


def test_a_commit_writes_the_same_whatever_there_is_already(tmp_path, monkeypatch):
    """Its own record and sums; the manifest only when the cache begins and when it is complete."""
    written: list[tuple[str, int]] = []
    real = shards.replace_file

    def counted(path: Path, content: bytes) -> None:
        written.append((path.relative_to(tmp_path / "c").as_posix(), len(content)))
        real(path, content)

    for module in (shards, manifest, commits):
        monkeypatch.setattr(module, "replace_file", counted)
    made_up_cache(tmp_path / "c", 400)
    names = [name for name, _ in written]
    assert names.count("manifest.json") == 2
    assert names.count(SHARD_LIST) == 1
    records = [size for name, size in written if name.startswith("shards/")]
    assert len(records) == 100
    assert max(records) < 1.02 * min(records)  # numbers have more digits later on


def test_a_complete_cache_opens_by_its_list_alone(tmp_path):
    made_up_cache(tmp_path / "c", 30)
    shutil.rmtree(tmp_path / "c/shards")
    cache = ActivationCache(tmp_path / "c")
    assert torch.equal(cache.activations("hook", 0, 30), made_up_rows(0, 30, 4, 3))


def test_only_a_complete_cache_says_how_many_contexts_it_has(tmp_path):
    path = tmp_path / "c/manifest.json"
    CacheWriter(tmp_path / "c", made_up_manifest(30)).close()
    assert "contexts" not in json.loads(path.read_text())
    write_made_up_cache(tmp_path / "c", read_manifest(tmp_path / "c"))
    found = json.loads(path.read_text())
    assert found["contexts"] == 30
    path.write_text(json.dumps(found | {"contexts": 29}))
    with pytest.raises(CacheError, match="should hold 30 contexts, it says 29"):
        read_manifest(tmp_path / "c")


def test_a_damaged_list_is_named_and_the_records_serve(tmp_path):
    made_up_cache(tmp_path / "c", 30)
    sound = data_files(tmp_path / "c")
    path = tmp_path / "c" / SHARD_LIST
    path.write_bytes(path.read_bytes().replace(b'"contexts":4', b'"contexts":3', 1))
    cache = ActivationCache(tmp_path / "c")
    assert torch.equal(cache.activations("hook", 0, 30), made_up_rows(0, 30, 4, 3))
    assert f"{path} is missing or damaged" in verify(tmp_path / "c")[0]
    assert repair(tmp_path / "c").dropped == []
    write_made_up_cache(tmp_path / "c", read_manifest(tmp_path / "c"))
    assert verify(tmp_path / "c", deep=True) == []
    assert data_files(tmp_path / "c") == sound


def test_a_record_that_is_not_the_lists_is_named(tmp_path):
    made_up_cache(tmp_path / "c", 30)
    path = tmp_path / "c" / shard_record_file(3)
    record = json.loads(path.read_text())
    record["text_end"]["document"] += 1
    path.write_text(json.dumps(record))
    assert verify(tmp_path / "c") == [f"{tmp_path / 'c' / SHARD_LIST} and {path} differ"]


@pytest.mark.parametrize(
    ("content", "problem"), [(b'{"index":1', "is damaged"), (None, "is of shard 2")]
)
def test_a_damaged_or_renamed_record_is_named(tmp_path, content, problem):
    write_made_up_cache(tmp_path / "c", made_up_manifest(30), stop_after=21)
    path = tmp_path / "c" / shard_record_file(1)
    other = tmp_path / "c" / shard_record_file(2)
    path.write_bytes(other.read_bytes() if content is None else content)
    with pytest.raises(CacheError, match=f"{path.name} {problem}"):
        ActivationCache(tmp_path / "c")


def test_what_is_behind_a_gap_is_kept_and_the_gap_alone_is_filled(tmp_path):
    folder = tmp_path / "c"
    made_up_cache(folder, 30)
    sound = data_files(folder)
    path = folder / "activations/hook/shard-00002.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert repair(folder).dropped == [2]
    assert ActivationCache(folder).contexts == 8
    kept = {p: p.stat().st_mtime_ns for p in folder.glob("activations/hook/*")}
    assert path not in kept
    write_made_up_cache(folder, read_manifest(folder))
    assert data_files(folder) == sound
    assert {p: p.stat().st_mtime_ns for p in kept} == kept


def test_an_unfinished_cache_has_the_statistics_of_what_is_committed(tmp_path):
    write_made_up_cache(tmp_path / "c", made_up_manifest(30), stop_after=21)
    cache = ActivationCache(tmp_path / "c")
    rows = made_up_rows(0, cache.contexts, 4, 3).double().flatten(0, 1)
    found = cache.hooks["hook"].statistics
    assert found is not None
    assert found.count == len(rows)
    assert found.variance == pytest.approx(rows.var(0, unbiased=False).tolist(), rel=1e-6)


@pytest.mark.parametrize("deviation", [1.0, 0.1])
@pytest.mark.parametrize("batch", [1, 3])
def test_the_variance_around_a_large_mean_is_right(tmp_path, deviation, batch):
    generator = torch.Generator().manual_seed(0)
    rows = 3000 + deviation * torch.randn(32, 16, 5, generator=generator, dtype=torch.float64)
    rows[:, :, 0] -= 3000  # and one channel as they mostly are
    rows[:, 0] *= 50  # first positions of some models are far from all others
    tokens = torch.ones(32, 16, dtype=torch.int64)
    valid = torch.ones(32, 16, dtype=torch.bool)
    valid[:, 0] = False
    settings = {"context_size": 16, "hooks": {"a": 5}, "batch_size": batch}
    with CacheWriter(tmp_path / "c", made_up_manifest(32, **settings)) as writer:
        at = 0
        while at < 32:
            part = slice(at, at + min(batch, writer.shard_room))
            writer.write(tokens[part], {"a": rows[part].float()}, valid[part], TextPosition())
            at = part.stop
        writer.finish()
    record = ActivationCache(tmp_path / "c").hooks["a"]
    for statistics, kept in ((record.valid, rows[:, 1:]), (record.statistics, rows)):
        assert statistics is not None
        flat = kept.flatten(0, 1)
        assert statistics.mean == pytest.approx(flat.mean(0).tolist(), rel=1e-6, abs=1e-6)
        assert statistics.variance == pytest.approx(flat.var(0, unbiased=False).tolist(), rel=1e-3)


def test_rows_that_are_not_finite_are_counted(tmp_path):
    rows = made_up_rows(0, 8, 4, 3)
    rows[1, 3, 1], rows[2, 0, 0], rows[6] = torch.nan, torch.inf, torch.inf
    tokens = torch.ones(8, 4, dtype=torch.int64)
    valid = torch.ones(8, 4, dtype=torch.bool)
    valid[:, 0] = False
    with CacheWriter(tmp_path / "c", made_up_manifest(8), allow_nonfinite=True) as writer:
        for at in range(0, 8, 2):
            part = slice(at, at + 2)
            writer.write(tokens[part], {"hook": rows[part]}, valid[part], TextPosition())
        writer.finish()
    record = ActivationCache(tmp_path / "c").hooks["hook"]
    assert record.statistics is not None
    assert record.valid is not None
    assert (record.statistics.count, record.statistics.left_out) == (26, 6)
    assert (record.valid.count, record.valid.left_out) == (20, 4)


def test_a_path_is_enough_to_open_a_cache(tmp_path):
    made_up_cache(tmp_path / "c", 10)
    assert ActivationCache(str(tmp_path / "c")).contexts == 10
    with pytest.raises(CacheError, match="is not an activation cache"):
        ActivationCache(str(tmp_path))


# ── caches of format 1 ───────────────────────────────────────────────────────────────────────


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A cache of format 1: 5 contexts in shards of two."""
    return shutil.copytree(GOLDEN / "safetensors-int8", tmp_path / "old")


def test_growing_one_asks_for_conversion_and_the_copy_grows(tmp_path, old):
    found = read_manifest(old)
    more = found.model_copy(update={"contexts_requested": 9, "shards": []}, deep=True)
    assert extended_manifest(old, found, found) is found
    with pytest.raises(CacheError, match="is a cache of format 1") as error:
        extended_manifest(old, found, more)
    assert error.value.hint == (f"make one of format 2 of it: lmsaes tools convert {old} --out NEW")
    tool("convert", old, "--out", tmp_path / "new")
    before, after = ActivationCache(old), ActivationCache(tmp_path / "new")
    assert after.manifest.format_version == 2
    assert after.identity == before.identity
    for hook in before.hooks:
        rows = before.activations(hook, 0, before.contexts)
        assert torch.equal(after.activations(hook, 0, after.contexts), rows)
    target = extended_manifest(after.path, after.manifest, more)
    assert (target.contexts_requested, target.complete) == (9, False)
    another = more.model_copy(update={"hooks": {"b": next(iter(more.hooks.values()))}})
    with pytest.raises(CacheError, match="was copied from another cache"):
        extended_manifest(after.path, after.manifest, another)


def test_a_broken_one_says_how_to_keep_what_is_sound(tmp_path, old):
    hook = next(iter(read_manifest(old).hooks))
    path = old / f"activations/{hook}/shard-00001.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    line = refused("verify", old, "--repair")
    assert "of format 1, which is not repaired; its shard 1 is broken" in line
    command = line.split("lmsaes tools ")[1].split()
    command[command.index("NEW")] = str(tmp_path / "new")
    tool(*command)
    assert ActivationCache(tmp_path / "new").contexts == 2
