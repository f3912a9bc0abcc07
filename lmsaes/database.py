"""What the analyses found, in MongoDB; the only module that speaks to it.

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
import re
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Self, TypeVar

import numpy as np
from numcodecs.zstd import Zstd
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError
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

from lmsaes.embedded import EmbeddedServer
from lmsaes.errors import ConfigError, DatabaseError

SCHEMA_VERSION = 1
DEFAULT_DATABASE = "lmsaes"

_BATCH = 1000
_TOKENS_PER_DOCUMENT = 65_536
_SECONDS_TO_ANSWER = 3.0
_DUPLICATE_KEY = 11000
_KINDS = ("features", "samples", "columns")

_NAME = r"[A-Za-z0-9][A-Za-z0-9._:-]{0,119}"
_ID = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
Name = Annotated[str, StringConstraints(pattern=f"^{_NAME}$")]
Id = Annotated[str, StringConstraints(pattern=f"^{_ID}$")]

Document = dict[str, Any]
Key = TypeVar("Key", int, str)


@dataclass(frozen=True, slots=True)
class FeatureRecord:
    """One feature's small facts."""

    index: int
    firings: int  # tokens on which it was active
    density: float  # firings / tokens analysed
    maximum: float
    mean: float  # over the tokens on which it was active; 0 when it never was
    histogram: (
        np.ndarray
    )  # int64 [bins], counts of active tokens in equal bins of (0, histogram_max]
    histogram_max: float
    promotes: Sequence[tuple[int, float]]  # (token id, logit weight), strongest first; may be empty
    suppresses: Sequence[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class SampleRecord:
    """One group of a feature's contexts, best first."""

    index: int
    group: str  # "top"
    contexts: np.ndarray  # int64 [n], context ids in the cache
    positions: np.ndarray  # int32 [n], where in its context the activation is largest
    activations: np.ndarray  # float16 [n, context_size], token by token


class DictionaryRecord(BaseModel):
    """One SAE and the analysis of it that readers see."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name  # `run:sae`, unique in the database
    analysis: Id
    sae_path: str
    sae_hash: str
    architecture: str
    features: int
    d_model: int
    model: str
    hook: str
    cache: Id
    cache_path: str
    dataset: str
    context_size: int
    tokens_analysed: int
    tokens_trained: int
    l0: float  # mean number of active features per token
    fvu: float  # fraction of the activations' variance that is left unexplained
    dead_fraction: float
    ce_recovered: float | None = None
    config: dict[str, Any]
    run: str
    created: str  # ISO 8601
    vocabulary: Id
    feature_range: tuple[int, int]  # start and stop of the features analysed; columns hold these
    groups: tuple[str, ...] = ("top",)
    schema_version: int = SCHEMA_VERSION


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

        Raises ConfigError when both are given, DatabaseError when nothing answers in 3 seconds.
        """
        if uri and folder:
            raise ConfigError("a database has either an address or a folder", "leave one out")
        uri = uri or (os.environ.get("LMSAES_DB") if folder is None else None)
        self._embedded = None if uri else EmbeddedServer(folder)
        self._address = f"embedded in {self._embedded.folder}" if self._embedded else ""
        try:
            self._connect(uri or (self._embedded.uri if self._embedded else ""))
        except BaseException:
            self._leave()
            raise

    @property
    def address(self) -> str:
        """Where the data are, for people: `host:port/name` without credentials, or the folder."""
        return self._address

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
        """Display strings by token id, under a key that stands for the tokenizer (its hash)."""
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
            {"_id": int(context), "tokens": _pack(row.astype("<i4"))}
            for context, row in zip(ids, tokens, strict=True)
        )
        self._insert(f"contexts/{cache}", documents)

    def put_features(self, name: str, analysis: str, records: Iterable[FeatureRecord]) -> None:
        """The features of an analysis, as many as the iterable yields; it is read as a stream."""
        self._insert(_collection("features", name, analysis), map(_feature_document, records))

    def put_samples(self, name: str, analysis: str, records: Iterable[SampleRecord]) -> None:
        """Groups of contexts of an analysis' features; the iterable is read as a stream."""
        self._insert(_collection("samples", name, analysis), map(_sample_document, records))

    def put_columns(self, name: str, analysis: str, columns: Mapping[str, np.ndarray]) -> None:
        """One value per analysed feature and column, in the features' order: each array [features].

        The viewer asks for `firings`, `density`, `maximum` and `mean`.
        """
        documents = ({"_id": key, "values": _pack(array)} for key, array in columns.items())
        self._insert(_collection("columns", name, analysis), documents)

    def publish(self, record: DictionaryRecord) -> None:
        """Makes an analysis the visible one of its SAE by one write, then drops the former one."""
        with self._errors():
            dictionaries = self._database["dictionaries"]
            former = dictionaries.find_one({"_id": record.name})
            superseded = set[str]()
            if former is not None:
                # Kept in the document until they are dropped, should this process die in between.
                superseded = {former["analysis"], *former["superseded"]} - {record.analysis}
            document = {"_id": record.name, **record.model_dump(mode="json", exclude={"name"})}
            document["superseded"] = sorted(superseded)
            # Journalled: with this write all before it is on the disk, so that what a reader has
            # seen survives the server's death.
            dictionaries.with_options(write_concern=WriteConcern(j=True)).replace_one(
                {"_id": record.name}, document, upsert=True
            )
            if superseded:
                for analysis in superseded:
                    self._drop(record.name, analysis)
                dictionaries.update_one({"_id": record.name}, {"$set": {"superseded": []}})

    def discard(self, name: str, analysis: str) -> None:
        """Removes an analysis that was not published: a run that was interrupted.

        Raises DatabaseError when it is the published one.
        """
        current = self.dictionary(name)
        if current is not None and current.analysis == analysis:
            raise DatabaseError(f"analysis {analysis} of '{name}' is published, so it stays")
        with self._errors():
            self._drop(name, analysis)

    # What readers ask

    def dictionaries(self) -> list[DictionaryRecord]:
        """The SAEs in the database, by name."""
        with self._errors():
            documents = list(self._database["dictionaries"].find())
        return sorted(map(_dictionary_record, documents), key=lambda record: record.name)

    def dictionary(self, name: str) -> DictionaryRecord | None:
        """One SAE, or None when the database has no such name."""
        with self._errors():
            document = self._database["dictionaries"].find_one({"_id": name})
        return None if document is None else _dictionary_record(document)

    def columns(
        self,
        name: str,
        analysis: str,
        keys: Sequence[str] = ("firings", "density", "maximum", "mean"),
    ) -> dict[str, np.ndarray]:
        """Columns [features] by name, read-only; those that are not there are left out."""
        documents = self._fetch(_collection("columns", name, analysis), list(keys))
        return {key: _unpack(document["values"]) for key, document in documents.items()}

    def features(
        self, name: str, analysis: str, indices: Sequence[int]
    ) -> dict[int, FeatureRecord]:
        """Features by index; those that are not there are left out."""
        documents = self._fetch(_collection("features", name, analysis), list(indices))
        return {index: _feature_record(document) for index, document in documents.items()}

    def samples(
        self, name: str, analysis: str, indices: Sequence[int], group: str = "top"
    ) -> dict[int, SampleRecord]:
        """One group of contexts of each feature by index; those that are not there are left out."""
        keys = {f"{index}/{group}": index for index in indices}
        documents = self._fetch(_collection("samples", name, analysis), list(keys))
        return {keys[key]: _sample_record(document) for key, document in documents.items()}

    def contexts(self, cache: str, ids: Sequence[int]) -> dict[int, np.ndarray]:
        """Token ids, int32 [context_size], by context id."""
        documents = self._fetch(f"contexts/{check_id(cache)}", list(ids))
        return {context: _unpack(document["tokens"]) for context, document in documents.items()}

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
        milliseconds = int(_SECONDS_TO_ANSWER * 1000)
        try:
            if not uri.startswith(("mongodb://", "mongodb+srv://")):
                raise InvalidURI("it doesn't begin with mongodb://")
            self._client: MongoClient[Document] = MongoClient(
                uri,
                appname="lmsaes",
                serverSelectionTimeoutMS=milliseconds,
                connectTimeoutMS=milliseconds,
            )
            self._database = self._client.get_default_database(DEFAULT_DATABASE)
        except (InvalidURI, ConfigurationError, ValueError) as error:
            raise DatabaseError(
                f"'{_without_credentials(uri)}' is not a database address: {error}",
                "it looks like mongodb://localhost:27017",
            ) from None
        if self._embedded is None:
            host = _without_credentials(uri).partition("://")[2].partition("/")[0]
            self._address = f"{host}/{self._database.name}"
        with self._errors():
            self._client.admin.command("ping")

    def _leave(self) -> None:
        if self._embedded is not None:
            self._embedded.close()

    @contextmanager
    def _errors(self) -> Generator[None]:
        """Turns what pymongo raises into one line that names the address."""
        try:
            yield
        except ServerSelectionTimeoutError:
            raise DatabaseError(
                f"no database answers at {self._address}",
                "start it, or leave --db out to use the embedded one",
            ) from None
        except OperationFailure as error:
            reason = (error.details or {}).get("errmsg") or str(error)
            raise DatabaseError(f"the database at {self._address} refuses: {reason}") from error
        except PyMongoError as error:
            first_line = str(error).splitlines()[0]
            raise DatabaseError(f"the database at {self._address} fails: {first_line}") from error

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


