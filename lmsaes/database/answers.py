"""What language models were asked, and what they answered, so that nobody asks twice.

answers    one document for each question, under a hash of the endpoint, the model, and all it was
           sent

They belong to no SAE and to no analysis: two that ask the same share the answer.
"""

from collections.abc import Sequence
from typing import Any

from lmsaes.database.connection import Connection

COLLECTION = "answers"


class Answers:
    """The answers in a database, by key."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, keys: Sequence[str]) -> dict[str, str]:
        """Those that are there."""
        found = self._connection.fetch(COLLECTION, keys)
        return {key: document["answer"] for key, document in found.items()}

    def keep(self, key: str, asked: dict[str, Any], answer: str) -> None:
        """Adds one; one that is there already stays."""
        self._connection.insert(COLLECTION, [{"_id": key, "asked": asked, "answer": answer}])
