"""What the database knows of an SAE's features, for ranking those of a text."""

from collections.abc import Sequence

import numpy as np

from lmsaes.database import Database, SAERecord


class DatabaseFeatures:
    """An SAE's analysis as `rank_features` asks for it."""

    def __init__(self, database: Database, record: SAERecord) -> None:
        self._database, self._record = database, record
        self._columns = database.columns(record.analysis, ("maximum", "density"))

    def maxima(self, features: Sequence[int]) -> np.ndarray:
        """The largest activation of each, [n]; NaN for those that were not analyzed."""
        return self._column("maximum", features)

    def densities(self, features: Sequence[int]) -> np.ndarray:
        """The share of tokens on which each fired, [n]."""
        return self._column("density", features)

    def at_least(self, features: Sequence[int], activations: Sequence[float]) -> np.ndarray:
        """The share of tokens on which each was at least so strong, to a bin of its histogram.

        The whole bin counts; what was never so strong counts as one token.
        """
        found = self._database.features(self._record.analysis, list(features))
        tokens = max(self._record.tokens_analyzed, 1)
        shares = np.full(len(features), np.nan)
        for place, (feature, activation) in enumerate(zip(features, activations, strict=True)):
            if (record := found.get(feature)) is None:
                continue
            bins = len(record.histogram)
            first = 0
            if record.histogram_max > 0:
                # bins are (lower, upper]
                first = int(np.ceil(activation / record.histogram_max * bins - 1e-9)) - 1
            count = int(record.histogram[max(first, 0) :].sum())
            shares[place] = max(count, 1) / tokens
        return shares

    def _column(self, name: str, features: Sequence[int]) -> np.ndarray:
        start, stop = self._record.feature_range
        wanted = np.asarray(features, dtype=np.int64)
        values = np.full(len(wanted), np.nan)
        there = (wanted >= start) & (wanted < stop)
        if name in self._columns:
            values[there] = self._columns[name][wanted[there] - start]
        return values
