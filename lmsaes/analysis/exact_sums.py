"""Sums of float32 numbers without any rounding, so that no order of adding them shows.

A number is a whole multiple of 2^-149 below 2^277. Its 24 significant bits go into two of nine
digits of base 2³² (a superaccumulator; Kulisch 1981), and digits add up as integers.
"""

import numpy as np

DIGITS = 9
_BITS, _LOWEST = 32, -149
_DIGIT = np.uint64(0xFFFFFFFF)


def add_exactly(sums: np.ndarray, rows: np.ndarray, counts: np.ndarray, values: np.ndarray) -> None:
    """Adds values to `sums`, int64 [n, DIGITS], in place.

    rows: which of the sums are added to, distinct. counts: how many of `values` belong to each, in
    that order, fewer than 2²¹ to one sum. values: float32, finite, not below 0.
    """
    bits = values.view(np.uint32)
    exponent = bits >> np.uint32(23)
    mantissa = (bits & np.uint32(0x7FFFFF)).astype(np.uint64)
    mantissa[exponent > 0] |= np.uint64(1 << 23)
    place = np.maximum(exponent, np.uint32(1)) - np.uint32(1)
    digit = (place // np.uint32(_BITS)).astype(np.int64)
    shifted = mantissa << (place % np.uint32(_BITS)).astype(np.uint64)
    cell = np.repeat(np.arange(len(rows)) * DIGITS, counts) + digit
    size = len(rows) * DIGITS
    # float64 holds these sums exactly: each summand is below 2³²
    low = np.bincount(cell, (shifted & _DIGIT).astype(np.float64), size)
    high = np.bincount(cell + 1, (shifted >> np.uint64(_BITS)).astype(np.float64), size)
    sums[rows] += (low + high).astype(np.int64).reshape(-1, DIGITS)


def carry(sums: np.ndarray) -> None:
    """Makes every digit but the highest less than 2³², in place, so that more can be added."""
    for digit in range(DIGITS - 1):
        sums[:, digit + 1] += sums[:, digit] >> _BITS
        sums[:, digit] &= int(_DIGIT)


def as_floats(sums: np.ndarray) -> np.ndarray:
    """The sums as float64 [n]."""
    carried = sums.copy()
    carry(carried)
    total = np.zeros(len(carried))
    for digit in range(DIGITS):
        total += np.ldexp(carried[:, digit].astype(np.float64), _LOWEST + _BITS * digit)
    return total
