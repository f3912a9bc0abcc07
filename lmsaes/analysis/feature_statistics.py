"""What each feature does, in memory that grows with features alone.

segments of a batch ─► sums, histograms ─► candidates ─► a full buffer is pruned

Counters, histograms, each feature's strongest contexts and uniform samples of its contexts by
interval come out, with activations token by token: they are kept when a context comes by, so that
nothing is read or encoded twice. All of it is exact, and the same whatever the batches, their
order, or the number of processes whose statistics are merged.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from lmsaes.analysis.bins import BINS, NEVER, bins_of, exponents_of, interval_bins, merge_counts
from lmsaes.analysis.context_choice import Limits, bounds_of, choose, stable_order
from lmsaes.analysis.exact_sums import DIGITS, add_exactly, as_floats, carry
from lmsaes.analysis.sampling import context_hashes
from lmsaes.analysis.segments import Segments, join, position_type

INTERVALS = 5
"""Fifths of a feature's maximum."""
_TOP = 15  # 2^15 is half of float16's range
_LEAST_BUFFER = 1 << 18


@dataclass(frozen=True, slots=True)
class ContextSample:
    """Some of a feature's contexts, with its activations."""

    contexts: np.ndarray  # int64 [n], numbers in the cache
    activations: np.ndarray  # float32 [n, context_size], as float16 holds them
    available: int  # how many there are of which these were chosen


@dataclass(frozen=True, slots=True)
class Interval:
    """The contexts whose own maximum lies in (lower, upper]."""

    lower: float
    upper: float
    sample: ContextSample


@dataclass(frozen=True, slots=True)
class _Kept:
    """A feature's contexts from which samples are drawn."""

    contexts: np.ndarray  # int64 [n]
    peaks: np.ndarray  # float32 [n]
    by_hash: np.ndarray  # int64 [n], places in the order of the contexts' hashes
    activations: np.ndarray  # float32 [n, context_size]

    def sample(self, chosen: np.ndarray, available: int) -> ContextSample:
        return ContextSample(self.contexts[chosen], self.activations[chosen], available)


