"""Who reads a cache in a folder just now, so that nobody deletes it meanwhile.

A reader holds the operating system's shared lock on the folder itself: it needs no file and no
right to write there, and ends with the process, however that dies. Who deletes needs it alone.
Object stores have no such locks, nor do some disks of a network: there nobody is kept away.
"""

import fcntl
import os
import weakref
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from lmsaes.cache.location import Location
from lmsaes.errors import CacheError


class ReadersHold:
    """A cache counts as read while this object lives."""

    def __init__(self, folder: Path) -> None:
        """Raises CacheError while another process deletes the cache, OSError without the folder."""
        self.descriptor = os.open(folder, os.O_RDONLY)
        weakref.finalize(self, os.close, self.descriptor)
        if not _lock(self.descriptor, fcntl.LOCK_SH):
            raise CacheError(f"another process is deleting {folder}", "wait for it")
        _holds.add(self)


_holds: weakref.WeakSet[ReadersHold] = weakref.WeakSet()


def hold_for_reading(folder: Location) -> ReadersHold | None:
    """Keeps others from deleting the cache while what is returned lives.

    Raises CacheError while another process does. None where there is no folder.
    """
    if not isinstance(folder, Path) or not folder.is_dir():
        return None
    return ReadersHold(folder)


@contextmanager
def without_readers(folder: Location) -> Generator[None]:
    """Has nobody read the cache while the block deletes it.

    Raises CacheError while another process reads it. What this one has opened is not asked.
    """
    if not isinstance(folder, Path) or not folder.is_dir():
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    this = os.fstat(descriptor)
    own = [hold for hold in _holds if os.path.samestat(os.fstat(hold.descriptor), this)]
    try:
        for hold in own:
            _lock(hold.descriptor, fcntl.LOCK_UN)
        if not _lock(descriptor, fcntl.LOCK_EX):
            raise CacheError(
                f"{folder} is being read by {_readers(this)}", "wait for it, or end it"
            )
        yield
    finally:
        os.close(descriptor)
        for hold in own:
            _lock(hold.descriptor, fcntl.LOCK_SH)


def _lock(descriptor: int, kind: int) -> bool:
    """Whether nobody is in the way of this kind of lock."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # of a network's disk that knows no locks of folders
        return True
    return True


def _readers(status: os.stat_result) -> str:
    """The processes that read the folder, where the system names them."""
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    try:
        locks = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    except OSError:  # another system than Linux
        locks = []
    numbers = sorted({lock[4] for lock in locks if lock[1] == "FLOCK" and place in lock})
    if not numbers:
        return "another process"
    return f"process{'es' if len(numbers) > 1 else ''} {', '.join(numbers)}"
