"""A prefix in an object store, with the few methods of `pathlib.Path` that caches use.

What can fail raises OSError as a file system would. An object appears whole or not at all.
"""

import errno
import hashlib
import os
import socket
import threading
import time
import uuid
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import obstore
from obstore import exceptions
from obstore.store import from_url

from lmsaes.addresses import shown_address, shown_text
from lmsaes.cache.location import Lock, taken
from lmsaes.errors import CacheError, ConfigError, first_line

_SECONDS_BETWEEN_SIGNS = 5.0
_SECONDS_TO_WATCH = 20.0


def open_url(url: str) -> "ObjectPath":
    """The place that a URL such as s3://bucket/prefix names.

    Address, region and credentials come from the environment (AWS_ENDPOINT_URL, AWS_REGION,
    AWS_ACCESS_KEY_ID, …). Raises ConfigError for a URL that names no object store.
    """
    plain = url.rstrip("/")
    # a store on this machine or network has no certificate
    address = os.environ.get("AWS_ENDPOINT_URL", os.environ.get("AWS_ENDPOINT", ""))
    options: Any = {"allow_http": True} if address.startswith("http://") else {}
    try:
        store = from_url(plain, client_options=options)
    except (exceptions.BaseError, ValueError) as error:
        raise ConfigError(
            f"'{shown_address(url)}' names no object store: {shown_text(first_line(error))}",
            "give s3://bucket/prefix, say",
        ) from None
    return ObjectPath(plain, store, "")


@dataclass(frozen=True)
class ObjectStatus:
    """What is known of an object without reading it."""

    st_size: int


