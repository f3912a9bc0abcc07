"""Tools given what is no cache, or a place that they can't write to: one line, nothing changed."""

import json
import shutil
from pathlib import Path

import pytest

from lmsaes.cache.commits import DATA_FOLDERS
from lmsaes.cache.manifest import MANIFEST
from tests.support.made_up_cache import made_up_cache
from tests.support.tools import refused, tool

READING = {
    "inspect": [],
    "verify": [],
    "verify --deep": [],
    "verify --repair": [],
    "verify --against-model": ["2"],
    "sample": [],
    "bench": [],
    "rm --yes": [],
}
COPYING = {"convert": [], "slice": ["--contexts", "0:2"], "shuffle": []}


@pytest.fixture
def places(tmp_path: Path) -> Path:
    """A folder of things that are no caches, and a run of `lmsaes train`."""
    (tmp_path / "file").write_text("mine")
    (tmp_path / "empty").mkdir()
    (tmp_path / "run/topk").mkdir(parents=True)
    (tmp_path / "run/sweep.json").write_text("{}")
    (tmp_path / "run/topk/config.json").write_text("{}")
    return tmp_path


def content(folder: Path) -> dict[str, bytes | None]:
    return {str(p): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


@pytest.mark.parametrize("what", ["missing", "file", "empty", "run", "run/topk"])
def test_what_is_no_cache_is_refused_and_left_as_it_is(places, what):
    before = content(places)
    for words, more in (READING | COPYING).items():
        name, *options = words.split()
        out = ["--out", places / "new"] if name in COPYING else []
        line = refused(name, places / what, *options, *more, *out)
        assert f"{what}' is not an activation cache" in line, words
    line = refused("merge", places / what, places / what, "--out", places / "new")
    assert "is not an activation cache" in line
    assert content(places) == before


def test_a_cache_without_a_shard_has_nothing_to_show(tmp_path):
    made_up_cache(tmp_path / "c", 8)
    manifest = json.loads((tmp_path / "c" / MANIFEST).read_text())
    (tmp_path / "c" / MANIFEST).write_text(
        json.dumps(manifest | {"shards_sha256": None, "complete": False})
    )
    shutil.rmtree(tmp_path / "c/shards")
    for name in ("inspect", "sample", "bench"):
        assert "holds no committed shard yet" in refused(name, tmp_path / "c")
    assert "manifest doesn't name: 6" in tool("verify", tmp_path / "c", "--repair")
    assert "nothing to repair" in tool("verify", tmp_path / "c", "--repair")
    assert "is sound" in tool("verify", tmp_path / "c")


@pytest.mark.parametrize("name", COPYING)
def test_copies_go_nowhere_but_to_a_folder_of_their_own(places, name):
    made_up_cache(places / "c", 8, dtype="int8")
    before = content(places)

    def line(out: str) -> str:
        return refused(name, places / "c", *COPYING[name], "--out", places / out)

    assert "are not apart" in line("c")
    assert "are not apart" in line("c/inside")
    assert "are not apart" in line(".")
    assert "file' is a file, not a folder" in line("file")
    assert "file' is a file, not a folder" in line("file/inside")
    assert "not an empty folder" in line("run") if name == "shuffle" else "no cache" in line("run")
    assert content(places) == before


@pytest.mark.parametrize("name", COPYING)
def test_a_disk_without_room_is_told_before_anything_is_written(tmp_path, monkeypatch, name):
    made_up_cache(tmp_path / "c", 8)
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    line = refused(name, tmp_path / "c", *COPYING[name], "--out", tmp_path / "new")
    assert "1000 B left" in line
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", COPYING)
def test_a_disk_that_fills_up_is_told_in_one_line(tmp_path, monkeypatch, name):
    made_up_cache(tmp_path / "c", 8, dtype="int8")
    real = Path.open

    def open_full(path: Path, mode: str = "r", *more: object, **others: object) -> object:
        full = "new" in path.parts and any(room in path.parts for room in (*DATA_FOLDERS, "rows"))
        return real(Path("/dev/full") if full and mode != "rb" else path, mode, *more, **others)

    monkeypatch.setattr(Path, "open", open_full)
    line = refused(name, tmp_path / "c", *COPYING[name], "--out", tmp_path / "new")
    assert "o space left on" in line