def check_name(name: str) -> str:
    """The name, if an SAE may have it: letters, digits and `._:-`, fit for an address.

    Raises ConfigError.
    """
    if re.fullmatch(_NAME, name) is None:
        raise ConfigError(
            f"'{name}' can't name an SAE in the database",
            "use at most 120 letters, digits and . _ - : (a letter or digit first)",
        )
    return name


def check_id(text: str) -> str:
    """The text, if it may stand for an analysis, a cache or a vocabulary. Raises ConfigError."""
    if re.fullmatch(_ID, text) is None:
        raise ConfigError(
            f"'{text}' can't be an id in the database",
            "use at most 64 letters, digits and . _ - (a letter or digit first)",
        )
    return text


def _collection(kind: str, name: str, analysis: str) -> str:
    return f"{kind}/{check_name(name)}/{check_id(analysis)}"


def _without_credentials(uri: str) -> str:
    return re.sub(r"//[^@/]*@", "//", uri)


def _pack(array: np.ndarray) -> Document:
    """An array as a document: little-endian bytes, their dtype and shape."""
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return {"dtype": array.dtype.str, "shape": list(array.shape), "data": array.tobytes()}


def _unpack(document: Document) -> np.ndarray:
    flat = np.frombuffer(document["data"], dtype=document["dtype"])
    return flat.reshape(document["shape"])


