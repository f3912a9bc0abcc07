"""Leases: who analyzes, renames or removes an SAE of this name just now.

    take ──► renewed by a thread while the process lives ──► release
                                    └─ dies ──► whoever comes next takes it over: on the same
                                                machine at once, elsewhere when it has expired

Times are the server's, so that machines whose clocks differ agree. A lease that was taken over is
lost for good: its former holder notices at `check`, before it publishes anything.
"""

import os
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from secrets import token_hex
from typing import Any

from pymongo.errors import DuplicateKeyError

from lmsaes.database.connection import Connection
from lmsaes.database.records import Document
from lmsaes.errors import DatabaseError

LEASES = "leases"
LASTS = timedelta(seconds=120)
_RENEWED_EVERY = 30.0  # seconds


@dataclass(frozen=True, slots=True)
class Lease:
    """A name held by this process."""

    name: str
    token: str


class Leases:
    """The names that this process holds in one database."""

    def __init__(self, connection: Connection, clock: Callable[[], datetime] | None = None) -> None:
        """clock: what tells the time; by default the server."""
        self._connection = connection
        self._now = clock or connection.now
        self._held: set[Lease] = set()
        self._change = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def take(self, name: str, **protects: str) -> Lease:
        """Holds a name until `release`. Raises DatabaseError that says who holds it.

        protects: ids whose collections `gc` leaves alone meanwhile, by what they are ids of.
        """
        lease = Lease(name, token_hex(8))
        while not self._try(lease, protects):
            pass  # it changed between reading and writing: look again
        with self._change:
            self._held.add(lease)
            if self._thread is None:
                self._thread = threading.Thread(target=self._renew_all, name="leases", daemon=True)
                self._thread.start()
        return lease

    def check(self, lease: Lease) -> None:
        """Renews a lease. Raises DatabaseError where another process has taken it over."""
        with self._connection.database() as mongo:
            renewed = mongo[LEASES].update_one(
                {"_id": lease.name, "token": lease.token},
                {"$set": {"expires": self._now() + LASTS}},
            )
            if renewed.matched_count:
                return
            found = mongo[LEASES].find_one({"_id": lease.name})
        whose = f"by {_holder(found)}" if found else "while this process was halted"
        raise DatabaseError(
            f"the name '{lease.name}' was taken over {whose}", "run the same command again"
        )

    def release(self, lease: Lease) -> None:
        """Lets go of a name; one that was lost stays its new holder's."""
        with self._change:
            self._held.discard(lease)
        with self._connection.database() as mongo:
            mongo[LEASES].delete_one({"_id": lease.name, "token": lease.token})

    @contextmanager
    def holding(self, *names: str) -> Generator[None]:
        """Holds names while the block runs."""
        with ExitStack() as held:
            for name in sorted(set(names)):
                held.callback(self.release, self.take(name))
            yield

    def close(self) -> None:
        """Ends the thread that renews."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def living(self) -> list[Document]:
        """The leases of all processes that live; those of dead ones are removed."""
        with self._connection.database() as mongo:
            now, living = self._now(), list[Document]()
            for each in list(mongo[LEASES].find()):
                if _is_alive(each, now):
                    living.append(each)
                else:
                    mongo[LEASES].delete_one({key: each.get(key) for key in _AS_IT_WAS})
        return living

    def _try(self, lease: Lease, protects: dict[str, str]) -> bool:
        now = self._now()
        document = {
            "_id": lease.name,
            "token": lease.token,
            "holder": {"host": socket.gethostname(), "pid": os.getpid(), "machine": _machine()},
            "protects": protects,
            "taken": now,
            "expires": now + LASTS,
        }
        with self._connection.database() as mongo:
            try:
                mongo[LEASES].insert_one(document)
            except DuplicateKeyError:
                found = mongo[LEASES].find_one({"_id": lease.name})
                if found is None:
                    return False
                if _is_alive(found, now):
                    raise DatabaseError(
                        f"'{lease.name}' is being written by {_holder(found)}",
                        "wait for it, or choose another name",
                    ) from None
                as_it_was = {key: found.get(key) for key in _AS_IT_WAS}
                return mongo[LEASES].replace_one(as_it_was, document).matched_count == 1
        return True

    def _renew_all(self) -> None:
        while not self._stop.wait(_RENEWED_EVERY):
            with self._change:
                held = list(self._held)
            for lease in held:
                try:
                    self.check(lease)
                except DatabaseError:
                    # The database may be away for a moment; a lost lease is told by `check`
                    # when its holder next writes.
                    continue


_AS_IT_WAS = ("_id", "token", "expires")


def _is_alive(lease: Document, now: datetime) -> bool:
    expires, holder = lease.get("expires"), lease.get("holder")
    if not isinstance(expires, datetime) or not isinstance(holder, dict) or expires <= now:
        return False
    here = holder.get("machine") == _machine()
    return not here or _process_lives(holder.get("pid"))


def _process_lives(pid: Any) -> bool:
    if not isinstance(pid, int):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # somebody else's
    return True


@cache
def _machine() -> str:
    """What has the same process ids: a machine since it was started, or a container on it."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115 - a link to nothing
    except OSError:  # another system than Linux
        return socket.gethostname()


def _holder(lease: Document) -> str:
    holder = lease.get("holder") or {}
    return f"process {holder.get('pid')} on {holder.get('host')}"
