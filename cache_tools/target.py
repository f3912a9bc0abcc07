"""The place that a tool writes to: what may be there already, and whether there is room."""

from collections.abc import Iterable
from pathlib import Path

from lmsaes.cache import CHANNELS, LOCK, MANIFEST, Location, Manifest, read_manifest
from lmsaes.errors import CacheError


def continue_or_start(folder: Location, wanted: Manifest) -> Manifest:
    """The manifest to go on with: the folder's, when it is of the same copy.

    Raises CacheError when the folder is not empty and holds anything else.
    """
    check_folder(folder)
    if not (folder / MANIFEST).exists():
        if any(path.name not in (LOCK, CHANNELS) for path in _content(folder)):
            raise CacheError(f"'{folder}' is not empty and holds no cache", "choose another --out")
        return wanted
    found = read_manifest(folder)
    changing = {"complete", "shards", "shards_sha256", "versions", "created"}
    differing = [
        name
        for name in type(found).model_fields
        if name not in changing and _fixed(found, name) != _fixed(wanted, name)
    ]
    if differing:
        raise CacheError(
            f"{folder} holds another cache: {', '.join(differing)} would differ",
            "choose another --out, or remove it with: lmsaes tools rm",
        )
    return found


def _content(folder: Location) -> Iterable[Location]:
    if not isinstance(folder, Path):
        return folder.rglob("*")
    return folder.iterdir() if folder.exists() else ()


def _fixed(manifest: Manifest, name: str) -> object:
    """A field of the manifest without what changes while the cache is written."""
    if name == "hooks":
        return {hook: (record.d_model, record.dtype) for hook, record in manifest.hooks.items()}
    return getattr(manifest, name)


def check_folder(folder: Location) -> None:
    """Raises CacheError when a file is where the folder, or one that it is in, should be."""
    if isinstance(folder, Path):
        for place in (folder, *folder.parents):
            if place.exists() and not place.is_dir():
                raise CacheError(f"'{place}' is a file, not a folder", "choose another --out")


def check_apart(folder: Location, source: Location) -> None:
    """Raises CacheError when one of two places is the other, or inside it."""
    one, other = (f"{place.resolve()}/" for place in (folder, source))
    if one.startswith(other) or other.startswith(one):
        raise CacheError(f"{folder} and the source {source} are not apart", "choose another --out")
