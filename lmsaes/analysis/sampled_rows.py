"""All firings of an SAE on a sample of rows: what co-firing and twins are counted on.

The rows are those of the reference contexts of lowest hash, so SAEs of one cache share them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lmsaes.analysis.context_choice import smallest, stable_order
from lmsaes.analysis.reference_contexts import ReferenceContexts
from lmsaes.analysis.segments import Segments
from lmsaes.database import RowsRecord

_FIRINGS_PER_DOCUMENT = 1 << 20


@dataclass(frozen=True, slots=True)
class SampledRows:
    """Firings by feature: those of f are at `bounds[f]` to `bounds[f + 1]`, by row."""

    rows: int  # valid rows in the sample
    bounds: np.ndarray  # int64 [features + 1]
    places: np.ndarray  # int32 [firings]: number among the sampled contexts · size + position
    values: np.ndarray  # float16 [firings], in units of the feature's scale
    scales: np.ndarray  # float32 [features]: powers of two

    @property
    def features(self) -> int:
        return len(self.bounds) - 1

    @property
    def firings(self) -> np.ndarray:
        """Rows on which each feature fires, int64 [features]."""
        return np.diff(self.bounds)

    def feature_ids(self) -> np.ndarray:
        """The feature of each firing, int32."""
        return np.repeat(np.arange(self.features, dtype=np.int32), self.firings)

    def activations(self) -> np.ndarray:
        """The activation of each firing, float32."""
        return self.values * np.repeat(self.scales, self.firings)

    def by_row(self) -> FeaturesOfRows:
        """The same firings, by row."""
        order = stable_order(self.places)
        places = self.places[order]
        starts = np.flatnonzero(np.diff(places, prepend=-1))
        return FeaturesOfRows(
            places[starts], np.append(starts, len(places)), self.feature_ids()[order]
        )


@dataclass(frozen=True, slots=True)
class FeaturesOfRows:
    """Which features fire on each row: those of row r at `bounds[r]` to `bounds[r + 1]`."""

    places: np.ndarray  # int32 [rows], of rows with a firing, ascending
    bounds: np.ndarray  # int64 [rows + 1]
    features: np.ndarray  # int32 [firings], ascending in a row


class RowSampler:
    """Gathers an SAE's firings on the rows of the first `contexts` reference contexts."""

    def __init__(self, reference: ReferenceContexts, contexts: int, features: int) -> None:
        self.reference, self.contexts, self.features = reference, contexts, features
        self._ascending = np.sort(reference.ids[:contexts])
        self._parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def add(self, segments: Segments) -> None:
        """Takes a batch of contexts that were not taken before."""
        ranks = self.reference.ranks_of(segments)
        inside = (ranks >= 0) & (ranks < self.contexts)
        if not inside.any():
            return
        own = segments if inside.all() else segments.where(inside)
        numbers = np.searchsorted(self._ascending, self.reference.ids[ranks[inside]])
        first = numbers * self.reference.context_size
        places = own.per_entry(first.astype(np.int32)) + own.positions.astype(np.int32)
        self.take_over(own.per_entry(own.features), places, own.values)

    def take_over(self, features: np.ndarray, places: np.ndarray, values: np.ndarray) -> None:
        """Adds firings: what `firings` gave in another process or before a break."""
        self._parts.append((features, places, values))

    def firings(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(features int32, places int32, activations float32), by feature, then by place."""
        empty = (np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.float32))
        features, places, values = (
            np.concatenate(parts) for parts in zip(empty, *self._parts, strict=True)
        )
        by_feature = smallest(features, self.features)
        ends = [(own.min(), own.max()) for _, own, _ in self._parts if len(own)]
        if all(stop < start for (_, stop), (start, _) in itertools.pairwise(ends)):
            order = stable_order(by_feature)  # a feature's places ascend already
        else:
            order = stable_order(places)
            order = order[stable_order(by_feature[order])]
        self._parts = [(features[order], places[order], values[order])]
        return self._parts[0]

    def finish(self, maximum: np.ndarray) -> SampledRows:
        """The sample, when all contexts have been taken. maximum: [features], of activations."""
        features, places, values = self.firings()
        exponents = np.maximum(np.frexp(maximum)[1] - 15, -126)  # the maximum fits, with room
        scales = np.ldexp(np.float32(1), exponents).astype(np.float32)
        valid = (self.reference.tokens[: self.contexts] >= 0).sum()
        bounds = np.searchsorted(features, np.arange(self.features + 1))
        halves = (values / scales[features]).astype(np.float16)
        return SampledRows(int(valid), bounds, places, halves, scales)


def rows_records(rows: SampledRows) -> Iterator[RowsRecord]:
    """The sampled rows in parts, as they are stored."""
    first = 0
    while first < rows.features:
        end = rows.bounds[first] + _FIRINGS_PER_DOCUMENT
        stop = max(int(np.searchsorted(rows.bounds, end, side="right")) - 1, first + 1)
        at = slice(rows.bounds[first], rows.bounds[stop])
        yield RowsRecord(
            first,
            rows.rows,
            np.diff(rows.bounds[first : stop + 1]).astype(np.int32),
            rows.scales[first:stop],
            rows.places[at],
            rows.values[at],
        )
        first = stop


def rows_of(records: Sequence[RowsRecord]) -> SampledRows | None:
    """The sampled rows of such parts; None where there are none."""
    if not records:
        return None
    counts = np.concatenate([record.counts for record in records])
    return SampledRows(
        records[0].rows,
        np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]),
        np.concatenate([record.places for record in records]),
        np.concatenate([record.values for record in records]),
        np.concatenate([record.scales for record in records]),
    )
