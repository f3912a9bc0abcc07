"""The hash that samples contexts."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lmsaes.analysis import sampling
from lmsaes.analysis.sampling import context_hashes, lowest_contexts


@given(seed=st.integers(0, 2**31), start=st.integers(0, 2**32 - 5000))
def test_no_two_contexts_have_the_same_hash(seed, start):
    hashes = context_hashes(np.arange(start, start + 5000), seed)
    assert hashes.dtype == np.uint32
    assert len(np.unique(hashes)) == 5000


def test_a_sample_is_uniform_over_contexts_whatever_the_seed():
    """Chi-square over ten equal parts of the contexts, 9 degrees of freedom: rarely above 27.9."""
    drawn = np.concatenate([lowest_contexts(1000, 20, seed) for seed in range(400)])
    counts = np.bincount(drawn // 100, minlength=10)
    assert ((counts - 800) ** 2 / 800).sum() < 27.9


def test_neighboring_seeds_draw_other_contexts():
    samples = [set(lowest_contexts(100_000, 50, seed).tolist()) for seed in range(6)]
    shared = [len(a & b) for a in samples for b in samples if a is not b]
    assert max(shared) <= 3


def test_the_lowest_contexts_are_those_of_a_sort_and_begin_with_smaller_samples(monkeypatch):
    monkeypatch.setattr(sampling, "_BLOCK", 7)
    every = np.argsort(context_hashes(np.arange(100), 3))
    for count in (0, 1, 5, 99, 100, 101):
        assert lowest_contexts(100, count, 3).tolist() == every[:count].tolist()
