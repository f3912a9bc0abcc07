"""The connection to a MongoDB deployment or to the embedded server, and what goes wrong with it.

    address ──► MongoClient
    folder ───► EmbeddedServer ──► MongoClient, a new one when the server was started again

Everything asked of a database stands in a `with connection.database() as mongo:` block, which turns
pymongo's exceptions into one line.
"""

import os
import threading
import warnings
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.database import Database as MongoDatabase
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    InvalidOperation,
    InvalidURI,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from lmsaes.addresses import shown_address, without_secrets
from lmsaes.database.embedded import EmbeddedServer
from lmsaes.database.records import Document
from lmsaes.errors import ConfigError, DatabaseError, first_line

DEFAULT_DATABASE = "lmsaes"

_BATCH = 1000
_ASKED_AT_ONCE = 64
"""The embedded server holds each document it finds against all that are asked for: a thousand at
once take it ten times as long as a thousand by and by."""
# Unless the address has an option of this name, which MongoClient would let these override.
_TIMEOUTS: dict[str, Any] = {"serverSelectionTimeoutMS": 3000, "connectTimeoutMS": 3000}
_DUPLICATE_KEY = 11000
_UNREADABLE = (
    "write signs such as : / ? # @ % in its password or options as %3A %2F %3F %23 %40 %25"
)

Key = TypeVar("Key", int, str)


class Connection:
    """A database at an address or in a folder."""

    def __init__(self, uri: str | None, folder: Path | None) -> None:
        """As `Database` does. Raises ConfigError, or DatabaseError when nothing answers."""
        if uri and folder:
            raise ConfigError("a database has either an address or a folder", "leave one out")
        uri = uri or (os.environ.get("LMSAES_DB") if folder is None else None)
        self._embedded = None if uri else EmbeddedServer(folder)
        self._lock = threading.Lock()  # held while a server that went away is found again
        self._lost = False
        self.uri: str | None = None
        try:
            self._connect(uri or (self._embedded.uri if self._embedded else ""))
            with self.database() as mongo:
                mongo.client.admin.command("ping")
        except BaseException:
            self._leave()
            raise

    @property
    def folder(self) -> Path | None:
        """Where the embedded server keeps its data; None for a deployment at an address."""
        return self._embedded.folder if self._embedded else None

    @property
    def address(self) -> str:
        """`host:port/name` without credentials, or the folder."""
        if self._embedded:
            return f"embedded in {self._embedded.folder}"
        return (self.uri or "").partition("://")[2]

    @property
    def place(self) -> str:
        """The same in a sentence."""
        if self._embedded:
            return f"the embedded database in {self._embedded.folder}"
        return f"the database at {self.address}"

    def close(self) -> None:
        self._client.close()
        self._leave()

    @contextmanager
    def database(self) -> Generator[MongoDatabase[Document]]:
        """The database to ask. What pymongo raises becomes one line that says which database.

        An embedded server that was killed or started again is found again first.
        """
        if self._embedded is not None:
            self._find_again(self._embedded)
        try:
            yield self._mongo
        except OperationFailure as error:
            reason = (error.details or {}).get("errmsg") or str(error)
            raise DatabaseError(f"{self.place} refuses: {reason}") from error
        except (ConnectionFailure, InvalidOperation) as error:
            self._lost = True
            if self._embedded:
                log = self._embedded.folder / "server.log"
                raise DatabaseError(f"{self.place} does not answer", f"see {log}") from None
            if isinstance(error, ServerSelectionTimeoutError):
                raise DatabaseError(
                    f"no database answers at {self.address}",
                    "start it, or leave --db out to use the embedded one",
                ) from None
            raise DatabaseError(f"{self.place} fails: {first_line(error)}") from error
        except PyMongoError as error:
            raise DatabaseError(f"{self.place} fails: {first_line(error)}") from error

    def now(self) -> datetime:
        """The server's clock: the one that all who share a database agree on."""
        with self.database() as mongo:
            return mongo.client.admin.command("hello")["localTime"]

    def insert(self, collection: str, documents: Iterable[Document]) -> int:
        """Writes documents, read as a stream; returns how many. One that exists stays as it is."""
        remaining, count = iter(documents), 0
        waiting: Future[None] | None = None
        with self.database() as mongo, ThreadPoolExecutor(1, "insert") as writer:
            # the next batch is made while the server takes one in
            while batch := list(islice(remaining, _BATCH)):
                if waiting is not None:
                    waiting.result()
                waiting = writer.submit(_insert, mongo[collection], batch)
                count += len(batch)
            if waiting is not None:
                waiting.result()
        return count

    def fetch(self, collection: str, keys: Sequence[Key]) -> dict[Key, Document]:
        """Documents by `_id`; those that are not there are left out."""
        found: dict[Key, Document] = {}
        with self.database() as mongo:
            for first in range(0, len(keys), _ASKED_AT_ONCE):
                some = list(keys[first : first + _ASKED_AT_ONCE])
                for document in mongo[collection].find({"_id": {"$in": some}}):
                    found[document["_id"]] = document
        return found

    def count(self, collection: str) -> int:
        """How many documents a collection really has."""
        with self.database() as mongo:
            return mongo[collection].count_documents({})

    def _connect(self, uri: str) -> None:
        try:
            if not uri.startswith(("mongodb://", "mongodb+srv://")):
                raise InvalidURI("it doesn't begin with mongodb://")
            chosen = uri.partition("?")[2].lower()
            timeouts = {key: ms for key, ms in _TIMEOUTS.items() if key.lower() not in chosen}
            with warnings.catch_warnings(action="ignore"):  # they repeat what they take for options
                self._client: MongoClient[Document] = MongoClient(uri, appname="lmsaes", **timeouts)
            self._mongo = self._client.get_default_database(DEFAULT_DATABASE)
        except (InvalidURI, ConfigurationError, ValueError, TypeError, OSError) as error:
            raise DatabaseError(
                f"'{shown_address(uri)}' is not a database address: "
                + without_secrets(first_line(error), uri, _UNREADABLE),
                "it looks like mongodb://localhost:27017",
            ) from None
        if self._embedded is None:
            self.uri = f"{self._hosts(uri)}/{self._mongo.name}"

    def _hosts(self, uri: str) -> str:
        """Scheme and hosts of an address that could be read."""
        scheme, _, place = shown_address(uri).partition("://")
        hosts = place.partition("/")[0]
        if not hosts.strip("…"):  # signs in it that could be of a password, but were of no user
            seeds = self._client.topology_description.server_descriptions()
            hosts = ",".join(sorted(f"{host}:{port}" for host, port in seeds))
        return f"{scheme}://{hosts}"

    def _find_again(self, server: EmbeddedServer) -> None:
        if not self._lost and server.is_current():
            return
        with self._lock:
            if self._lost or not server.is_current():
                server.join()
                former, self._lost = self._client, False
                self._connect(server.uri)
                former.close()

    def _leave(self) -> None:
        if self._embedded is not None:
            self._embedded.close()


def _insert(collection: Collection[Document], batch: list[Document]) -> None:
    """Writes documents that are not there yet."""
    try:
        collection.insert_many(batch, ordered=False)
    except BulkWriteError as error:
        failures = error.details["writeErrors"]
        if any(failure["code"] != _DUPLICATE_KEY for failure in failures):
            raise
