"""Which contexts a feature keeps: its strongest ones, and all that an interval's sample may need.

An interval is a fifth of the feature's *final* maximum, in whole bins (`bins.py`), and its sample
the n contexts of lowest hash in it. While the maximum still grows nobody knows the intervals. But
each will be at least six whole bins, and doubling the range makes any six bins part of one that
was at least as long. So a context that is not among the n of lowest hash in *some* six
consecutive bins around its own can't be in any sample, and may be dropped; what is kept is
bounded, and the samples are exact. Whatever order contexts come in, those that hold under the
last range are the same.
"""

from dataclasses import dataclass

import numpy as np
import torch

from lmsaes.analysis.bins import BINS, NEVER, bins_of
from lmsaes.analysis.sampling import context_hashes

_SHORTEST = 6  # bins in the shortest interval there can be
_WINDOWS = BINS - _SHORTEST + 1
_ALL = np.uint32(0xFFFFFFFF)
_AT_ONCE = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What a context must reach to be kept, per feature; they only get stricter."""

    peak: np.ndarray  # float32 [features]: the last of its strongest contexts
    context: np.ndarray  # uint32 [features]: that one's number, which wins ties against later ones
    hash: np.ndarray  # uint32 [features, BINS]: the highest hash still of use, by the peak's bin

    @staticmethod
    def none(features: int) -> "Limits":
        """Every context is kept."""
        return Limits(
            np.zeros(features, np.float32),
            np.full(features, _ALL),
            np.full((features, BINS), _ALL),
        )

    def passed(
        self,
        features: np.ndarray,
        contexts: np.ndarray,
        peaks: np.ndarray,
        bins: np.ndarray,
        seed: int,
    ) -> np.ndarray:
        """Which contexts may be kept, bool [n]."""
        worst = self.peak[features]
        strong = (peaks > worst) | ((peaks == worst) & (contexts <= self.context[features]))
        return strong | (context_hashes(contexts, seed) <= self.hash[features, bins])

    def widen(self, grown: np.ndarray) -> None:
        """Keeps the limits true for features, int64 ids, whose range has doubled."""
        former = self.hash[grown]
        self.hash[grown] = _ALL
        self.hash[grown, : BINS // 2] = np.maximum(former[:, ::2], former[:, 1::2])


def choose(
    features: np.ndarray,
    contexts: np.ndarray,
    peaks: np.ndarray,
    exponents: np.ndarray,
    limits: Limits,
    top: int,
    per_interval: int,
    seed: int,
) -> np.ndarray:
    """Which of the contexts are kept, bool [n]; the limits are brought up to date.

    features: int32 [n], ascending, and contexts ascending within a feature. exponents: int32
    [all features], the ranges of the bins.
    """
    keep = np.zeros(len(features), bool)
    step = max(1, _AT_ONCE * len(exponents) // max(len(features), 1))
    for first in range(0, len(exponents), step):
        block = slice(first, min(first + step, len(exponents)))
        at = slice(*np.searchsorted(features, [block.start, block.stop]))
        local = features[at] - np.int32(first)
        size = block.stop - block.start
        strongest = _strongest(local, contexts[at], peaks[at], size, top, block, limits)
        # a feature that never fired has no entries and no range
        ranges = np.where(exponents[block] == NEVER, 0, exponents[block])
        bins = bins_of(peaks[at], ranges[local])
        hashes = context_hashes(contexts[at], seed)
        limits.hash[block] = _hash_limits(local, hashes, bins, size, per_interval)
        keep[at] = strongest | (hashes <= limits.hash[block][local, bins])
    return keep


def ranks_within(groups: np.ndarray, size: int) -> np.ndarray:
    """The rank of each entry in its group, int64 [n], for `groups` that ascend from 0 to size."""
    counts = np.bincount(groups, minlength=size)
    starts = np.cumsum(counts) - counts
    return np.arange(len(groups)) - np.repeat(starts, counts)


def stable_order(keys: np.ndarray) -> np.ndarray:
    """`np.argsort(keys, kind="stable")` of integers, by torch's faster radix sort."""
    return torch.from_numpy(np.ascontiguousarray(keys)).sort(stable=True).indices.numpy()


def bounds_of(ids: np.ndarray, count: int) -> np.ndarray:
    """Where each id's entries begin among ascending `ids`, and the end, int64 [count + 1]."""
    bounds = np.zeros(count + 1, np.int64)
    np.cumsum(np.bincount(ids, minlength=count), out=bounds[1:])
    return bounds


def smallest(ids: np.ndarray, count: int) -> np.ndarray:
    """Ids below `count` in the type that is sorted fastest: two bytes where they fit."""
    return ids.astype(np.int16 if count <= 2**15 else np.int32, copy=False)


def by_score(groups: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The order by group, then by score, largest first; of equal ones the earlier stays first."""
    order = torch.from_numpy(-scores).sort(stable=True).indices.numpy()
    return order[stable_order(groups[order])]


def _strongest(
    local: np.ndarray,
    contexts: np.ndarray,
    peaks: np.ndarray,
    size: int,
    top: int,
    block: slice,
    limits: Limits,
) -> np.ndarray:
    """Whether each context is one of its feature's `top` largest peaks, the earlier of equals."""
    # the bits of positive floats are in the floats' order
    order = stable_order(-peaks.view(np.int32))
    order = order[stable_order(local[order])]
    ranks = ranks_within(local[order], size)
    chosen = np.zeros(len(local), bool)
    chosen[order[ranks < top]] = True
    last = order[ranks == top - 1]
    limits.peak[block][local[last]] = peaks[last]
    limits.context[block][local[last]] = contexts[last]
    return chosen


def _hash_limits(
    local: np.ndarray, hashes: np.ndarray, bins: np.ndarray, size: int, count: int
) -> np.ndarray:
    """The highest hash that is of use in each bin, uint32 [size, BINS]: the count-th lowest of
    some window of bins around it, the largest of these; all hashes where one holds fewer.
    """
    order = stable_order((local.astype(np.int64) << 32) | hashes)
    windows = bins[order][:, None] - np.arange(_SHORTEST)
    cells = local[order][:, None].astype(np.int32) * np.int32(_WINDOWS) + windows.astype(np.int32)
    inside = (windows >= 0) & (windows < _WINDOWS)
    flat = cells[inside]
    of = np.broadcast_to(hashes[order][:, None], windows.shape)[inside]
    sorted_order = stable_order(flat)
    ranks = ranks_within(flat[sorted_order], size * _WINDOWS)
    last = sorted_order[ranks == count - 1]
    nth = np.full(size * _WINDOWS, _ALL)
    nth[flat[last]] = of[last]
    nth = nth.reshape(size, _WINDOWS)
    limit = np.zeros((size, BINS), np.uint32)
    for offset in range(_SHORTEST):
        around = limit[:, offset : offset + _WINDOWS]
        np.maximum(around, nth, out=around)
    return limit