class FeatureStatistics:
    """Numbers, histograms and contexts of `features` features.

    top: strongest contexts kept, of equal ones the earlier first. per_interval: contexts sampled
    from each interval, and at random. seed: of the samples. buffer: candidates that wait before
    they are sorted in.
    """

    def __init__(
        self,
        features: int,
        context_size: int,
        top: int,
        per_interval: int = 10,
        seed: int = 0,
        buffer: int | None = None,
    ) -> None:
        self.features, self.context_size = features, context_size
        self.top, self.per_interval, self.seed = top, per_interval, seed
        self.firings = np.zeros(features, np.int64)
        self.maximum = np.zeros(features, np.float32)
        self._sums = np.zeros((features, DIGITS), np.int64)
        self._exponents = np.full(features, NEVER, np.int32)
        self._histogram = np.zeros((features, BINS), np.int64)  # of firings, by activation
        self._peaks = np.zeros((features, BINS), np.int64)  # of contexts, by their maximum
        self._limits = Limits.none(features)
        self._kept = _empty(context_size)
        self._bounds = np.zeros(features + 1, np.int64)  # of the features among the kept
        self._waiting: list[Segments] = []
        self._last: tuple[int, _Kept] | None = None  # the feature that was asked for
        self._buffer = max(_LEAST_BUFFER, 16 * features) if buffer is None else buffer

    def add(self, segments: Segments) -> None:
        """Takes a batch of contexts that were not taken before, as `segments_of` gives them."""
        if len(segments) == 0:
            return
        features = segments.features
        starts = np.flatnonzero(np.diff(features, prepend=-1))
        present = features[starts]
        firings = np.add.reduceat(segments.lengths, starts)
        highest = np.maximum.reduceat(segments.peaks, starts)
        self.firings[present] += firings
        self.maximum[present] = np.maximum(self.maximum[present], highest)
        self._grow(present, exponents_of(highest))
        add_exactly(self._sums, present, firings, segments.values)
        per_feature = np.diff(starts, append=len(features))
        ranges = self._exponents[present]
        _count(self._histogram, present, firings, segments.values, ranges)
        bins = _count(self._peaks, present, per_feature, segments.peaks, ranges)
        passed = self._limits.passed(features, segments.contexts, segments.peaks, bins, self.seed)
        self._waiting.append(_halved(segments.where(passed)))
        waiting = sum(map(len, self._waiting))
        if waiting >= max(self._buffer, len(self._kept) // 2):
            self.settle()

    def merge(self, other: FeatureStatistics) -> None:
        """Takes over what another process found in other contexts; `other` is used up."""
        everyone = np.arange(self.features)
        self._grow(everyone, other._exponents)
        other._grow(everyone, self._exponents)
        self.firings += other.firings
        np.maximum(self.maximum, other.maximum, out=self.maximum)
        other.settle()
        self._sums += other._sums
        self._histogram += other._histogram
        self._peaks += other._peaks
        self._waiting.append(other._kept)
        self.settle()

    def settle(self) -> None:
        """Sorts the waiting candidates in, and drops what can't be of use any more."""
        every = join([self._kept, *self._waiting])
        self._waiting = []
        order = stable_order((every.features.astype(np.int64) << 32) | every.contexts)
        keep = choose(
            every.features[order],
            every.contexts[order],
            every.peaks[order],
            self._exponents,
            self._limits,
            self.top,
            self.per_interval,
            self.seed,
        )
        self._kept = every.take(order[keep])
        self._last = None
        self._bounds = bounds_of(self._kept.features, self.features)
        carry(self._sums)

    # ── what was found; `settle` comes first ─────────────────────────────────────────────────

    @property
    def contexts(self) -> np.ndarray:
        """In how many contexts each feature fires, int64 [features]."""
        return self._peaks.sum(1)

    @property
    def means(self) -> np.ndarray:
        """Mean activation over the tokens a feature fires on, float64 [features]; 0 if none."""
        return as_floats(self._sums) / np.maximum(self.firings, 1)

    def histogram(self, feature: int) -> tuple[np.ndarray, float]:
        """(firings in equal bins of (0, end], end), without the empty bins above the maximum."""
        if self.firings[feature] == 0:
            return np.zeros(1, np.int64), 0.0
        counts = self._histogram[feature]
        used = int(np.flatnonzero(counts)[-1]) + 1
        return counts[:used], float(np.ldexp(used / BINS, self._exponents[feature]))

    def strongest(self, feature: int) -> ContextSample:
        """The contexts with the largest activations, strongest first."""
        own = self._own(feature)
        order = np.argsort(-own.peaks, kind="stable")[: self.top]
        return own.sample(order, int(self._peaks[feature].sum()))

    def random(self, feature: int) -> ContextSample:
        """A uniform sample of the contexts it fires in."""
        own = self._own(feature)
        return own.sample(own.by_hash[: self.per_interval], int(self._peaks[feature].sum()))

    def intervals(self, feature: int) -> list[Interval]:
        """Fifths of its maximum, weakest first, each with a uniform sample of its contexts.

        Borders are rounded to the histogram's bins. Empty for a feature that never fired.
        """
        if self.firings[feature] == 0:
            return []
        own, exponent = self._own(feature), self._exponents[feature]
        bins = bins_of(own.peaks, exponent)[own.by_hash]
        borders = interval_bins(self.maximum[[feature]], self._exponents[[feature]])[0].tolist()
        found: list[Interval] = []
        for first, stop in itertools.pairwise(borders):
            chosen = own.by_hash[(bins >= first) & (bins < stop)][: self.per_interval]
            count = int(self._peaks[feature, first:stop].sum())
            lower, upper = (float(np.ldexp(border / BINS, exponent)) for border in (first, stop))
            found.append(Interval(lower, upper, own.sample(chosen, count)))
        return found

    def state(self) -> dict[str, np.ndarray]:
        """Everything, as arrays by name; `restore` takes it up again."""
        self.settle()
        kept = self._kept
        return {
            "firings": self.firings,
            "maximum": self.maximum,
            "sums": self._sums,
            "exponents": self._exponents,
            "histogram": self._histogram,
            "peaks": self._peaks,
            "kept_features": kept.features,
            "kept_contexts": kept.contexts,
            "kept_peaks": kept.peaks,
            "kept_bounds": kept.bounds,
            "kept_positions": kept.positions,
            "kept_values": kept.values,
        }

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Becomes what `state` was of, for the same settings."""
        self.firings, self.maximum = state["firings"], state["maximum"]
        self._sums, self._exponents = state["sums"], state["exponents"]
        self._histogram, self._peaks = state["histogram"], state["peaks"]
        self._limits, self._waiting = Limits.none(self.features), []
        self._kept = Segments(
            features=state["kept_features"],
            contexts=state["kept_contexts"],
            peaks=state["kept_peaks"],
            bounds=state["kept_bounds"],
            positions=state["kept_positions"],
            values=state["kept_values"],
        )
        self.settle()

    def memory(self) -> int:
        """Bytes that it holds when nothing waits."""
        return sum(array.nbytes for array in self.state().values()) + self._limits.hash.nbytes

    def _grow(self, features: np.ndarray, needed: np.ndarray) -> None:
        """Doubles the features' ranges until exponents `needed` fit."""
        now = self._exponents[features]
        fresh = (now == NEVER) & (needed > NEVER)
        self._exponents[features[fresh]] = needed[fresh]
        while len(behind := features[needed > self._exponents[features]]):
            self._histogram[behind] = merge_counts(self._histogram[behind])
            self._peaks[behind] = merge_counts(self._peaks[behind])
            self._limits.widen(behind)
            self._exponents[behind] += 1

    def _own(self, feature: int) -> _Kept:
        if self._last is None or self._last[0] != feature:
            at = int(self._bounds[feature]), int(self._bounds[feature + 1])
            segments = self._kept.between(*at)
            self._last = feature, _kept_of(segments, self.context_size, self.seed)
        return self._last[1]


def _count(
    table: np.ndarray,
    present: np.ndarray,
    counts: np.ndarray,
    values: np.ndarray,
    exponents: np.ndarray,
) -> np.ndarray:
    """Counts values in the bins of the features they belong to; returns their bins."""
    bins = bins_of(values, np.repeat(exponents, counts))
    cells = np.repeat(np.arange(len(present)) * BINS, counts) + bins
    table[present] += np.bincount(cells, minlength=len(present) * BINS).reshape(-1, BINS)
    return bins


def _empty(context_size: int) -> Segments:
    return Segments(
        np.empty(0, np.int32),
        np.empty(0, np.uint32),
        np.empty(0, np.float32),
        np.zeros(1, np.int64),
        np.empty(0, position_type(context_size)),
        np.empty(0, np.float16),
    )


def _halved(segments: Segments) -> Segments:
    """Values as float16 in units of a power of two, by which the segment's peak comes to lie just
    below float16's end: a billion times smaller ones keep all of its digits.
    """
    scale = segments.per_entry(_TOP - exponents_of(segments.peaks))
    halves = np.ldexp(segments.values, scale).astype(np.float16)
    return segments.with_entries(segments.positions, halves)


def _kept_of(segments: Segments, context_size: int, seed: int) -> _Kept:
    lengths = segments.lengths
    scale = np.repeat(exponents_of(segments.peaks) - _TOP, lengths)
    activations = np.zeros((len(segments), context_size), np.float32)
    activations[np.repeat(np.arange(len(segments)), lengths), segments.positions] = np.ldexp(
        segments.values.astype(np.float32), scale
    )
    by_hash = np.argsort(context_hashes(segments.contexts, seed))
    contexts = segments.contexts.astype(np.int64)
    return _Kept(contexts, segments.peaks, by_hash, activations)
