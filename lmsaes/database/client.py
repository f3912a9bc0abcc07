"""A connection to the MongoDB database of features: what analyses write and readers fetch.

    with Database() as database:                 # no address: the embedded server
        database.discard(name, analysis)         # what an interrupted run may have left
        database.put_features(name, analysis, records)
        database.put_samples(name, analysis, records)
        database.put_contexts(cache, ids, tokens)
        database.put_columns(name, analysis, {"density": …, "maximum": …, "mean": …, "firings": …})
        database.put_vocabulary(key, tokens)
        database.publish(record)                 # from here on readers see it

Documents are fetched by `_id`, never sorted or scanned; whatever needs an order over all features
is a column. An analysis has collections of its own, so that replacing it drops three collections.
Writing a document that exists leaves it as it is: the same id is the same content.
`docs/database.md` lists collections and fields.
"""

import os
import warnings
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
from pymongo import MongoClient
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    InvalidURI,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)
from pymongo.write_concern import WriteConcern

from lmsaes.addresses import shown_address, without_secrets
from lmsaes.database.embedded import EmbeddedServer
from lmsaes.database.records import (
    Document,
    FeatureRecord,
    SAERecord,
    SampleRecord,
    check_id,
    check_name,
    feature_document,
    feature_record,
    pack,
    sae_record,
    sample_document,
    sample_record,
    unpack,
)
from lmsaes.errors import ConfigError, DatabaseError, first_line

DEFAULT_DATABASE = "lmsaes"

_BATCH = 1000
_TOKENS_PER_DOCUMENT = 65_536
# Unless the address has an option of this name, which MongoClient would let these override.
_TIMEOUTS: dict[str, Any] = {"serverSelectionTimeoutMS": 3000, "connectTimeoutMS": 3000}
_DUPLICATE_KEY = 11000
_SAES = "dictionaries"  # the name that schema 1 gave the collection
_KINDS = ("features", "samples", "columns")

_UNREADABLE = (
    "write signs such as : / ? # @ % in its password or options as %3A %2F %3F %23 %40 %25"
)

Key = TypeVar("Key", int, str)


