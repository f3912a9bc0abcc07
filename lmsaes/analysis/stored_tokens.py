"""Features of each token, read back from an analysis in the database."""

from collections.abc import Mapping

import numpy as np

from lmsaes.analysis.token_pairs import BestOfTokens
from lmsaes.database import Database

_BATCH = 1000


def add_stored_tokens(
    database: Database, analysis: str, firing: BestOfTokens | None, promoting: BestOfTokens
) -> None:
    """Lets an analysis' features in among the best of each token."""
    vocabulary = len(promoting.worst)
    for first in range(0, vocabulary, _BATCH):
        found = database.tokens(analysis, range(first, min(first + _BATCH, vocabulary)))
        for best, table, score in ((firing, "fires", "sum"), (promoting, "promotes", "weight")):
            tables: Mapping[int, Mapping[str, np.ndarray]] = {
                token: getattr(record, table) for token, record in found.items()
            }
            if best is None or not tables:
                continue
            lengths = [len(each["feature"]) for each in tables.values()]
            best.add(
                np.repeat(np.array(list(tables), np.int32), lengths),
                np.concatenate([each["feature"] for each in tables.values()]),
                np.concatenate([each[score] for each in tables.values()]),
            )
