"""Which features fire together: exact counts on the sampled rows.

    Jaccard(i, j) = n_ij / (n_i + n_j − n_ij)
    PMI(i, j)     = ln(n_ij · N / (n_i · n_j))          pointwise mutual information (Church 1990)

n counts the rows on which one or both fire, N all valid rows. The relative error of a count n is
about 1/√n: partners that share fewer than eight rows are left out, and Jaccard ranks by the lower
end of its Wilson interval (1927), so that rare pairs that met by chance don't come first.
"""

import itertools
from dataclasses import dataclass

import numpy as np
import torch

from lmsaes.analysis.context_choice import by_score, ranks_within
from lmsaes.analysis.pair_counts import JointCounts

LEAST_JOINT = 8
_CROWDED = 8  # more than one of so many cells hold a pair
_Z = 1.96


@dataclass(frozen=True, slots=True)
class Partners:
    """Features that fire together with one feature."""

    features: np.ndarray  # int32 [n]
    jaccard: np.ndarray  # float32 [n]
    pmi: np.ndarray  # float32 [n], in nats
    joint: np.ndarray  # int32 [n]: rows on which both fire


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
    size = found.stop - found.first
    near = _near_the_best(features - found.first, others, score, (size, len(firings)), count)
    order = near[by_score(features[near], score[near])]
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


def _near_the_best(
    features: np.ndarray,
    others: np.ndarray,
    score: np.ndarray,
    shape: tuple[int, int],
    count: int,
) -> np.ndarray:
    """Those of the pairs that may be among the `count` best of their feature, so that these few
    are sorted; all where a table of this shape would be nearly empty.
    """
    if len(score) * _CROWDED < shape[0] * shape[1]:
        return np.arange(len(score))
    table = np.full(shape, -np.inf)
    table[features, others] = score
    best = torch.from_numpy(table).topk(min(count, shape[1]), dim=1).values
    return np.flatnonzero(score >= best[:, -1].numpy()[features])


def partners_of_others(
    found: JointCounts, firings: np.ndarray, other_firings: np.ndarray, count: int
) -> np.ndarray:
    """Pairs of features of two SAEs: the `count` of largest Jaccard of each feature of the first,
    int64 [pairs, 2]. firings, other_firings: of all features of either.
    """
    union = firings[found.features] + other_firings[found.partners] - found.counts
    order = by_score(found.features, wilson_lower(found.counts, union))
    ranks = ranks_within(found.features[order] - found.first, found.stop - found.first)
    chosen = order[ranks < count]
    return np.stack([found.features[chosen], found.partners[chosen]], 1)


def wilson_lower(hits: np.ndarray, trials: np.ndarray) -> np.ndarray:
    """The lower end of the 95 % interval of a share (Wilson 1927), float64."""
    share, z2 = hits / trials, _Z**2
    middle = share + z2 / (2 * trials)
    spread = _Z * np.sqrt(share * (1 - share) / trials + z2 / (4 * trials**2))
    return (middle - spread) / (1 + z2 / trials)