def _feature_document(record: FeatureRecord) -> Document:
    return {
        "_id": int(record.index),
        "firings": int(record.firings),
        "density": float(record.density),
        "maximum": float(record.maximum),
        "mean": float(record.mean),
        "histogram": _pack(record.histogram.astype("<i8")),
        "histogram_max": float(record.histogram_max),
        "promotes": _pack_weights(record.promotes),
        "suppresses": _pack_weights(record.suppresses),
    }


def _feature_record(document: Document) -> FeatureRecord:
    return FeatureRecord(
        index=document["_id"],
        firings=document["firings"],
        density=document["density"],
        maximum=document["maximum"],
        mean=document["mean"],
        histogram=_unpack(document["histogram"]),
        histogram_max=document["histogram_max"],
        promotes=_unpack_weights(document["promotes"]),
        suppresses=_unpack_weights(document["suppresses"]),
    )


def _pack_weights(weights: Sequence[tuple[int, float]]) -> Document:
    return {
        "tokens": _pack(np.array([token for token, _ in weights], dtype="<i4")),
        "weights": _pack(np.array([weight for _, weight in weights], dtype="<f4")),
    }


def _unpack_weights(document: Document) -> list[tuple[int, float]]:
    tokens, weights = _unpack(document["tokens"]), _unpack(document["weights"])
    return list(zip(tokens.tolist(), weights.tolist(), strict=True))


def _sample_document(record: SampleRecord) -> Document:
    activations = _pack(record.activations.astype("<f2"))
    # Nearly all activations are zero: 40 contexts of 128 tokens shrink from 10 KiB to about one.
    # A feature that never fired has none, and zstd has no frame for nothing.
    activations["data"] = _zstd.encode(activations["data"]) if activations["data"] else b""
    return {
        "_id": f"{int(record.index)}/{record.group}",
        "contexts": _pack(record.contexts.astype("<i8")),
        "positions": _pack(record.positions.astype("<i4")),
        "activations": {**activations, "codec": "zstd"},
    }


def _sample_record(document: Document) -> SampleRecord:
    index, _, group = document["_id"].partition("/")
    activations = document["activations"]
    data = _zstd.decode(activations["data"]) if activations["data"] else b""
    return SampleRecord(
        index=int(index),
        group=group,
        contexts=_unpack(document["contexts"]),
        positions=_unpack(document["positions"]),
        activations=_unpack({**activations, "data": data}),
    )


def _dictionary_record(document: Document) -> DictionaryRecord:
    fields = {key: value for key, value in document.items() if key not in ("_id", "superseded")}
    if fields.get("schema_version") != SCHEMA_VERSION:
        raise DatabaseError(
            f"'{document['_id']}' was written with schema {fields.get('schema_version')}, "
            f"this lmsaes reads {SCHEMA_VERSION}",
            "analyze the SAE again with this version",
        )
    try:
        return DictionaryRecord(name=document["_id"], **fields)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"]))
        raise DatabaseError(
            f"the record of '{document['_id']}' is damaged: {place}: {problem['msg']}",
            "analyze the SAE again",
        ) from None


_zstd = Zstd(level=3)
