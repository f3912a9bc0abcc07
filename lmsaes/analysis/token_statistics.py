"""Which tokens a feature fires on and which stand before them, with how usual that would be.

Exact counts over the contexts that are looked at: all of a cache of up to `--token-rows` tokens,
of a larger one those of lowest hash (`sampling.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lmsaes.analysis.segments import Segments
from lmsaes.analysis.token_pairs import BUFFER, BestOfTokens, Pairs, TokenPairs

_FIRES_ON, _BEFORE, _PER_TOKEN = 32, 16, 32


@dataclass(frozen=True, slots=True)
class FiresOn:
    """The tokens that a feature's activation is largest on, summed over their occurrences."""

    tokens: np.ndarray  # int32 [n], largest sum first
    counts: np.ndarray  # int64 [n], firings on the token
    means: np.ndarray  # float32 [n], activation when it fires on the token
    share_of_firings: np.ndarray  # float32 [n]
    share_of_token: np.ndarray  # float32 [n], of the token's valid occurrences


@dataclass(frozen=True, slots=True)
class PrecededBy:
    """The tokens before a feature's firings that tell most."""

    tokens: np.ndarray  # int32 [n], largest share · ln(lift) first
    counts: np.ndarray  # int64 [n]
    shares: np.ndarray  # float32 [n], of the feature's firings
    lifts: np.ndarray  # float32 [n], share over the share among all valid positions


class Occurrences:
    """How often each token stands at a valid position, and before one, in the contexts seen."""

    def __init__(self) -> None:
        self.own, self.before = (np.zeros(0, np.int64) for _ in range(2))

    def add(self, tokens: np.ndarray, valid: np.ndarray) -> None:
        """Counts whole contexts: token ids and which positions are valid, [n, context_size].

        A context's first position is never valid.
        """
        self.merge(
            np.bincount(tokens[valid].reshape(-1)),
            np.bincount(tokens[:, :-1][valid[:, 1:]].reshape(-1)),
        )

    def merge(self, own: np.ndarray, before: np.ndarray) -> None:
        """Adds counts by token id, int64."""
        self.own, self.before = _added(self.own, own), _added(self.before, before)


class TokenStatistics:
    """The tokens of one SAE's features."""

    def __init__(
        self, folder: Path, features: int, part: str = "all", buffer: int = BUFFER
    ) -> None:
        """folder: where runs of counts lie until the analysis is stored.

        part: what their files' names begin with. buffer: firings that make a run.
        """
        self.fires_on = TokenPairs(folder, f"{part}-fires-on", features, buffer)
        self.before = TokenPairs(folder, f"{part}-before", features, buffer)

    def add(self, segments: Segments, tokens: np.ndarray, first: int) -> None:
        """Counts a batch's firings, whose token ids are [contexts, context_size] from context
        `first` on.
        """
        features = segments.per_entry(segments.features)
        starts = (segments.contexts.astype(np.int64) - first) * tokens.shape[1]
        places = segments.per_entry(starts) + segments.positions
        own = tokens.reshape(-1).astype(np.int32)
        self.fires_on.add(features, own.take(places), segments.values)
        self.before.add(features, own.take(places - 1))

    def write(self) -> None:
        """Puts what is in memory on the disk."""
        self.fires_on.write()
        self.before.write()


def fires_on(pairs: Pairs, occurrences: Occurrences, count: int = _FIRES_ON) -> list[FiresOn]:
    """Of each feature of a range, the `count` tokens of the largest summed activation."""
    firings = np.bincount(pairs.features - pairs.first, pairs.counts, pairs.stop - pairs.first)
    best = pairs.best(pairs.summed, count)
    found: list[FiresOn] = []
    for feature in range(pairs.first, pairs.stop):
        at = best.of(feature)
        tokens, counts = best.tokens[at], best.counts[at]
        found.append(
            FiresOn(
                tokens,
                counts,
                (best.summed[at] / counts).astype(np.float32),
                (counts / max(firings[feature - pairs.first], 1)).astype(np.float32),
                (counts / np.maximum(occurrences.own[tokens], 1)).astype(np.float32),
            )
        )
    return found


def preceded_by(pairs: Pairs, occurrences: Occurrences, count: int = _BEFORE) -> list[PrecededBy]:
    """Of each feature of a range, the `count` tokens before it that tell most.

    That is those with the largest terms of the relative entropy (Kullback and Leibler 1951) of
    what stands before its firings from what stands before all tokens: share · ln(lift), above 0.
    """
    size = pairs.stop - pairs.first
    firings = np.bincount(pairs.features - pairs.first, pairs.counts, size)
    usual = occurrences.before / max(occurrences.before.sum(), 1)
    shares = pairs.counts / firings[pairs.features - pairs.first]
    lifts = shares / usual[pairs.tokens]
    scores = shares * np.log(lifts)
    best = pairs.best(scores, count)
    at_feature = best.features - pairs.first
    shares = best.counts / firings[at_feature]
    lifts = shares / usual[best.tokens]
    found: list[PrecededBy] = []
    for feature in range(pairs.first, pairs.stop):
        at = best.of(feature)
        telling = slice(at.start, at.start + int((lifts[at] > 1).sum()))  # they come first
        found.append(
            PrecededBy(
                best.tokens[telling],
                best.counts[telling],
                shares[telling].astype(np.float32),
                lifts[telling].astype(np.float32),
            )
        )
    return found


def firing_features(vocabulary: int) -> BestOfTokens:
    """To be filled with every range's pairs: the features that fire most on each token."""
    return BestOfTokens(vocabulary, _PER_TOKEN)


def _added(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    longer, shorter = (one, two) if len(one) >= len(two) else (two, one)
    total = longer.astype(np.int64)
    total[: len(shorter)] += shorter
    return total
