"""An embedded MongoDB-compatible server: SecantusDB, one per folder, shared by its users.

    with EmbeddedServer(folder) as server:
        MongoClient(server.uri)

The first user of a folder starts the server, further ones (other processes too) join it, and
when the last has left it stops. SecantusDB is run as a program, never imported: its license is
GPL-2. `embedded_keeper.py` describes the folder and who holds which lock.
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from filelock import FileLock, Timeout

from lmsaes.addresses import local_path
from lmsaes.errors import DatabaseError

_KEEPER = Path(__file__).with_name("embedded_keeper.py")
_SECONDS_TO_START = 60.0
_SECONDS_TO_STOP = 90.0
_LEAST_ROOM = 16 << 20  # its journal alone takes megabytes


def default_folder() -> Path:
    """Where the data are unless a folder is chosen: `~/.local/share/lmsaes/db`."""
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(home) / "lmsaes" / "db"


class EmbeddedServer:
    """One user's hold on the server of a folder."""

    uri: str

    def __init__(self, folder: Path | None = None) -> None:
        """Starts the folder's server or joins the one that runs.

        Without `folder` it is the environment's `LMSAES_DB_FOLDER`, or the user's data folder.

        Raises DatabaseError when SecantusDB is not installed, the folder can't be written or the
        server doesn't start.
        """
        chosen = folder or os.environ.get("LMSAES_DB_FOLDER") or default_folder()
        self.folder = local_path(chosen).absolute()
        if find_spec("secantus") is None:
            raise DatabaseError(
                "the embedded database is not installed",
                "pip install 'lmsaes[embedded]', or name a MongoDB server with --db",
            )
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            users = (self.folder / "users.lock").open("a")
        except OSError as error:
            raise self._unusable(error) from None
        self._users: IO[str] | None = users
        try:
            self.join()
        except BaseException:
            users.close()
            raise

    def join(self) -> None:
        """Joins the folder's server, which is started where none runs: `uri` is its address.

        Again, it finds the server that took the place of one that was killed. Raises DatabaseError.
        """
        users = self._users
        if users is None:
            raise DatabaseError(f"the embedded database in {self.folder} was closed")
        try:
            with self._start_lock():
                # Taken at once, unless a keeper without users is about to stop its server.
                self._wait(lambda: _try_lock(users, fcntl.LOCK_SH), _SECONDS_TO_STOP, "stop")
                self._port = self._find_port()
        except OSError as error:
            raise self._unusable(error) from None
        self.uri = f"mongodb://127.0.0.1:{self._port}"

    def is_current(self) -> bool:
        """Whether the server that runs is, by its record, still the one that `join` found."""
        return self._record() == self._port

    def close(self) -> None:
        """Leaves the server; the last user waits until it has stopped. Closing twice is allowed."""
        if self._users is None:
            return
        users, self._users = self._users, None
        with users, self._start_lock():
            fcntl.flock(users, fcntl.LOCK_UN)
            others = not _try_lock(users, fcntl.LOCK_EX) and _try_lock(users, fcntl.LOCK_SH)
            fcntl.flock(users, fcntl.LOCK_UN)
            if not others:
                self._wait(lambda: not self._server_lives(), _SECONDS_TO_STOP, "stop")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _find_port(self) -> int:
        if self._server_lives():
            # It answers already, or another user's keeper is just starting it or giving up.
            self._wait(
                lambda: self._record() is not None or not self._server_lives(),
                _SECONDS_TO_START,
                "start",
            )
        if not self._server_lives():
            # A record without a living server is what a power cut or SIGKILL leaves behind.
            (self.folder / "server.json").unlink(missing_ok=True)
            keeper = subprocess.Popen(
                [sys.executable, "-I", str(_KEEPER), str(self.folder)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # Ctrl-C in a terminal reaches the whole group: the server must outlive it.
                start_new_session=True,
            )
            self._wait(
                lambda: self._record() is not None or keeper.poll() is not None,
                _SECONDS_TO_START,
                "start",
            )
        port = self._record()
        if port is None:
            raise self._failure("start")
        return port

    def _record(self) -> int | None:
        try:
            return int(json.loads((self.folder / "server.json").read_text())["port"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _server_lives(self) -> bool:
        with (self.folder / "server.lock").open("a") as lock:
            return not _try_lock(lock, fcntl.LOCK_EX)

    @contextmanager
    def _start_lock(self) -> Generator[None]:
        """Held while a user joins or leaves: one at a time."""
        lock = FileLock(self.folder / "start.lock")
        try:
            lock.acquire(timeout=_SECONDS_TO_STOP)
        except Timeout:
            raise self._failure("become free") from None
        try:
            yield
        finally:
            lock.release()

    def _wait(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise self._failure(what)
            time.sleep(0.01)

    def _unusable(self, error: OSError) -> DatabaseError:
        return DatabaseError(
            f"the embedded database's folder {self.folder} can't be used: {error.strerror}",
            "choose another with LMSAES_DB_FOLDER",
        )

    def _failure(self, what: str) -> DatabaseError:
        free = shutil.disk_usage(self.folder).free
        if free < _LEAST_ROOM:  # which its log has no room to say
            return DatabaseError(
                f"no space left on the disk of the embedded database in {self.folder}",
                "make room and run the same command again, or choose another with LMSAES_DB_FOLDER",
            )
        return DatabaseError(
            f"the embedded database in {self.folder} does not {what}",
            f"see {self.folder / 'server.log'}",
        )


def _try_lock(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
