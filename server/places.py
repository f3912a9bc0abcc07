"""Caches and runs near where the server was started: what an empty database can be filled from."""

import json
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(tags=["about"])

_DEEP, _MOST_FOLDERS, _MOST_FOUND = 3, 2000, 20
_LONGEST = 1 << 24  # bytes of a file that is looked into: a manifest has statistics in it


class CachePlace(BaseModel):
    path: str
    hooks: list[str]


class RunPlace(BaseModel):
    path: str
    cache: str | None


class Places(BaseModel):
    """Folders of this machine, at most twenty of a kind."""

    caches: list[CachePlace]
    runs: list[RunPlace]


@router.get("/places")
def places() -> Places:
    """The caches and runs in the folder that the server was started in, and a little below it."""
    found = Places(caches=[], runs=[])
    for folder in _folders(Path.cwd()):
        manifest = _read(folder / "manifest.json", json.loads)
        if manifest and isinstance(hooks := manifest.get("hooks"), dict):
            found.caches.append(CachePlace(path=str(folder), hooks=list(hooks)))
        trained = _read(folder / "train.toml", tomllib.loads)
        if trained and any(folder.glob("*/config.json")):  # a finished SAE
            cache = trained.get("cache")
            found.runs.append(
                RunPlace(path=str(folder), cache=cache if isinstance(cache, str) else None)
            )
    return Places(caches=found.caches[:_MOST_FOUND], runs=found.runs[:_MOST_FOUND])


def _folders(start: Path) -> Iterator[Path]:
    """A folder and those below it, the nearest first; hidden ones and links are left out."""
    level, seen = [start], 0
    for _ in range(_DEEP + 1):
        below = list[Path]()
        for folder in level:
            seen += 1
            if seen > _MOST_FOLDERS:
                return
            yield folder
            below += _inside(folder)
        level = below


def _inside(folder: Path) -> list[Path]:
    try:
        inside = sorted(folder.iterdir())
        return [p for p in inside if p.is_dir() and not p.is_symlink() and p.name[0] not in "._"]
    except OSError:  # one that may not be read
        return []


def _read(path: Path, parse: Callable[[str], Any]) -> dict[str, Any] | None:
    try:
        if not path.is_file() or path.stat().st_size > _LONGEST:
            return None
        found = parse(path.read_text())
    except (OSError, ValueError):  # another program's file of that name
        return None
    return found if isinstance(found, dict) else None
