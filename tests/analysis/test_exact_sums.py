"""Sums without rounding, against rational arithmetic."""

from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lmsaes.analysis.exact_sums import DIGITS, add_exactly, as_floats, carry

numbers = st.floats(0, float(np.finfo(np.float32).max), width=32)


@given(st.lists(st.lists(numbers, min_size=1, max_size=8), min_size=1, max_size=5), st.booleans())
@settings(max_examples=200, deadline=None)
def test_sums_equal_rational_ones_in_whatever_order(groups, carried):
    sums, again = (np.zeros((len(groups) + 2, DIGITS), np.int64) for _ in range(2))
    rows = np.arange(len(groups)) + 2  # the first two are added to by nobody
    values = np.array([v for group in groups for v in group], np.float32)
    add_exactly(sums, rows, np.array(list(map(len, groups))), values)
    for row, group in zip(rows[::-1], groups[::-1], strict=True):
        for value in group[::-1]:
            add_exactly(again, np.array([row]), np.array([1]), np.array([value], np.float32))
            if carried:
                carry(again)
    expected = [0.0, 0.0, *(float(sum(map(Fraction, group))) for group in groups)]
    assert np.allclose(as_floats(sums), expected, rtol=1e-15, atol=0)
    assert np.array_equal(as_floats(sums), as_floats(again))
