"""People's notes on features: one on each, as long as they like, to be changed at any time.

notes    one document for each feature that has one, under `<hash of the SAE>/<feature>`

What a feature is called is an explanation (explanations.py); a note is what else somebody wants to
remember of it. Both belong to an SAE's weights, not to an analysis. Whoever changes a note says
which version they saw, so that nobody's words are lost.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pymongo.errors import DuplicateKeyError

from lmsaes.database.connection import Connection
from lmsaes.database.lists import ChangedError
from lmsaes.errors import ConfigError

COLLECTION = "notes"
LONGEST = 10_000


class Note(BaseModel):
    """What somebody noted of a feature."""

    model_config = ConfigDict(frozen=True)

    feature: int = Field(ge=0, lt=2**31)
    text: Annotated[str, StringConstraints(strip_whitespace=True, max_length=LONGEST)]
    """Empty: there is none, or no more."""
    version: Annotated[int, Field(ge=0)] = 0
    """How often it was changed; 0 where there is none."""
    changed: datetime | None = None


class Notes:
    """The notes in a database. `sae` is an SAE's hash, `SAERecord.sae_hash`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, sae: str, feature: int) -> Note:
        """A feature's note, which may be empty."""
        found = self._connection.fetch(COLLECTION, [_key(sae, feature)])
        return next(map(_note, found.values()), Note(feature=feature, text=""))

    def all(self, sae: str) -> list[Note]:
        """The notes on an SAE's features that are not empty, by feature."""
        # "0" follows "/": all keys that begin with the hash, found by the index of `_id`
        keys = {"$gte": f"{_key(sae, '')}", "$lt": f"{sae}0"}
        with self._connection.database() as mongo:
            found = list(mongo[COLLECTION].find({"_id": keys}))
        return sorted(
            (note for note in map(_note, found) if note.text), key=lambda note: note.feature
        )

    def put(self, sae: str, feature: int, text: str, seen: int) -> Note:
        """Keeps a note in place of the version `seen`, 0 where there was none.

        Raises ChangedError where somebody else has changed it since.
        """
        now = datetime.now(UTC)
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)  # as MongoDB keeps it
        note = Note(feature=feature, text=text, version=seen + 1, changed=now)
        document = {"_id": _key(sae, feature), **note.model_dump()}
        with self._connection.database() as mongo:
            if seen:
                key = {"_id": document["_id"], "version": seen}
                kept = bool(mongo[COLLECTION].replace_one(key, document).matched_count)
            else:
                try:
                    mongo[COLLECTION].insert_one(document)
                    kept = True
                except DuplicateKeyError:
                    kept = False
        if not kept:
            raise ChangedError(
                f"the note on feature {feature} was changed meanwhile", "load it again"
            )
        return note

    def add(self, sae: str, notes: Mapping[int, str]) -> int:
        """Puts notes of a file in; one that is there already keeps its words and gets the new ones
        behind them. Returns how many were changed."""
        there = {note.feature: note for note in self.all(sae)}
        changed = 0
        for feature, text in notes.items():
            own = there.get(feature) or self.get(sae, feature)
            if text.strip() and text.strip() not in own.text:
                self.put(sae, feature, f"{own.text}\n{text}".strip(), own.version)
                changed += 1
        return changed


def _note(document: Mapping[str, Any]) -> Note:
    changed: datetime = document["changed"]
    # MongoDB's times are UTC and say no zone
    return Note.model_validate({**document, "changed": changed.replace(tzinfo=UTC)})


def _key(sae: str, feature: int | str) -> str:
    if re.fullmatch(r"[0-9a-f]{4,64}", sae) is None:
        raise ConfigError(f"'{sae}' is no hash of an SAE", "give the `sae_hash` of its record")
    return f"{sae}/{feature}"
