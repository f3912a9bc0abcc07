"""Deleting a cache, and nothing but a cache."""

from pathlib import Path

from lmsaes.cache import LOCK, Location, inside, lock_cache, read_manifest, remove_cache


def remove(folder: Location) -> list[str]:
    """Deletes the cache in `folder`, and the folder too when nothing else is in it.

    Returns the names of what stays. Raises CacheError when the folder holds no cache, or a
    writer is at work there.
    """
    read_manifest(folder)
    lock = lock_cache(folder)
    try:
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