class Database:
    """A connection to the features' database.

    Use it as a context manager, or call `close`: the embedded server stops when its last user has
    left.
    """

    def __init__(self, uri: str | None = None, folder: Path | None = None) -> None:
        """Connects to the MongoDB deployment at `uri`, or to the embedded server.

        Without `uri` the environment's `LMSAES_DB` is taken; without both, an embedded server
        keeps its data in `folder` (by default `LMSAES_DB_FOLDER`, or the user's data folder).
        The address may name a database (`mongodb://host/name`); the default is "lmsaes".
        Its options count: `?serverSelectionTimeoutMS=20000` waits longer for a server than the
        3 seconds that are the default.

        Raises ConfigError when both are given, DatabaseError when nothing answers in that time.
        """
        if uri and folder:
            raise ConfigError("a database has either an address or a folder", "leave one out")
        uri = uri or (os.environ.get("LMSAES_DB") if folder is None else None)
        self._embedded = None if uri else EmbeddedServer(folder)
        self._uri: str | None = None
        try:
            self._connect(uri or (self._embedded.uri if self._embedded else ""))
        except BaseException:
            self._leave()
            raise

    @property
    def uri(self) -> str | None:
        """`mongodb://host:port/name` without credentials and options; None where embedded."""
        return self._uri

    @property
    def folder(self) -> Path | None:
        """Where the embedded server keeps its data; None for a deployment at an address."""
        return self._embedded.folder if self._embedded else None

    @property
    def address(self) -> str:
        """Where the data are, for people: `host:port/name` without credentials, or the folder."""
        if self._embedded:
            return f"embedded in {self._embedded.folder}"
        return (self._uri or "").partition("://")[2]

    def close(self) -> None:
        """Closes the connection and leaves the embedded server. Closing twice is allowed."""
        self._client.close()
        self._leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # What an analysis writes

    def put_vocabulary(self, key: str, tokens: Sequence[str]) -> None:
        """Display strings by token id, under a key that stands for them (their hash)."""
        check_id(key)
        starts = range(0, max(len(tokens), 1), _TOKENS_PER_DOCUMENT)
        documents = (
            {
                "_id": f"{key}/{part}",
                "tokens": list(tokens[start : start + _TOKENS_PER_DOCUMENT]),
                "parts": len(starts),
            }
            for part, start in enumerate(starts)
        )
        self._insert("vocabularies", documents)

    def put_contexts(self, cache: str, ids: np.ndarray, tokens: np.ndarray) -> None:
        """Token ids [n, context_size] of the contexts `ids` [n] of a cache."""
        check_id(cache)
        documents = (
            {"_id": int(context), "tokens": pack(row.astype("<i4"))}
            for context, row in zip(ids, tokens, strict=True)
        )
        self._insert(f"contexts/{cache}", documents)

    def put_features(self, name: str, analysis: str, records: Iterable[FeatureRecord]) -> None:
        """The features of an analysis, as many as the iterable yields; it is read as a stream."""
        self._insert(_collection("features", name, analysis), map(feature_document, records))

    def put_samples(self, name: str, analysis: str, records: Iterable[SampleRecord]) -> None:
        """Groups of contexts of an analysis' features; the iterable is read as a stream."""
        self._insert(_collection("samples", name, analysis), map(sample_document, records))

    def put_columns(self, name: str, analysis: str, columns: Mapping[str, np.ndarray]) -> None:
        """One value per analyzed feature and column, in the features' order: each array [features].

        The viewer needs `firings`, `density`, `maximum` and `mean`.
        """
        documents = ({"_id": key, "values": pack(array)} for key, array in columns.items())
        self._insert(_collection("columns", name, analysis), documents)

    def publish(self, record: SAERecord) -> None:
        """Makes an analysis the visible one of its SAE by one write, then drops the former one."""
        with self._errors():
            saes = self._database[_SAES]
            former = saes.find_one({"_id": record.name})
            superseded = set[str]()
            if former is not None:
                # Kept in the document until they are dropped, should this process die in between.
                superseded = {former["analysis"], *former["superseded"]} - {record.analysis}
            document = {"_id": record.name, **record.model_dump(mode="json", exclude={"name"})}
            document["superseded"] = sorted(superseded)
            # Journaled: with this write all before it is on the disk, so that what a reader has
            # seen survives the server's death.
            saes.with_options(write_concern=WriteConcern(j=True)).replace_one(
                {"_id": record.name}, document, upsert=True
            )
            if superseded:
                for analysis in superseded:
                    self._drop(record.name, analysis)
                saes.update_one({"_id": record.name}, {"$set": {"superseded": []}})

    def discard(self, name: str, analysis: str) -> None:
        """Removes an analysis that was not published: a run that was interrupted.

        Raises DatabaseError when it is the published one.
        """
        current = self.sae(name)
        if current is not None and current.analysis == analysis:
            raise DatabaseError(f"analysis {analysis} of '{name}' is published, so it stays")
        with self._errors():
            self._drop(name, analysis)

    # What readers fetch

    def saes(self) -> list[SAERecord]:
        """The SAEs in the database, by name."""
        with self._errors():
            documents = list(self._database[_SAES].find())
        return sorted(map(sae_record, documents), key=lambda record: record.name)

    def dictionaries(self) -> list[SAERecord]:
        """The former name of `saes`."""
        return self.saes()

    def sae(self, name: str) -> SAERecord | None:
        """One SAE, or None when the database has no such name."""
        with self._errors():
            document = self._database[_SAES].find_one({"_id": name})
        return None if document is None else sae_record(document)

    def columns(
        self,
        name: str,
        analysis: str,
        keys: Sequence[str] = ("firings", "density", "maximum", "mean"),
    ) -> dict[str, np.ndarray]:
        """Columns [features] by name, read-only; those that are not there are left out."""
        documents = self._fetch(_collection("columns", name, analysis), list(keys))
        return {key: unpack(document["values"]) for key, document in documents.items()}

    def features(
        self, name: str, analysis: str, indices: Sequence[int]
    ) -> dict[int, FeatureRecord]:
        """Features by index; those that are not there are left out."""
        documents = self._fetch(_collection("features", name, analysis), list(indices))
        return {index: feature_record(document) for index, document in documents.items()}

    def samples(
        self, name: str, analysis: str, indices: Sequence[int], group: str = "top"
    ) -> dict[int, SampleRecord]:
        """One group of contexts of each feature by index; those that are not there are left out."""
        keys = {f"{index}/{group}": index for index in indices}
        documents = self._fetch(_collection("samples", name, analysis), list(keys))
        return {keys[key]: sample_record(document) for key, document in documents.items()}

    def contexts(self, cache: str, ids: Sequence[int]) -> dict[int, np.ndarray]:
        """Token ids, int32 [context_size], by context id."""
        documents = self._fetch(f"contexts/{check_id(cache)}", list(ids))
        return {context: unpack(document["tokens"]) for context, document in documents.items()}

    def vocabulary(self, key: str) -> list[str]:
        """Display strings by token id. Raises DatabaseError when the key isn't there."""
        first = self._fetch("vocabularies", [f"{key}/0"]).get(f"{key}/0")
        if first is None:
            raise DatabaseError(f"the database has no vocabulary '{key}'", "analyze the SAE again")
        tokens: list[str] = first["tokens"]
        keys = [f"{key}/{part}" for part in range(1, first["parts"])]
        rest = self._fetch("vocabularies", keys)
        for part in keys:
            tokens.extend(rest[part]["tokens"])
        return tokens

    # How it is done

    def _connect(self, uri: str) -> None:
        try:
            if not uri.startswith(("mongodb://", "mongodb+srv://")):
                raise InvalidURI("it doesn't begin with mongodb://")
            chosen = uri.partition("?")[2].lower()
            timeouts = {key: ms for key, ms in _TIMEOUTS.items() if key.lower() not in chosen}
            with warnings.catch_warnings(action="ignore"):  # they repeat what they take for options
                self._client: MongoClient[Document] = MongoClient(uri, appname="lmsaes", **timeouts)
            self._database = self._client.get_default_database(DEFAULT_DATABASE)
        except (InvalidURI, ConfigurationError, ValueError, TypeError, OSError) as error:
            raise DatabaseError(
                f"'{shown_address(uri)}' is not a database address: "
                + without_secrets(first_line(error), uri, _UNREADABLE),
                "it looks like mongodb://localhost:27017",
            ) from None
        if self._embedded is None:
            self._uri = f"{self._hosts(uri)}/{self._database.name}"
        with self._errors():
            self._client.admin.command("ping")

    def _hosts(self, uri: str) -> str:
        """Scheme and hosts of an address that could be read."""
        scheme, _, place = shown_address(uri).partition("://")
        hosts = place.partition("/")[0]
        if not hosts.strip("…"):  # signs in it that could be of a password, but were of no user
            seeds = self._client.topology_description.server_descriptions()
            hosts = ",".join(sorted(f"{host}:{port}" for host, port in seeds))
        return f"{scheme}://{hosts}"

    def _leave(self) -> None:
        if self._embedded is not None:
            self._embedded.close()

    @contextmanager
    def _errors(self) -> Generator[None]:
        """Turns what pymongo raises into one line that says which database."""
        where = f"the database at {self.address}"
        if self._embedded:
            where = f"the embedded database in {self._embedded.folder}"
        try:
            yield
        except ServerSelectionTimeoutError:
            if self._embedded:
                log = self._embedded.folder / "server.log"
                raise DatabaseError(f"{where} does not answer", f"see {log}") from None
            raise DatabaseError(
                f"no database answers at {self.address}",
                "start it, or leave --db out to use the embedded one",
            ) from None
        except OperationFailure as error:
            reason = (error.details or {}).get("errmsg") or str(error)
            raise DatabaseError(f"{where} refuses: {reason}") from error
        except PyMongoError as error:
            raise DatabaseError(f"{where} fails: {first_line(error)}") from error

    def _insert(self, collection: str, documents: Iterable[Document]) -> None:
        remaining = iter(documents)
        with self._errors():
            while batch := list(islice(remaining, _BATCH)):
                try:
                    self._database[collection].insert_many(batch, ordered=False)
                except BulkWriteError as error:
                    failures = error.details["writeErrors"]
                    if any(failure["code"] != _DUPLICATE_KEY for failure in failures):
                        raise

    def _fetch(self, collection: str, keys: list[Key]) -> dict[Key, Document]:
        with self._errors():
            found = list(self._database[collection].find({"_id": {"$in": keys}}))
        return {document["_id"]: document for document in found}

    def _drop(self, name: str, analysis: str) -> None:
        for kind in _KINDS:
            self._database.drop_collection(_collection(kind, name, analysis))


def _collection(kind: str, name: str, analysis: str) -> str:
    return f"{kind}/{check_name(name)}/{check_id(analysis)}"
