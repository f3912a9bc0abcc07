"""The same feature in another SAE: its direction is the same, and it fires on the same rows.

    score(i, j) = min(cosine(d_i, d_j), correlation(a_i, a_j)), at least 0

d are decoder rows, a activations on the sampled rows, zeros included. A feature's twin is the j of
largest score. Candidates are the eight nearest by cosine and the eight by co-firing, from either
side; for them the correlation is exact. A feature that training with another seed finds again has
a twin with a score near 1 (stability over seeds; Paulo and Belrose 2025, arXiv 2501.16615).
"""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from lmsaes.analysis.cofiring import partners_of_others
from lmsaes.analysis.neighbors import nearest, unit_rows
from lmsaes.analysis.pair_counts import joint_counts
from lmsaes.analysis.sampled_rows import SampledRows

_CANDIDATES = 8
_PAIRS = 1 << 16


@dataclass(frozen=True, slots=True)
class Twins:
    """The best match of each of an SAE's features in another SAE; arrays [features]."""

    features: np.ndarray  # int32: the twin, −1 where no candidate's score is above 0
    cosines: np.ndarray  # float32
    correlations: np.ndarray  # float32
    scores: np.ndarray  # float32; 0 without a twin
    mutual: np.ndarray  # bool: the twin's twin is the feature itself


def find_twins(
    a: SampledRows, b: SampledRows, decoder_a: Tensor, decoder_b: Tensor
) -> tuple[Twins, Twins]:
    """The twins of a's features in b, and of b's features in a.

    The samples are of the same rows, the decoders [features, d] of the same hooks.
    """
    from_a = _candidates(a, b, decoder_a, decoder_b)
    from_b = _candidates(b, a, decoder_b, decoder_a)[:, ::-1]
    pairs = np.unique(np.concatenate([from_a, from_b]), axis=0)
    i, j = pairs[:, 0], pairs[:, 1]
    cosines = _cosines(decoder_a, decoder_b, i, j)
    correlations = correlate(a, b, i, j)
    scores = np.maximum(np.minimum(cosines, correlations), 0)
    best_a, best_b = _best(i, scores, a.features), _best(j, scores, b.features)
    return (
        _twins(best_a, j, best_b, cosines, correlations, scores),
        _twins(best_b, i, best_a, cosines, correlations, scores),
    )


def correlate(a: SampledRows, b: SampledRows, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Pearson correlation of activations of features i of a and j of b, float64 [pairs].

    i ascends. 0 where one of them does not vary.
    """
    rows = max(a.rows, 1)
    values_a, values_b = (s.activations().astype(np.float64) for s in (a, b))
    mean_a, spread_a = _moments(a, values_a, rows)
    mean_b, spread_b = _moments(b, values_b, rows)
    own = np.zeros(int(max(a.places.max(initial=-1), b.places.max(initial=-1))) + 1)
    products = np.zeros(len(i))
    starts = np.flatnonzero(np.diff(i, prepend=-1))
    for start, end in zip(starts, np.append(starts[1:], len(i)), strict=True):
        at = slice(a.bounds[i[start]], a.bounds[i[start] + 1])
        own[a.places[at]] = values_a[at]
        for pair in range(start, end):
            other = slice(b.bounds[j[pair]], b.bounds[j[pair] + 1])
            products[pair] = own[b.places[other]] @ values_b[other]
        own[a.places[at]] = 0
    spread = spread_a[i] * spread_b[j]
    return np.divide(
        products / rows - mean_a[i] * mean_b[j], spread, out=np.zeros(len(i)), where=spread > 0
    )


def _moments(sample: SampledRows, values: np.ndarray, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each feature over all rows."""
    features, size = sample.feature_ids(), sample.features
    mean = np.bincount(features, values, size) / rows
    square = np.bincount(features, values**2, size) / rows
    return mean, np.sqrt(np.maximum(square - mean**2, 0))


def _candidates(a: SampledRows, b: SampledRows, decoder_a: Tensor, decoder_b: Tensor) -> np.ndarray:
    """Pairs (feature of a, feature of b) worth a look, int64 [pairs, 2]."""
    ids = nearest(decoder_a, decoder_b, _CANDIDATES, same=False)[0].cpu().numpy()
    by_cosine = np.stack([np.repeat(np.arange(len(ids)), ids.shape[1]), ids.reshape(-1)], 1)
    rows = b.by_row()
    by_firing = [
        partners_of_others(found, a.firings, b.firings, _CANDIDATES)
        for found in joint_counts(a, rows, b.features)
    ]
    return np.concatenate([by_cosine, *by_firing])


def _cosines(decoder_a: Tensor, decoder_b: Tensor, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    a, b = unit_rows(decoder_a), unit_rows(decoder_b)
    blocks = range(0, len(i), _PAIRS)
    parts = [
        (a[i[at : at + _PAIRS]] * b[j[at : at + _PAIRS]]).sum(1).double().cpu().numpy()
        for at in blocks
    ]
    return np.concatenate([np.empty(0), *parts])


def _best(features: np.ndarray, scores: np.ndarray, size: int) -> np.ndarray:
    """The pair of largest score of each feature, the first of equal ones; −1 if none is above 0."""
    order = np.lexsort((np.arange(len(scores)), -scores, features))
    first = order[np.flatnonzero(np.diff(features[order], prepend=-1))]
    first = first[scores[first] > 0]
    best = np.full(size, -1)
    best[features[first]] = first
    return best


def _twins(
    best: np.ndarray,
    others: np.ndarray,
    best_of_others: np.ndarray,
    cosines: np.ndarray,
    correlations: np.ndarray,
    scores: np.ndarray,
) -> Twins:
    there = best >= 0
    pair = best[there]

    def spread(values: np.ndarray, dtype: type, missing: float = 0) -> np.ndarray:
        out = np.full(len(best), missing, dtype)
        out[there] = values
        return out

    return Twins(
        spread(others[pair], np.int32, -1),
        spread(cosines[pair], np.float32),
        spread(correlations[pair], np.float32),
        spread(scores[pair], np.float32),
        spread(best_of_others[others[pair]] == pair, np.bool_),
    )
