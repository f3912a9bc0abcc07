"""Where a cache lives: a folder, or a prefix in an object store."""

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeAlias

import filelock

from lmsaes.errors import CacheError, ConfigError

if TYPE_CHECKING:
    from lmsaes.cache.object_store import ObjectPath

# obstore is an extra: nobody with a local disk needs it
Location: TypeAlias = "Path | ObjectPath"

LOCK = ".lock"


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
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = filelock.FileLock(path, thread_local=False)
        try:
            self._lock.acquire(blocking=False)
        except filelock.Timeout:
            raise taken(path.parent) from None

    @property
    def is_locked(self) -> bool:
        return self._lock.is_locked

    def release(self) -> None:
        self._lock.release()


def locate(where: "str | Location") -> Location:
    """A folder's path, or the place in an object store that a URL such as s3://bucket/x names.

    Raises ConfigError for a URL of a kind that can't be used.
    """
    if not isinstance(where, str):
        return where
    if "://" not in where:
        return Path(where)
    try:
        from lmsaes.cache.object_store import open_url
    except ImportError:
        raise ConfigError(
            f"'{where}' is in an object store, and obstore is not installed",
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
