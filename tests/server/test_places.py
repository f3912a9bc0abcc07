"""What an empty database can be filled from: the caches and runs where the server was started."""

import json
from pathlib import Path

import pytest

from lmsaes.server.places import places


def test_caches_and_runs_nearby_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, run = tmp_path / "caches" / "small", tmp_path / "runs" / "first"
    cache.mkdir(parents=True)
    (cache / "manifest.json").write_text(json.dumps({"hooks": {"blocks.0.hook_resid_post": {}}}))
    (run / "topk").mkdir(parents=True)
    (run / "train.toml").write_text(f'cache = "{cache}"\nhook = "h"\n')
    unfinished = tmp_path / "runs" / "unfinished"
    unfinished.mkdir()
    (unfinished / "train.toml").write_text('cache = "c"\n')
    # of other programs, or damaged
    for name, text in (("web", '{"icons": []}'), ("torn", '{"hooks": {'), ("list", "[1]")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text(text)
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "manifest.json").write_text('{"hooks": {}}')
    monkeypatch.chdir(tmp_path)
    found = places().model_dump()
    assert found["runs"] == []
    (run / "topk" / "config.json").write_text("{}")
    found = places().model_dump()
    assert found["caches"] == [{"path": str(cache), "hooks": ["blocks.0.hook_resid_post"]}]
    assert found["runs"] == [{"path": str(run), "cache": str(cache)}]
