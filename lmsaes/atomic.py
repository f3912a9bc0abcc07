"""Files that are there whole or not at all, whatever happens while they are written.

    write beside it ─► flush to the disk ─► rename over it ─► flush the folder

Whoever opens the file sees the old content or the new one, and after a return no power cut undoes
the change.
"""

import os
import re
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from lmsaes.errors import ConfigError

_OS_ERROR = re.compile(r"\(os error (\d+)\)")
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

    Left by an exception, what was written is removed and `path` stays as it was. Raises OSError
    that names `path` where the system refuses to write, whichever library wrote.
    """
    temporary = path.with_name(temporary_name(path.name))
    try:
        with naming(path):
            yield temporary
            temporary.chmod(_MODE)
            _sync(temporary)
        try:
            temporary.replace(path)
        except OSError as error:  # it names both
            raise OSError(error.errno, error.strerror, str(path)) from error
    except BaseException:
        with suppress(OSError):  # what went wrong before is what counts
            temporary.unlink(missing_ok=True)  # a full disk needs the room
        raise
    sync_folder(path.parent)


@contextmanager
def naming(path: Path) -> Generator[None]:
    """Has the system's refusal to write in the block be an OSError that names `path`.

    Python's own doesn't when writing fails after opening, and libraries in Rust have exceptions of
    their own.
    """
    try:
        yield
    except Exception as error:
        number = _system_error(error)
        if number is None:
            raise
        raise OSError(number, os.strerror(number), str(path)) from error


def _system_error(error: Exception) -> int | None:
    """The system's number of what went wrong; None where it is something else, or names a file."""
    if isinstance(error, OSError):
        return None if error.filename is not None else error.errno
    found = _OS_ERROR.search(str(error))  # as Rust writes it
    return int(found[1]) if found else None


def check_writable(place: Path) -> None:
    """Raises ConfigError, before any work, where no file or folder can be made at `place`."""
    there = next(each for each in (place.absolute(), *place.absolute().parents) if each.exists())
    if there != place.absolute() and not there.is_dir():
        why = f"{there} is a file, not a folder"
    elif os.access(there, os.W_OK):
        return
    elif os.statvfs(there).f_flag & os.ST_RDONLY:
        why = "its disk is read-only"
    else:
        why = f"{there} is not yours to write to"
    raise ConfigError(f"can't write to {place}: {why}", "choose another place")


def temporary_name(name: str) -> str:
    """What a file is called while it is written; a process that is killed leaves it behind."""
    return name + ".tmp"


def sync_folder(folder: Path) -> None:
    """Makes renames inside `folder` durable."""
    _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with naming(path):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
