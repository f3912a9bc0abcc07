"""What people and models say of features, with its history.

explanations    one document for each version, under `<hash of the SAE>/<feature>/<n>`

They belong to an SAE's weights, not to an analysis of it: they stay when it is analyzed again,
renamed or removed. A version is never changed; a newer one, which may be empty, takes its place.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pymongo.errors import DuplicateKeyError

from lmsaes.database.connection import Connection
from lmsaes.database.records import Document
from lmsaes.errors import ConfigError

COLLECTION = "explanations"
LONGEST = 2000
_AT_ONCE = 4  # versions that are fetched together: most features have fewer
_MOST = 1000  # versions of one feature

Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=LONGEST)]


class Explanation(BaseModel):
    """One version of what is said of a feature; an empty text takes back the one before."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    feature: int = Field(ge=0, lt=2**31)
    text: Text
    author: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]
    """A person's name, or that of the model that wrote it."""
    by_model: bool = False
    created: datetime
    score: dict[str, Any] | None = None
    """How well it tells firing contexts from others (lmsaes/explain/scoring.py)."""
    requests: tuple[dict[str, Any], ...] = ()
    """What the model was asked, and its answers, as they were."""


class Explanations:
    """The explanations in a database. `sae` is an SAE's hash, `SAERecord.sae_hash`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, sae: str, explanation: Explanation) -> None:
        """Adds a version, the newest of its feature. Two at once both stay, one after the other."""
        _check(sae)
        content = explanation.model_dump()
        number = len(self.history(sae, explanation.feature))
        with self._connection.database() as mongo:
            while True:
                if number >= _MOST:
                    raise ConfigError(f"feature {explanation.feature} has {_MOST} explanations")
                key = f"{sae}/{explanation.feature}/{number}"
                try:
                    mongo[COLLECTION].insert_one({"_id": key, "sae": sae, **content})
                    return
                except DuplicateKeyError:
                    number += 1

    def history(self, sae: str, feature: int) -> list[Explanation]:
        """All versions of a feature's explanation, the newest last."""
        return self._histories(sae, [feature])[feature]

    def current(self, sae: str, features: Sequence[int]) -> dict[int, Explanation]:
        """The newest versions, by feature; those without, or with an empty one, are left out."""
        found = self._histories(sae, features)
        newest = {feature: versions[-1] for feature, versions in found.items() if versions}
        return {feature: last for feature, last in newest.items() if last.text}

    def newest(self, sae: str) -> list[Explanation]:
        """What is said now of every feature, by feature, without requests and scores."""
        _check(sae)
        left_out = {"requests": False, "score": False}
        with self._connection.database() as mongo:
            documents = list(mongo[COLLECTION].find(_all_of(sae), left_out))
        documents.sort(key=lambda each: tuple(map(int, each["_id"].split("/")[1:])))
        last = {each["feature"]: each for each in documents}
        return [read(each) for each in last.values() if each["text"]]

    def all(self, sae: str) -> list[Explanation]:
        """Every version of every feature, by feature and age."""
        _check(sae)
        with self._connection.database() as mongo:
            documents = list(mongo[COLLECTION].find(_all_of(sae)))
        documents.sort(key=lambda each: tuple(map(int, each["_id"].split("/")[1:])))
        return [read(each) for each in documents]

    def _histories(self, sae: str, features: Sequence[int]) -> dict[int, list[Explanation]]:
        _check(sae)
        found: dict[int, list[Explanation]] = {feature: [] for feature in features}
        pending, start = list(found), 0
        while pending:
            numbers = range(start, start + _AT_ONCE)
            keys = [f"{sae}/{feature}/{n}" for feature in pending for n in numbers]
            there = self._connection.fetch(COLLECTION, keys)
            for feature in pending:
                versions = (there.get(f"{sae}/{feature}/{n}") for n in numbers)
                found[feature] += [read(each) for each in versions if each is not None]
            start += _AT_ONCE
            pending = [feature for feature in pending if len(found[feature]) == start]
        return found


def new_explanation(feature: int, text: str, author: str, **more: Any) -> Explanation:
    """An explanation of this moment. Raises ConfigError for a text or an author that can't be."""
    try:
        return Explanation(
            feature=feature, text=text, author=author, created=datetime.now(UTC), **more
        )
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise ConfigError(f"the explanation's {where}: {problem['msg']}") from None


def read(document: Document) -> Explanation:
    """The version that a document holds."""
    fields = {name: document[name] for name in Explanation.model_fields if name in document}
    created = fields["created"]
    # MongoDB's times are UTC and say no zone
    return Explanation(**{**fields, "created": created.replace(tzinfo=created.tzinfo or UTC)})


def _all_of(sae: str) -> Document:
    """What finds an SAE's versions by the index of `_id`: "0" follows "/"."""
    return {"_id": {"$gte": f"{sae}/", "$lt": f"{sae}0"}}


def _check(sae: str) -> None:
    if re.fullmatch(r"[0-9a-f]{4,64}", sae) is None:
        raise ConfigError(f"'{sae}' is no hash of an SAE", "give the `sae_hash` of its record")
