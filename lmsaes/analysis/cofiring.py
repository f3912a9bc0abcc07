"""Which features fire together: exact counts on the sampled rows.

    Jaccard(i, j) = n_ij / (n_i + n_j − n_ij)
    PMI(i, j)     = ln(n_ij · N / (n_i · n_j))          pointwise mutual information (Church 1990)

n counts the rows on which one or both fire, N all valid rows. The relative error of a count n is
about 1/√n: partners that share fewer than eight rows are left out, and Jaccard ranks by the lower
end of its Wilson interval (1927), so that rare pairs that met by chance don't come first.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lmsaes.analysis.context_choice import ranks_within, stable_order
from lmsaes.analysis.sampled_rows import FeaturesOfRows, SampledRows

LEAST_JOINT = 8
_INCREMENTS = 1 << 23
_DENSE_CELLS = 1 << 24
_DENSE_FEATURES = 1 << 15  # above, most cells of the table of all pairs would stay empty
_Z = 1.96


@dataclass(frozen=True, slots=True)
class JointCounts:
    """On how many rows features `first` to `stop` of one SAE fire beside features of another."""

    first: int
    stop: int
    features: np.ndarray  # int64 [pairs], ascending
    partners: np.ndarray  # int64 [pairs], ascending within a feature
    counts: np.ndarray  # int64 [pairs], above 0


@dataclass(frozen=True, slots=True)
class Partners:
    """Features that fire together with one feature."""

    features: np.ndarray  # int32 [n]
    jaccard: np.ndarray  # float32 [n]
    pmi: np.ndarray  # float32 [n], in nats
    joint: np.ndarray  # int32 [n]: rows on which both fire


def joint_counts(sample: SampledRows, others: FeaturesOfRows, width: int) -> Iterator[JointCounts]:
    """Counts of pairs, by ranges of the sample's features.

    others: what fires on the same rows, of an SAE with `width` features; it may be the same one.
    """
    # rows in the sample have about as many firings as `others` has on average
    rows_at_once = max(1, _INCREMENTS * len(others.places) // max(len(others.features), 1))
    widest = max(1, _DENSE_CELLS // width)
    first = 0
    while first < sample.features:
        stop = int(np.searchsorted(sample.bounds, sample.bounds[first] + rows_at_once, "right")) - 1
        stop = min(max(stop, first + 1), first + widest, sample.features)
        places = sample.places[sample.bounds[first] : sample.bounds[stop]]
        own = np.repeat(np.arange(stop - first), np.diff(sample.bounds[first : stop + 1]))
        index, partner = others.pairs_with(places)
        keys = own[index] * width + partner
        if width <= _DENSE_FEATURES:
            table = np.bincount(keys, minlength=(stop - first) * width)
            cells = np.flatnonzero(table)
            counts = table[cells]
        else:
            ordered = keys[stable_order(keys)]
            starts = np.flatnonzero(np.diff(ordered, prepend=-1))
            cells, counts = ordered[starts], np.diff(starts, append=len(ordered))
        features, partners = np.divmod(cells, width)
        yield JointCounts(first, stop, features + first, partners, counts)
        first = stop


def partners(
    found: JointCounts, firings: np.ndarray, rows: int, count: int, by: str = "jaccard"
) -> list[Partners]:
    """Of each feature of a range the `count` partners of largest Jaccard or PMI; itself left out.

    firings: of each feature, int64 [features]. rows: valid rows in the sample.
    """
    enough = (found.counts >= LEAST_JOINT) & (found.features != found.partners)
    features, others = found.features[enough], found.partners[enough]
    joint = found.counts[enough]
    n_i, n_j = firings[features], firings[others]
    union = n_i + n_j - joint
    pmi = np.log(joint / n_i * (rows / n_j))
    score = pmi if by == "pmi" else wilson_lower(joint, union)
    order = np.lexsort((others, -score, features))
    size = found.stop - found.first
    order = order[ranks_within(features[order] - found.first, size) < count]
    bounds = np.searchsorted(features[order], np.arange(found.first, found.stop + 1))
    found_of: list[Partners] = []
    for start, end in itertools.pairwise(bounds):
        at = order[start:end]
        found_of.append(
            Partners(
                others[at].astype(np.int32),
                (joint[at] / union[at]).astype(np.float32),
                pmi[at].astype(np.float32),
                joint[at].astype(np.int32),
            )
        )
    return found_of


def partners_of_others(
    found: JointCounts, firings: np.ndarray, other_firings: np.ndarray, count: int
) -> np.ndarray:
    """Pairs of features of two SAEs: the `count` of largest Jaccard of each feature of the first,
    int64 [pairs, 2]. firings, other_firings: of all features of either.
    """
    union = firings[found.features] + other_firings[found.partners] - found.counts
    order = np.lexsort((found.partners, -wilson_lower(found.counts, union), found.features))
    ranks = ranks_within(found.features[order] - found.first, found.stop - found.first)
    chosen = order[ranks < count]
    return np.stack([found.features[chosen], found.partners[chosen]], 1)


def wilson_lower(hits: np.ndarray, trials: np.ndarray) -> np.ndarray:
    """The lower end of the 95 % interval of a share (Wilson 1927), float64."""
    share, z2 = hits / trials, _Z**2
    middle = share + z2 / (2 * trials)
    spread = _Z * np.sqrt(share * (1 - share) / trials + z2 / (4 * trials**2))
    return (middle - spread) / (1 + z2 / trials)
