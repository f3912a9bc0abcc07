"""The database of features: what analyses write and readers fetch.

    with Database() as database:                     # no address: the embedded server
        database.put_vocabulary(key, tokens)
        database.put_contexts(cache, ids, tokens)
        with database.draft(name, cache, made_from) as draft:
            draft.put_features(records)
            draft.put_samples(records)
            draft.put_columns({"density": …, "maximum": …, "mean": …, "firings": …})
            draft.publish(record)                    # from here on readers see it

Documents are fetched by `_id`, never sorted or scanned; whatever needs an order over all features
is a column. An analysis has collections of its own, so that replacing it drops them.
Writing a document that exists leaves it as it is: the same id is the same content.
`docs/database.md` lists collections and fields.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from lmsaes.database import saes
from lmsaes.database.answers import Answers
from lmsaes.database.connection import Connection, Key
from lmsaes.database.curves import TrainingCurves, curves_record
from lmsaes.database.details import (
    RowsRecord,
    TokenRecord,
    rows_record,
    token_record,
    unpack_table,
)
from lmsaes.database.draft import NEEDED_COLUMNS, Draft
from lmsaes.database.dump import Dumped, dump, restore
from lmsaes.database.explanations import Explanations
from lmsaes.database.feature_columns import TWIN_NAMES, FeatureColumns, read_twins
from lmsaes.database.garbage import collect_garbage
from lmsaes.database.graphs import Graphs
from lmsaes.database.leases import Leases
from lmsaes.database.lists import Lists
from lmsaes.database.notes import Notes
from lmsaes.database.records import (
    ContextRecord,
    FeatureRecord,
    SAERecord,
    SampleRecord,
    check_hash,
    check_name,
    context_document,
    context_record,
    feature_record,
    unpack,
)
from lmsaes.database.saes import UnreadableRecord
from lmsaes.database.sample_documents import sample_record
from lmsaes.database.squeezed import expanded
from lmsaes.errors import ConfigError, DatabaseError, nearest

_TOKENS_PER_DOCUMENT = 65_536


class Database:
    """A connection to the features' database.

    Use it as a context manager, or call `close`: the embedded server stops when its last user has
    left. An embedded server that is killed or started again meanwhile is found again.
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
        self._connection = Connection(uri, folder)
        self._leases = Leases(self._connection)

    @property
    def uri(self) -> str | None:
        """`mongodb://host:port/name` without credentials and options; None where embedded."""
        return self._connection.uri

    @property
    def folder(self) -> Path | None:
        """Where the embedded server keeps its data; None for a deployment at an address."""
        return self._connection.folder

    @property
    def address(self) -> str:
        """Where the data are, for people: `host:port/name` without credentials, or the folder."""
        return self._connection.address

    @property
    def place(self) -> str:
        """The same for a sentence: "the embedded database in FOLDER", "the database at …"."""
        return self._connection.place

    def close(self) -> None:
        """Closes the connection and leaves the embedded server. Closing twice is allowed."""
        self._leases.close()
        self._connection.close()

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
        check_hash(key)
        starts = range(0, max(len(tokens), 1), _TOKENS_PER_DOCUMENT)
        documents = (
            {
                "_id": f"{key}/{part}",
                "tokens": list(tokens[start : start + _TOKENS_PER_DOCUMENT]),
                "parts": len(starts),
            }
            for part, start in enumerate(starts)
        )
        self._connection.insert("vocabularies", documents)

    def put_contexts(
        self, cache: str, ids: np.ndarray, tokens: np.ndarray, documents: np.ndarray | None = None
    ) -> None:
        """Token ids [n, context_size] of the contexts `ids` [n] of a cache.

        documents: the document of each token, [n, context_size], where the cache keeps that.
        """
        of_rows = documents if documents is not None else [None] * len(ids)
        rows = zip(ids.tolist(), tokens, of_rows, strict=True)
        self._connection.insert(
            f"contexts_{check_hash(cache)}", (context_document(*row) for row in rows)
        )

    def draft(self, name: str, cache: str, made_from: Mapping[str, Any]) -> Draft:
        """Begins an analysis of the SAE `name` over `cache`, of everything that it is made from.

        Raises ConfigError for an impossible name; DatabaseError while another process writes under
        it, and where a newer lmsaes has written a record that this one can't read.
        """
        check_name(name)
        there = saes.read_one(self._connection, name)
        if isinstance(there, UnreadableRecord) and there.is_newer:
            raise there.error()
        return Draft(self._connection, self._leases, name, cache, made_from)

    def set_evaluation(self, sae_hash: str, evaluation: Mapping[str, Any]) -> int:
        """Puts what `lmsaes eval` found into every record of an SAE; returns how many there are.

        sae_hash: the SAE's, as its records have it. evaluation: figures by the names of
        `lmsaes eval --json`, with their standard errors (`fvu`, `fvu_se`, …).
        """
        return saes.set_evaluation(self._connection, sae_hash, evaluation)

    # What readers fetch

    def ping(self) -> None:
        """Asks whether the database answers. Raises DatabaseError where it does not."""
        with self._connection.database() as mongo:
            mongo.command("ping")

    def saes(self) -> list[SAERecord]:
        """The SAEs in the database, by name, but for those that `unreadable` lists."""
        return saes.read_all(self._connection)[0]

    def unreadable(self) -> list[UnreadableRecord]:
        """The records that this version can't read: of another schema, or damaged."""
        return saes.read_all(self._connection)[1]

    def dictionaries(self) -> list[SAERecord]:
        """The former name of `saes`."""
        return self.saes()

    def sae(self, name: str) -> SAERecord | None:
        """One SAE, or None when the database has no such name.

        Raises DatabaseError that says what to do where its record can't be read.
        """
        found = saes.read_one(self._connection, name)
        if isinstance(found, UnreadableRecord):
            raise found.error()
        return found

    def columns(
        self, analysis: str, keys: Sequence[str] = tuple(sorted(NEEDED_COLUMNS))
    ) -> dict[str, np.ndarray]:
        """Columns [features] by name, read-only; those that are not there are left out."""
        documents = self._connection.fetch(f"columns_{analysis}", keys)
        return {key: unpack(document["values"]) for key, document in documents.items()}

    def twins(self, analysis: str) -> dict[str, dict[str, np.ndarray]]:
        """The twins of all features by the other SAE's name, as `read_twins` gives them.

        Empty where there are none, and for analyses of former versions.
        """
        named = self._connection.fetch(f"columns_{analysis}", [TWIN_NAMES]).get(TWIN_NAMES)
        names = named["names"] if named else []
        keys = [f"{TWIN_NAMES}/{place}" for place in range(len(names))]
        tables = self._connection.fetch(f"columns_{analysis}", keys)
        return {
            name: read_twins(unpack_table(tables[key]["table"]))
            for name, key in zip(names, keys, strict=True)
            if key in tables
        }

    def gather_columns(self, record: SAERecord) -> FeatureColumns:
        """What `columns` lacks of analyses of former versions, read from all features."""
        gathered = FeatureColumns()
        start, stop = record.feature_range
        for first in range(start, stop, 1000):
            found = self.features(record.analysis, range(first, min(first + 1000, stop)))
            for feature in found.values():
                gathered.add(feature)
        return gathered

    def features(self, analysis: str, indices: Sequence[int]) -> dict[int, FeatureRecord]:
        """Features by index; those that are not there are left out."""
        documents = self._fetch(f"features_{analysis}", indices)
        return {index: feature_record(document) for index, document in documents.items()}

    def labels(self, analysis: str, indices: Sequence[int]) -> dict[int, str]:
        """What the analysis calls features, by index; those that it has no label for are left
        out."""
        found = self.features(analysis, indices).items()
        labels = {index: each.details.label for index, each in found if each.details}
        return {index: label for index, label in labels.items() if label}

    def samples(
        self, analysis: str, indices: Sequence[int], group: str = "top"
    ) -> dict[int, SampleRecord]:
        """One group of contexts of each feature by index; those that are not there are left out."""
        keys = {f"{index}/{group}": index for index in indices}
        documents = self._fetch(f"samples_{analysis}", list(keys))
        return {keys[key]: sample_record(document) for key, document in documents.items()}

    def sample_groups(
        self, analysis: str, index: int, groups: Sequence[str]
    ) -> dict[str, SampleRecord]:
        """Groups of contexts of one feature by name; empty ones are left out."""
        keys = [f"{index}/{group}" for group in groups]
        documents = self._fetch(f"samples_{analysis}", keys)
        read = map(sample_record, documents.values())
        return {record.group: record for record in read}

    def tokens(self, analysis: str, ids: Sequence[int]) -> dict[int, TokenRecord]:
        """The features of tokens by id; tokens that have none are left out."""
        documents = self._fetch(f"tokens_{analysis}", ids)
        return {token: token_record(document) for token, document in documents.items()}

    def rows(self, analysis: str) -> list[RowsRecord]:
        """All firings on the sampled rows, by feature; empty where none were kept."""
        with self._connection.database() as mongo:
            documents = [expanded(each) for each in mongo[f"rows_{analysis}"].find()]
        return sorted(map(rows_record, documents), key=lambda record: record.first)

    def _fetch(self, collection: str, keys: Sequence[Key]) -> dict[Key, dict[str, Any]]:
        """Documents of an analysis by `_id`, as they were before they were compressed."""
        documents = self._connection.fetch(collection, keys)
        return {key: expanded(document) for key, document in documents.items()}

    def metrics(self, analysis: str) -> TrainingCurves | None:
        """How the training of the analyzed SAE went; None where nothing is known of it."""
        with self._connection.database() as mongo:
            document = mongo[f"metrics_{analysis}"].find_one({"_id": "training"})
        return None if document is None else curves_record(document)

    def contexts(self, cache: str, ids: Sequence[int]) -> dict[int, np.ndarray]:
        """Token ids, int32 [context_size], by context id."""
        found = self.context_records(cache, ids)
        return {context: record.tokens for context, record in found.items()}

    def context_records(self, cache: str, ids: Sequence[int]) -> dict[int, ContextRecord]:
        """Contexts by id; those that are not there are left out."""
        documents = self._connection.fetch(f"contexts_{cache}", ids)
        return {context: context_record(document) for context, document in documents.items()}

    def vocabulary(self, key: str) -> list[str]:
        """Display strings by token id. Raises DatabaseError when the key isn't there."""
        first = self._connection.fetch("vocabularies", [f"{key}/0"]).get(f"{key}/0")
        if first is None:
            raise DatabaseError(f"the database has no vocabulary '{key}'", "analyze the SAE again")
        tokens: list[str] = first["tokens"]
        keys = [f"{key}/{part}" for part in range(1, first["parts"])]
        rest = self._connection.fetch("vocabularies", keys)
        for part in keys:
            tokens.extend(rest[part]["tokens"])
        return tokens

    @property
    def explanations(self) -> Explanations:
        """What people and models say of features, kept by the SAEs' hashes."""
        return Explanations(self._connection)

    @property
    def answers(self) -> Answers:
        """What language models answered, by what they were asked."""
        return Answers(self._connection)

    @property
    def lists(self) -> Lists:
        """People's lists of features."""
        return Lists(self._connection)

    @property
    def notes(self) -> Notes:
        """People's notes on features, kept by the SAEs' hashes."""
        return Notes(self._connection)

    @property
    def graphs(self) -> Graphs:
        """Attribution graphs."""
        return Graphs(self._connection, self._leases)

    # Upkeep

    def holding(self, name: str) -> AbstractContextManager[None]:
        """Keeps other processes from what also holds `name` while a `with` block runs.

        Entering raises DatabaseError that says who holds it; a dead process' hold is taken over.
        """
        return self._leases.holding(name)

    def rename(self, old: str, new: str) -> None:
        """Gives an SAE another name; readers find it under one of the two at any moment.

        Raises ConfigError where there is no `old`, or `new` is taken or impossible; DatabaseError
        while another process writes under one of them.
        """
        check_name(new)
        with self._leases.holding(old, new):
            record = self.sae(old)
            if record is None:
                raise self._unknown(old)
            if saes.read_one(self._connection, new) is not None:
                raise ConfigError(f"'{new}' is in the database already", "choose another name")
            renamed = record.model_copy(update={"name": new})
            with self._connection.database() as mongo:
                mongo[saes.SAES].insert_one(saes.record_document(renamed))
                mongo[saes.SAES].delete_one({"_id": old})

    def remove(self, name: str) -> None:
        """Removes an SAE, readable or not, and what only it needed.

        Raises ConfigError where there is none; DatabaseError while another process writes it.
        """
        with self._leases.holding(name):
            if name not in {str(each["_id"]) for each in saes.documents(self._connection)}:
                raise self._unknown(name)
            saes.delete(self._connection, [name])
        self.gc()

    def dump(self, path: str | Path) -> Dumped:
        """Writes all SAEs and graphs that can be read, and what was said of features, into one
        file; returns their records.

        Raises DatabaseError while another process writes one of them,
        ConfigError where the file can't be written.
        """
        return dump(self._connection, self._leases, Path(path))

    def restore(self, path: str | Path) -> Dumped:
        """Puts what such a file holds beside what is there; returns its records.

        Raises ConfigError, before anything is written, for a damaged file, and where a name is
        another analysis' or graph's here.
        """
        return restore(self._connection, self._leases, Path(path))

    def gc(self) -> list[str]:
        """Drops what interrupted, replaced and removed analyses left; returns the collections.

        Every start of an analysis does so too.
        """
        return collect_garbage(self._connection, self._leases)

    def _unknown(self, name: str) -> ConfigError:
        names = [record.name for record in self.saes()]
        likest = nearest(name, names) or names[:3]
        return ConfigError(
            f"no SAE '{name}' in {self.place}",
            f"there are {', '.join(likest)}" if likest else None,
        )
