"""Bins of a feature's activations: 64 equal parts of (0, 2^exponent], and how the range grows.

The exponent is the smallest with which the feature's maximum so far fits, so that the maximum lies
in the upper half. When a larger value comes the range doubles and neighboring bins merge: what was
counted is what would have been counted with the later range from the start.
"""

import numpy as np

BINS = 64
NEVER = -(1 << 14)
"""The exponent of a feature that has not fired: below every exponent of a float32."""


def exponents_of(values: np.ndarray) -> np.ndarray:
    """The smallest integer e with value ≤ 2^e, int32, of values above 0."""
    mantissa, exponent = np.frexp(values)
    return (exponent - (mantissa == 0.5)).astype(np.int32)


def bins_of(values: np.ndarray, exponents: np.ndarray | int) -> np.ndarray:
    """The bin of each value, int64: bin b holds (b·w, (b + 1)·w] with w = 2^exponent / 64."""
    scaled = np.ldexp(values.astype(np.float64), 6 - exponents)
    return np.clip(np.ceil(scaled).astype(np.int64) - 1, 0, BINS - 1)


def merge_counts(counts: np.ndarray) -> np.ndarray:
    """Counts [n, 64] after the range has doubled."""
    merged = np.zeros_like(counts)
    merged[:, : BINS // 2] = counts[:, ::2] + counts[:, 1::2]
    return merged


def interval_bins(maximum: np.ndarray, exponents: np.ndarray) -> np.ndarray:
    """The six borders of the fifths of (0, maximum] in bins, int64 [n, 6].

    Border i is i · maximum / 5 rounded to a whole number of bins, the last one rounded up. A
    border is thereby off by at most half a bin, 1/64 of the maximum, and a fifth is 6 to 13 whole
    bins, so that what lies in it is counted exactly by counting bins.
    """
    in_bins = np.ldexp(maximum.astype(np.float64), 6 - exponents)
    borders = np.floor(in_bins[:, None] * (np.arange(6) / 5) + 0.5)
    borders[:, 5] = np.ceil(in_bins)
    return borders.astype(np.int64)
