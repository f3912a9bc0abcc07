"""Explanations that people write: one feature at a time, or to and from a JSON file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ValidationError

from lmsaes.atomic import replace_file
from lmsaes.database import Database, Explanation, SAERecord, new_explanation
from lmsaes.errors import ConfigError, DataError


class ExplanationsFile(BaseModel, extra="forbid"):
    """Explanations of an SAE's features with their history, as a file holds them."""

    format: Literal["lmsaes-explanations"] = "lmsaes-explanations"
    format_version: Literal[1] = 1
    sae: str
    """Its name in the database it was exported from; the hash is what counts."""
    sae_hash: str
    explanations: list[Explanation]


def explain_by_hand(
    database: Database, record: SAERecord, feature: int, text: str, author: str
) -> Explanation:
    """Stores what a person says of a feature; an empty text takes back what was said.

    Raises ConfigError for a feature that the SAE has not, and for a text that can't be.
    """
    check_feature(record, feature)
    explanation = new_explanation(feature, text, author)
    database.explanations.add(record.sae_hash, explanation)
    return explanation


def export_explanations(database: Database, record: SAERecord, file: Path) -> int:
    """Writes all explanations of an SAE's features into a JSON file; returns how many."""
    everything = database.explanations.all(record.sae_hash)
    content = ExplanationsFile(sae=record.name, sae_hash=record.sae_hash, explanations=everything)
    replace_file(file, (content.model_dump_json(indent=2) + "\n").encode())
    return len(everything)


def import_explanations(database: Database, record: SAERecord, file: Path) -> int:
    """Adds a file's explanations to those in the database; returns how many were new.

    Raises DataError where the file isn't of explanations, ConfigError where it is of another SAE.
    """
    try:
        content = ExplanationsFile.model_validate_json(file.read_bytes())
    except OSError as error:
        raise DataError(f"can't read {file}: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise DataError(
            f"{file} holds no explanations: {place}: {first['msg']}".replace(": :", ":"),
            "give a file that lmsaes explain --export wrote",
        ) from None
    if content.sae_hash != record.sae_hash:
        raise ConfigError(
            f"{file} explains another SAE ({content.sae}) than '{record.name}'",
            "its weights differ: features of one number have nothing to do with each other",
        )
    there = {_identity(each) for each in database.explanations.all(record.sae_hash)}
    new = [each for each in content.explanations if _identity(each) not in there]
    for explanation in new:
        check_feature(record, explanation.feature)
    for explanation in new:
        database.explanations.add(record.sae_hash, explanation)
    return len(new)


def check_feature(record: SAERecord, feature: int) -> None:
    """Raises ConfigError for a feature that the SAE has not."""
    if not 0 <= feature < record.features:
        raise ConfigError(
            f"'{record.name}' has no feature {feature}",
            f"it has features 0 to {record.features - 1}",
        )


def _identity(explanation: Explanation) -> tuple[object, ...]:
    # databases keep milliseconds
    created = round(explanation.created.timestamp() * 1000)
    return explanation.feature, explanation.text, explanation.author, created
