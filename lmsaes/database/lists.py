"""People's lists of features, with a note on each.

lists    one document for each list, under its id

A list names features by SAE and index and belongs to no analysis: it stays when an SAE is analyzed
again or removed. Whoever changes it says which version they saw, so that nobody's entries are lost.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from secrets import token_hex
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from lmsaes.database.connection import Connection
from lmsaes.errors import DatabaseError

COLLECTION = "lists"
MOST_FEATURES = 20_000

Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Note = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)]


class ListEntry(BaseModel):
    """A feature in a list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sae: Annotated[str, StringConstraints(min_length=1, max_length=120)]
    feature: int = Field(ge=0, lt=2**31)
    note: Note = ""


class ListContents(BaseModel):
    """What a person puts into a list, and what its file holds."""

    model_config = ConfigDict(frozen=True)

    name: Line
    description: Note = ""
    text: Annotated[str, StringConstraints(max_length=10_000)] = ""
    """A text to try its features on."""
    features: list[ListEntry] = Field(default=[], max_length=MOST_FEATURES)


class FeatureList(ListContents):
    """A list as it is kept."""

    id: str
    version: int
    changed: datetime


class ChangedError(DatabaseError):
    """A list that somebody else has changed since it was read."""


class Lists:
    """The lists in a database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def all(self) -> list[FeatureList]:
        """Every list, by name."""
        with self._connection.database() as mongo:
            documents = list(mongo[COLLECTION].find())
        return sorted(map(_list, documents), key=lambda each: (each.name.lower(), each.id))

    def get(self, id: str) -> FeatureList | None:
        """A list by its id."""
        found = self._connection.fetch(COLLECTION, [id]).get(id)
        return None if found is None else _list(found)

    def add(self, contents: ListContents) -> FeatureList:
        """A new list."""
        made = _next(contents, token_hex(6), 1)
        self._connection.insert(COLLECTION, [_document(made)])
        return made

    def replace(self, id: str, contents: ListContents, seen: int) -> FeatureList:
        """Puts other contents into a list. Raises ChangedError unless `seen` is its version."""
        made = _next(contents, id, seen + 1)
        with self._connection.database() as mongo:
            done = mongo[COLLECTION].replace_one({"_id": id, "version": seen}, _document(made))
        if not done.matched_count:
            raise ChangedError(f"list {id} was changed meanwhile", "load it again")
        return made

    def remove(self, id: str) -> bool:
        """Removes a list; whether there was one."""
        with self._connection.database() as mongo:
            return bool(mongo[COLLECTION].delete_one({"_id": id}).deleted_count)


def _next(contents: ListContents, id: str, version: int) -> FeatureList:
    fields = contents.model_dump(include=set(ListContents.model_fields))
    now = datetime.now(UTC)
    now = now.replace(microsecond=now.microsecond // 1000 * 1000)  # as MongoDB keeps it
    return FeatureList(**fields, id=id, version=version, changed=now)


def _document(made: FeatureList) -> dict[str, Any]:
    return {"_id": made.id, **made.model_dump(exclude={"id"})}


def _list(document: Mapping[str, Any]) -> FeatureList:
    changed: datetime = document["changed"]
    # MongoDB's times are UTC and say no zone
    zoned = changed.replace(tzinfo=changed.tzinfo or UTC)
    fields = {key: value for key, value in document.items() if key != "_id"}
    return FeatureList.model_validate({**fields, "id": document["_id"], "changed": zoned})
