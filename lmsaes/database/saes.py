"""The records of SAEs, each read for itself: what can't be read hinders no other.

saes            one document for each SAE, under its name
dictionaries    the same of schema 1, which is shown and removed but not read
"""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from lmsaes.database.connection import Connection
from lmsaes.database.records import SCHEMA_VERSION, Document, SAERecord
from lmsaes.errors import DatabaseError

SAES, SCHEMA_1 = "saes", "dictionaries"
_EVALUATED = {"l0": "l0", "fvu": "fvu", "ce_recovered": "ce_recovered_zero"}


class UnreadableError(DatabaseError):
    """A record of another schema, or a damaged one, was asked for."""


@dataclass(frozen=True, slots=True)
class UnreadableRecord:
    """An SAE whose record this version can't read, and what to do about it."""

    name: str
    problem: str
    hint: str
    schema_version: int | None
    """None where the record is damaged so much that it has no version."""

    def error(self) -> UnreadableError:
        return UnreadableError(f"'{self.name}' can't be read: {self.problem}", self.hint)

    @property
    def is_newer(self) -> bool:
        """Whether a newer lmsaes wrote it, whose work is not replaced unasked."""
        return self.schema_version is not None and self.schema_version > SCHEMA_VERSION


def read_all(connection: Connection) -> tuple[list[SAERecord], list[UnreadableRecord]]:
    """The SAEs of the database and the records that can't be read, each by name."""
    found = [read(document) for document in documents(connection)]
    readable = [each for each in found if isinstance(each, SAERecord)]
    unreadable = [each for each in found if isinstance(each, UnreadableRecord)]
    return (
        sorted(readable, key=lambda record: record.name),
        sorted(unreadable, key=lambda record: record.name),
    )


def read_one(connection: Connection, name: str) -> SAERecord | UnreadableRecord | None:
    """One SAE, or None when the database has no such name."""
    with connection.database() as mongo:
        document = mongo[SAES].find_one({"_id": name}) or _schema_1(mongo[SCHEMA_1], name)
    return None if document is None else read(document)


def documents(connection: Connection) -> list[Document]:
    """The documents of all SAEs, those of schema 1 too unless their SAE was analyzed again."""
    with connection.database() as mongo:
        found = {str(each["_id"]): each for each in map(_as_schema_1, mongo[SCHEMA_1].find())}
        found |= {str(each["_id"]): each for each in mongo[SAES].find()}
    return list(found.values())


def evaluated(evaluation: Mapping[str, Any]) -> Document:
    """The fields of a record that an evaluation measured, each with its standard error.

    evaluation: figures and standard errors by the names that `lmsaes eval --json` uses. L0 and FVU
    that it lacks stay those of the analysis; the share of cross-entropy is measured nowhere else.
    """
    found: Document = {}
    for field, figure in _EVALUATED.items():
        value = evaluation.get(figure)
        if value is not None or field == "ce_recovered":
            error = None if value is None else evaluation.get(f"{figure}_se")
            found |= {field: value, f"{field}_error": error}
    return found


def set_evaluation(connection: Connection, sae_hash: str, evaluation: Mapping[str, Any]) -> int:
    """Puts an evaluation's figures into the records of an SAE; returns how many there are."""
    with connection.database() as mongo:
        update = {"$set": evaluated(evaluation)}
        return mongo[SAES].update_many({"sae_hash": sae_hash}, update).matched_count


def delete(connection: Connection, names: Iterable[str]) -> None:
    """Removes records by name, whatever their schema; what they name is left to `gc`."""
    wanted = set(names)
    with connection.database() as mongo:
        for collection in (SCHEMA_1, SAES):
            # by what `_id` looks like: that of a damaged record may be no string
            ids = [each["_id"] for each in mongo[collection].find({}, {"_id": True})]
            for key in ids:
                if str(key) in wanted:
                    mongo[collection].delete_one({"_id": key})


def record_document(record: SAERecord) -> Document:
    """The document of an SAE, under its name."""
    return {"_id": record.name, **record.model_dump(mode="json", exclude={"name"})}


def _schema_1(collection: Any, name: str) -> Document | None:
    found = collection.find_one({"_id": name})
    return None if found is None else _as_schema_1(found)


def _as_schema_1(document: Document) -> Document:
    return {**document, "schema_version": 1}


def read(document: Document) -> SAERecord | UnreadableRecord:
    """The record that a document holds, or why it can't be read."""
    fields = {key: value for key, value in document.items() if key != "_id"}
    name, version = str(document["_id"]), fields.get("schema_version")
    if not isinstance(version, int):
        return _damaged(name, "it has no schema_version", None)
    if version > SCHEMA_VERSION:
        hint = f"update lmsaes, or remove it with: lmsaes db rm {shlex.quote(name)}"
        return UnreadableRecord(name, f"schema {version}: needs a newer lmsaes", hint, version)
    if version < SCHEMA_VERSION:
        hint = f"analyze it again, or remove it with: lmsaes db rm {shlex.quote(name)}"
        return UnreadableRecord(name, f"schema {version}: analyze it again", hint, version)
    try:
        return SAERecord(**{**fields, "name": document["_id"]})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        return _damaged(name, f"{place}: {first['msg']}", version)


def _damaged(name: str, why: str, version: int | None) -> UnreadableRecord:
    hint = f"analyze it again, or remove it with: lmsaes db rm {shlex.quote(name)}"
    return UnreadableRecord(name, f"damaged: {why}", hint, version)
