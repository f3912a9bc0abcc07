"""Deleting a cache, and nothing but a cache."""

import shlex
from pathlib import Path

from lmsaes.cache import (
    LOCK,
    Location,
    inside,
    lock_cache,
    read_manifest,
    remove_cache,
    without_readers,
)
from lmsaes.errors import CacheError


def remove(folder: Location) -> list[str]:
    """Deletes the cache in `folder`, and the folder too when nothing else is in it.

    Returns the names of what stays. Raises CacheError when the folder holds no cache, is a link to
    one, or another process writes to it or reads it.
    """
    check_no_link(folder)
    read_manifest(folder)
    lock = lock_cache(folder)
    try:
        with without_readers(folder):
            remove_cache(folder)
    finally:
        lock.release()
    (folder / LOCK).unlink(missing_ok=True)
    if not isinstance(folder, Path):
        return sorted({inside(folder, path).split("/")[0] for path in folder.rglob("*")})
    left = sorted(path.name for path in folder.iterdir())
    if not left:
        folder.rmdir()
    return left


def check_no_link(folder: Location) -> None:
    """Raises CacheError for a link, which may be one of several to a cache that others use."""
    if isinstance(folder, Path) and folder.is_symlink():
        target = str(folder.resolve())
        raise CacheError(
            f"{folder} is a link to {target}: nothing is deleted",
            f"delete the cache itself with: lmsaes tools rm {shlex.quote(target)}",
        )
