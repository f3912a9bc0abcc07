"""Files that are there whole or not at all, whatever happens while they are written.

    write beside it ─► flush to the disk ─► rename over it ─► flush the folder

Whoever opens the file sees the old content or the new one, and after a return no power cut undoes
the change.
"""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

_MODE = 0o644  # what libraries create may be readable by its owner alone


class WritesWhole(Protocol):
    """A place, such as an object in a store, that a write replaces in one step by itself."""

    def write_bytes(self, data: bytes | memoryview) -> object: ...


def replace_file(path: Path | WritesWhole, content: bytes | memoryview) -> None:
    """Puts `content` at `path` in one step that survives a crash at any instant.

    Raises OSError as writing does; what was there before then still is.
    """
    if not isinstance(path, Path):
        path.write_bytes(content)
        return
    with replacing(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """A temporary name beside `path` to write to, which takes its place when the block is left.

    Left by an exception, what was written is removed and `path` stays as it was.
    """
    temporary = path.with_name(temporary_name(path.name))
    try:
        yield temporary
        temporary.chmod(_MODE)
        _sync(temporary)
    except BaseException:
        temporary.unlink(missing_ok=True)  # a full disk needs the room
        raise
    temporary.replace(path)
    sync_folder(path.parent)


def temporary_name(name: str) -> str:
    """What a file is called while it is written; a process that is killed leaves it behind."""
    return name + ".tmp"


def sync_folder(folder: Path) -> None:
    """Makes renames inside `folder` durable."""
    _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
