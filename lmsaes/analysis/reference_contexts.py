"""A uniform sample of contexts that is fixed before the pass, so that what is *not* in them counts.

Of each feature it is kept in which of them it fires. Afterwards they yield contexts in which it is
silent, and such that hold a token which it often fires on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lmsaes.analysis.context_choice import bounds_of, smallest, stable_order
from lmsaes.analysis.sampling import lowest_contexts
from lmsaes.analysis.segments import Segments
from lmsaes.cache import ActivationCache

_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class SilentContexts:
    """Contexts without the feature."""

    contexts: np.ndarray  # int64 [n], numbers in the cache
    positions: np.ndarray  # int64 [n]: of the token that it often fires on, else 0
    available: int  # how many there are of which these were chosen


class ReferenceContexts:
    """The contexts of the sample, by rank: that of lowest hash is 0."""

    def __init__(self, contexts: int, context_size: int, count: int, seed: int) -> None:
        """Draws `count` of a cache's `contexts` contexts; all of them where there are no more."""
        self.ids = lowest_contexts(contexts, count, seed)
        self.context_size = context_size
        self._ascending = np.sort(self.ids)
        self._rank = np.argsort(self.ids)
        self.tokens = np.full((len(self.ids), context_size), -1, np.int32)  # valid ones only

    def __len__(self) -> int:
        return len(self.ids)

    def ranks(self, contexts: np.ndarray) -> np.ndarray:
        """The rank of each context, int64; −1 of one that isn't in the sample."""
        place = np.searchsorted(self._ascending, contexts)
        place[place == len(self.ids)] = 0
        found = self._ascending[place] == contexts
        return np.where(found, self._rank[place], -1)

    def ranks_of(self, segments: Segments) -> np.ndarray:
        """The same of each segment's context; those of a batch are few and close together."""
        contexts = segments.contexts.astype(np.int64)
        first = int(contexts.min(initial=2**32))
        stop = int(contexts.max(initial=first - 1)) + 1
        if stop - first > len(contexts):
            return self.ranks(contexts)
        return self.ranks(np.arange(first, stop))[contexts - first]

    def see(self, first: int, tokens: np.ndarray, valid: np.ndarray) -> None:
        """Keeps the tokens of those of the contexts from `first` on that are in the sample.

        tokens, valid: [contexts, context_size].
        """
        ranks = self.ranks(np.arange(first, first + len(tokens)))
        inside = ranks >= 0
        self.tokens[ranks[inside]] = np.where(valid[inside], tokens[inside], -1)

    def read(self, cache: ActivationCache) -> None:
        """Keeps the tokens of all of its contexts."""
        for first in range(0, cache.contexts, _AT_ONCE):
            stop = min(first + _AT_ONCE, cache.contexts)
            if np.searchsorted(self._ascending, first) < np.searchsorted(self._ascending, stop):
                tokens = cache.tokens(first, stop)
                self.see(first, tokens.numpy(), cache.valid_positions(tokens).numpy())

    def index(self) -> TokenIndex:
        """Where each token stands in the sample."""
        return TokenIndex(self.tokens)


class TokenIndex:
    """For each token the ranks of the contexts that hold it at a valid position, ascending."""

    def __init__(self, tokens: np.ndarray) -> None:
        """tokens: int32 [contexts, context_size], −1 where nothing counts."""
        flat = tokens.reshape(-1)
        places = np.flatnonzero(flat >= 0)
        places = places[stable_order(flat[places])]
        ranks, own = places // tokens.shape[1], flat[places]
        # of several places in one context the first
        first = (np.diff(own, prepend=-1) != 0) | (np.diff(ranks, prepend=-1) != 0)
        self._bounds = bounds_of(own[first], int(own.max(initial=0)) + 1)
        self._ranks = ranks[first]
        self._positions = places[first] % tokens.shape[1]

    def holding(self, token: int) -> tuple[np.ndarray, np.ndarray]:
        """(ranks, first positions) of the contexts that hold it, int64."""
        if token + 1 >= len(self._bounds):
            return self._ranks[:0], self._positions[:0]
        at = slice(*self._bounds[token : token + 2])
        return self._ranks[at], self._positions[at]


class FiringContexts:
    """In which contexts of the sample each feature of an SAE fires."""

    def __init__(self, reference: ReferenceContexts, features: int) -> None:
        self.reference = reference
        self._features: list[np.ndarray] = []
        self._ranks: list[np.ndarray] = []
        self._bounds = np.zeros(features + 1, np.int64)

    def add(self, segments: Segments) -> None:
        """Takes a batch of contexts that were not taken before."""
        ranks = self.reference.ranks_of(segments)
        inside = ranks >= 0
        self._features.append(segments.features[inside])
        self._ranks.append(ranks[inside].astype(np.int32))

    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """(features, ranks) of every firing context, ascending by feature, then by rank."""
        features = np.concatenate([np.empty(0, np.int32), *self._features])
        ranks = np.concatenate([np.empty(0, np.int32), *self._ranks])
        order = stable_order(smallest(ranks, len(self.reference)))
        order = order[stable_order(smallest(features[order], len(self._bounds)))]
        self._features, self._ranks = [features[order]], [ranks[order]]
        return self._features[0], self._ranks[0]

    def take_over(self, features: np.ndarray, ranks: np.ndarray) -> None:
        """Adds what `pairs` gave, in another process or before a break."""
        self._features.append(features)
        self._ranks.append(ranks)

    def settle(self) -> None:
        """To be called when all contexts have been taken."""
        self._bounds = np.searchsorted(self.pairs()[0], np.arange(len(self._bounds)))

    def silent(self, feature: int, contexts: int, count: int) -> SilentContexts:
        """A uniform sample of `count` of the contexts in which it fires nowhere.

        contexts: how many of the whole cache's there are. The sample holds fewer where the
        reference contexts do.
        """
        chosen = np.flatnonzero(~self._fires(feature))[:count]
        return SilentContexts(self.reference.ids[chosen], np.zeros(len(chosen), np.int64), contexts)

    def same_token(
        self, feature: int, tokens: np.ndarray, index: TokenIndex, count: int
    ) -> SilentContexts:
        """A uniform sample of `count` of the reference contexts that hold one of `tokens`, and in
        which it fires nowhere. The position is the first of the token that stands first in
        `tokens`.
        """
        position = np.full(len(self.reference), -1)
        for token in tokens[::-1].tolist():
            ranks, positions = index.holding(token)
            position[ranks] = positions
        position[self._fires(feature)] = -1
        found = np.flatnonzero(position >= 0)
        chosen = found[:count]
        return SilentContexts(self.reference.ids[chosen], position[chosen], len(found))

    def _fires(self, feature: int) -> np.ndarray:
        own = self._ranks[0][self._bounds[feature] : self._bounds[feature + 1]]
        fires = np.zeros(len(self.reference), bool)
        fires[own] = True
        return fires
