"""Where a cache lives: a folder, or a prefix in an object store."""

import hashlib
import os
import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeAlias

from lmsaes.addresses import KEYS_OF_STORES, check_without_keys, expand_home, shown_address
from lmsaes.errors import CacheError, ConfigError
from lmsaes.parallel import try_lock
from lmsaes.units import format_bytes

if TYPE_CHECKING:
    from lmsaes.cache.object_store import ObjectPath

# obstore is an extra: nobody with a local disk needs it
Location: TypeAlias = "Path | ObjectPath"

LOCK = ".lock"
_ADDRESS_WITH_ONE_SLASH = re.compile(r"(s3a?|gs|az|azure|abfss?|https?):/")
_DISK_MARGIN = 64 << 20  # manifests, statistics and what else the file system wants


class Lock(ABC):
    """What a writer holds while it may write; leaving a `with` block lets go of it."""

    @property
    @abstractmethod
    def is_locked(self) -> bool:
        """Whether it is still held; nobody may commit without it."""

    @abstractmethod
    def release(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


class FolderLock(Lock):
    """The operating system's lock on a file, which ends with its process."""

    def __init__(self, path: Path) -> None:
        lock = try_lock(path)
        if lock is None:
            raise taken(path.parent)
        self._lock = lock

    @property
    def is_locked(self) -> bool:
        return self._lock.is_locked

    def release(self) -> None:
        self._lock.release()


def locate(where: "str | Location") -> Location:
    """A folder's path, or the place in an object store that a URL such as s3://bucket/x names.

    `~` is the home folder. Raises ConfigError for a URL of a kind that can't be used, or one with
    keys in it.
    """
    if isinstance(where, Path):
        return Path(expand_home(str(where)))
    if not isinstance(where, str):
        return where
    if "://" not in where:
        if _ADDRESS_WITH_ONE_SLASH.match(where):  # a folder of that name would show its keys
            raise ConfigError(
                f"'{where.partition(':')[0]}:/…' is no address of an object store",
                "write it with two slashes, as s3://bucket/prefix",
            )
        return Path(expand_home(where))
    try:
        check_without_keys(where, KEYS_OF_STORES)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    try:
        from lmsaes.cache.object_store import open_url
    except ImportError:
        raise ConfigError(
            f"'{shown_address(where)}' is in an object store, and obstore is not installed",
            "install it with: pip install 'lmsaes[s3]'",
        ) from None
    return open_url(where)


def sha256(path: Location) -> str:
    """The digest of a file's content."""
    if not isinstance(path, Path):
        return path.sha256()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_sizes(folder: Location) -> Callable[[str], int | None]:
    """The size of a file by its path inside `folder`, None where there is none.

    Of an object store all are asked for at once: a question for each would take minutes.
    """
    if not isinstance(folder, Path):
        return folder.sizes().get
    root = f"{folder}{os.sep}"

    def size(name: str) -> int | None:
        try:
            return os.stat(root + name).st_size  # noqa: PTH116 - a Path for each of 60 000 is slow
        except OSError:
            return None

    return size


def free_space(folder: Location) -> int | None:
    """Bytes left on the disk of a folder that may not be there yet; None of an object store."""
    disk = _disk(folder)
    return None if disk is None else shutil.disk_usage(disk).free


def check_room(folder: Location, size: int, what: str, hint: str) -> None:
    """Raises ConfigError when the disk of `folder` has no room for the `size` bytes of `what`."""
    free = free_space(folder)
    if free is not None and size + _DISK_MARGIN > free:
        raise ConfigError(
            f"{what} needs {format_bytes(size)}, and the disk of {_disk(folder)} has "
            f"{format_bytes(free)} left",
            hint,
        )


def _disk(folder: Location) -> Path | None:
    """The nearest folder that is there."""
    if not isinstance(folder, Path):
        return None
    place = folder.resolve()
    return next(each for each in (place, *place.parents) if each.exists())


def lock_cache(folder: Location) -> Lock:
    """Takes the writing lock of a cache, or raises CacheError when another process holds it."""
    try:
        return FolderLock(folder / LOCK) if isinstance(folder, Path) else folder.lock(LOCK)
    except OSError as error:
        raise CacheError(f"can't write to {folder}: {error.strerror}") from None


def taken(folder: Location) -> CacheError:
    return CacheError(
        f"another process is writing to {folder}", "wait for it, or choose another --out"
    )
