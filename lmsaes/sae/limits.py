"""What a setting may be at most, and what can be a folder's name. Nothing here needs torch."""

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import AfterValidator

_LARGEST = 1e30  # what is computed with a setting stays within float32
_LONGEST_NAME = 200  # bytes, where file systems take 255: files beside it have longer names


def _is_a_folders_name(name: str) -> str:
    if name in (".", "..") or "/" in name or "\\" in name or (name and not name.isprintable()):
        raise ValueError(f"'{name[:80]}' can't be a folder's name; choose another name")
    if len(name.encode(errors="replace")) > _LONGEST_NAME:
        raise ValueError(
            f"'{name[:40]}…' is too long for a folder's name: {_LONGEST_NAME} bytes are the most"
        )
    return name


def _are_shares(shares: tuple[float, ...]) -> tuple[float, ...]:
    if not all(0 < share < 1 for share in shares):
        raise ValueError("shares of the run lie between 0 and 1")
    return shares


FolderName = Annotated[str, AfterValidator(_is_a_folders_name)]
"""A name without slashes that a file system takes; it may be empty."""
Shares = Annotated[tuple[float, ...], AfterValidator(_are_shares)]
"""Parts of a whole, without its beginning and its end."""


def check_range(settings: Iterable[tuple[str, Any]]) -> None:
    """Raises ValueError, naming the setting, for a number that float32 can't compute with."""
    for name, value in settings:
        if isinstance(value, float) and abs(value) > _LARGEST:
            raise ValueError(f"{name} = {value:g} is out of range: {_LARGEST:g} is the most")
