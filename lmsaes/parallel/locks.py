"""A lock between processes: who holds a file's lock may write to the folder that it guards."""

from pathlib import Path

import filelock


def try_lock(file: Path) -> filelock.BaseFileLock | None:
    """The operating system's lock on `file`, which is made; None where another process holds it.

    It ends with `release`, and with the process, however that dies; the file stays. Raises OSError
    where the file can't be made.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(file, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        return None
    return lock