class ObjectPath:
    """A key below the URL that was opened; "" is the URL itself."""

    def __init__(self, url: str, store: Any, key: str) -> None:
        self._url, self._store, self._key = url, store, key

    def __str__(self) -> str:
        return f"{self._url}/{self._key}" if self._key else self._url

    def __repr__(self) -> str:
        return f"ObjectPath('{self}')"

    def __truediv__(self, name: str) -> "ObjectPath":
        return ObjectPath(self._url, self._store, f"{self._key}/{name}" if self._key else name)

    @property
    def name(self) -> str:
        return str(self).rsplit("/", 1)[1]

    def resolve(self) -> "ObjectPath":
        return self

    def exists(self) -> bool:
        """Whether there is an object of this very name."""
        try:
            self.stat()
        except FileNotFoundError:
            return False
        return True

    def is_file(self) -> bool:
        return self.exists()

    def stat(self) -> ObjectStatus:
        with _as_os_errors():
            return ObjectStatus(obstore.head(self._store, self._key)["size"])

    def read_bytes(self) -> bytes:
        with _as_os_errors():
            return bytes(obstore.get(self._store, self._key).bytes())

    def read_range(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset` on; fewer where the object ends before."""
        with _as_os_errors():
            return bytes(obstore.get_range(self._store, self._key, start=offset, length=size))

    def read_text(self, encoding: str = "utf-8") -> str:
        return self.read_bytes().decode(encoding)

    def write_bytes(self, data: bytes | memoryview) -> None:
        with _as_os_errors():
            obstore.put(self._store, self._key, data)

    def sha256(self) -> str:
        digest = hashlib.sha256()
        with _as_os_errors():
            for chunk in obstore.get(self._store, self._key).stream():
                digest.update(chunk)
        return digest.hexdigest()

    def unlink(self, missing_ok: bool = False) -> None:
        if not missing_ok:
            self.stat()
        with _as_os_errors():
            obstore.delete(self._store, self._key)

    def glob(self, pattern: str) -> "Iterator[ObjectPath]":
        """The objects right below this one whose last part matches, in order of names."""
        return (found for found in self.rglob(pattern) if found.parent_key == self._key)

    @property
    def parent_key(self) -> str:
        return self._key.rpartition("/")[0]

    def rglob(self, pattern: str) -> "Iterator[ObjectPath]":
        """Every object below this one whose last part matches, in order of names."""
        prefix = f"{self._key}/" if self._key else ""
        with _as_os_errors():
            found = [m["path"] for page in obstore.list(self._store, prefix) for m in page]
        for key in sorted(found):
            if PurePosixPath(key).match(pattern):
                yield ObjectPath(self._url, self._store, key)

    def sizes(self) -> dict[str, int]:
        """The size of every object below this one, by its path from here."""
        prefix = f"{self._key}/" if self._key else ""
        with _as_os_errors():
            return {
                meta["path"].removeprefix(prefix): meta["size"]
                for page in obstore.list(self._store, prefix)
                for meta in page
            }

    def lock(self, name: str) -> "ObjectLock":
        """The lock of this place, taken. Raises CacheError when another process holds it."""
        lock = ObjectLock(self._store, (self / name)._key, self)
        lock.acquire()
        return lock


class ObjectLock(Lock):
    """A writer's claim on a place: an object that its holder renews every few seconds.

    It is made and renewed by conditional writes, so that of two claims one fails. Whoever finds
    a claim watches it: a sign of life, and the place is taken; none for a while, and its holder
    has crashed. No clocks are compared.
    """

    def __init__(self, store: Any, key: str, place: ObjectPath) -> None:
        self._store, self._key, self._place = store, key, place
        self._holder = f"{socket.gethostname()} {os.getpid()} {uuid.uuid4()}"
        self._signs = 0
        self._tag: str | None = None
        self._released = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def is_locked(self) -> bool:
        return self._tag is not None

    def acquire(self) -> None:
        with _as_os_errors():
            self._tag = self._make() or self._take_over()
        self._thread = threading.Thread(target=self._renew, name="renew lock", daemon=True)
        self._thread.start()

    def release(self) -> None:
        if self._thread is None:
            return
        self._released.set()
        self._thread.join()
        self._thread = None
        if self._tag is not None:
            self._tag = None
            with _as_os_errors():
                obstore.delete(self._store, self._key)

    def _make(self) -> str | None:
        try:
            return self._put("create")
        except exceptions.AlreadyExistsError:
            return None

    def _take_over(self) -> str:
        """Watches the claim that is there, and takes it over when nobody renews it."""
        seen = self._found()
        end = time.monotonic() + _SECONDS_TO_WATCH
        while seen is not None and time.monotonic() < end:
            time.sleep(_SECONDS_BETWEEN_SIGNS / 5)
            if (found := self._found()) is not None and found != seen:
                raise taken(self._place)
            seen = found
        try:
            return self._put("create" if seen is None else {"e_tag": seen})
        except (exceptions.AlreadyExistsError, exceptions.PreconditionError):
            raise taken(self._place) from None

    def _found(self) -> str | None:
        try:
            return obstore.head(self._store, self._key)["e_tag"]
        except FileNotFoundError:
            return None

    def _put(self, mode: Any) -> str:
        self._signs += 1  # another content gives another tag
        content = f"{self._holder} {self._signs}".encode()
        tag = obstore.put(self._store, self._key, content, mode=mode)["e_tag"]
        if tag is None:
            raise CacheError(f"{self._place} can't be locked: its store gives objects no tags")
        return tag

    def _renew(self) -> None:
        while not self._released.wait(_SECONDS_BETWEEN_SIGNS):
            try:
                self._tag = self._put({"e_tag": self._tag})
            except (exceptions.PreconditionError, FileNotFoundError):
                self._tag = None  # taken over: this process slept, or could not reach the store
                return
            except exceptions.BaseError:
                continue  # whoever takes over meanwhile is noticed by the next sign


@contextmanager
def _as_os_errors() -> Generator[None]:
    try:
        yield
    except FileNotFoundError:
        raise FileNotFoundError(errno.ENOENT, "there is no such object or bucket") from None
    except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError):
        raise PermissionError(errno.EACCES, "access is denied") from None
    except exceptions.BaseError as error:
        # a request's own URL may be signed
        raise OSError(errno.EIO, shown_text(first_line(error))) from None
