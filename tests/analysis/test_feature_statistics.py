"""The one pass over a cache against loops over all activations at once."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmsaes.analysis.feature_statistics import ContextSample, FeatureStatistics
from tests.support.brute_force import drawn_activations, interval_borders, sampled, segments_in

cases = {
    "contexts": st.integers(1, 60),
    "size": st.integers(1, 5),
    "features": st.integers(1, 6),
    "top": st.integers(1, 8),
    "per_interval": st.integers(1, 4),
    "seed": st.integers(0, 1000),
}


def mine(
    activations: np.ndarray,
    spans: list[tuple[int, int]],
    top: int = 4,
    per_interval: int = 3,
    seed: int = 0,
    buffer: int = 5,
) -> FeatureStatistics:
    """activations: [contexts, context_size, features], taken span by span."""
    _, size, features = activations.shape
    found = FeatureStatistics(features, size, top, per_interval, seed, buffer)
    for first, stop in spans:
        found.add(segments_in(activations, first, stop))
    found.settle()
    return found


def chunks(contexts: int, size: int) -> list[tuple[int, int]]:
    return [(start, min(start + size, contexts)) for start in range(0, contexts, size)]


def shows(sample: ContextSample, contexts: list[int], activations: np.ndarray) -> bool:
    """Whether a sample is of these contexts, with a feature's activations [contexts, size]."""
    assert sample.contexts.tolist() == contexts
    dense, expected = sample.activations, activations[contexts]
    tiny = 2**-39 * expected.max(1, initial=0, keepdims=True)
    return bool((np.abs(dense - expected) <= 2**-11 * expected + tiny).all())


@given(**cases, chunk=st.integers(1, 9), levels=st.sampled_from([0, 2]))
@settings(max_examples=150, deadline=None)
def test_contexts_equal_a_brute_force_search(
    contexts, size, features, top, per_interval, seed, chunk, levels
):
    """With few levels many contexts tie: then the earlier ones win."""
    activations = drawn_activations(contexts, size, features, seed, levels=levels)
    found = mine(activations, chunks(contexts, chunk), top, per_interval, seed)
    for feature in range(features):
        own = activations[:, :, feature]
        peaks = own.max(1).astype(np.float64)
        firing = [c for c in range(contexts) if peaks[c] > 0]
        assert found.contexts[feature] == len(firing)
        best = sorted(firing, key=lambda c: (-peaks[c], c))
        assert shows(found.strongest(feature), best[:top], own)
        assert shows(found.random(feature), sampled(firing, per_interval, seed), own)
        assert found.random(feature).available == len(firing)
        intervals = found.intervals(feature)
        if not firing:
            assert intervals == []
            continue
        borders = interval_borders(peaks.max())
        assert len(intervals) == 5
        for interval, (lower, upper) in zip(intervals, itertools.pairwise(borders), strict=True):
            assert (interval.lower, interval.upper) == (lower, upper)
            inside = [c for c in firing if lower < peaks[c] <= upper]
            assert interval.sample.available == len(inside)
            assert shows(interval.sample, sampled(inside, per_interval, seed), own)
        assert sum(interval.sample.available for interval in intervals) == len(firing)


@given(scale=st.floats(1e-6, 1e6), chunk=st.integers(1, 7), seed=st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_numbers_and_histogram_equal_those_of_all_values_at_once(scale, chunk, seed):
    activations = drawn_activations(20, 3, 4, seed) * np.float32(scale)
    activations[:, :, 3] = 0
    found = mine(activations, chunks(20, chunk))
    for feature in range(4):
        values = activations[:, :, feature].reshape(-1)
        values = values[values > 0].astype(np.float64)
        assert found.firings[feature] == len(values)
        counts, end = found.histogram(feature)
        assert counts.sum() == len(values)
        if len(values) == 0:
            assert (end, found.means[feature]) == (0, 0)
            continue
        assert found.maximum[feature] == values.max()
        assert found.means[feature] == pytest.approx(values.mean(), rel=1e-14)
        edges = np.linspace(0, end, len(counts) + 1)
        expected = [((values > a) & (values <= b)).sum() for a, b in itertools.pairwise(edges)]
        assert counts.tolist() == expected
        assert counts[-1] > 0


@given(**cases, chunk=st.integers(1, 9), ranks=st.integers(2, 4), data=st.data())
@settings(max_examples=60, deadline=None)
def test_merged_and_resumed_statistics_have_the_bits_of_one_pass(
    contexts, size, features, top, per_interval, seed, chunk, ranks, data
):
    """Whichever process took which chunk, in whatever order, and stopped in between."""
    activations = drawn_activations(
        contexts, size, features, seed, levels=data.draw(st.sampled_from([0, 3]))
    )
    whole = mine(activations, [(0, contexts)], top, per_interval, seed, buffer=1 << 20).state()
    spans = data.draw(st.permutations(chunks(contexts, chunk)))
    parts = []
    for rank in range(ranks):
        part = mine(activations, spans[rank::ranks], top, per_interval, seed)
        again = FeatureStatistics(features, size, top, per_interval, seed, 5)
        again.restore({name: array.copy() for name, array in part.state().items()})
        parts.append(again)
    for part in parts[1:]:
        parts[0].merge(part)
    merged = parts[0].state()
    for name, array in whole.items():
        assert np.array_equal(array, merged[name]), name


def test_what_is_kept_of_a_feature_does_not_grow_with_the_cache():
    random = np.random.default_rng(0)
    kept = []
    for contexts in (2_000, 20_000):
        activations = random.gamma(1.0, 1.0, (contexts, 2, 3)).astype(np.float32)
        found = mine(activations, chunks(contexts, 500), 40, 10, buffer=1000)
        kept.append(len(found.state()["kept_features"]) / 3)
    assert kept[1] < 1.3 * kept[0]
    assert kept[1] < 40 + 160


def test_a_batch_without_firings_changes_nothing():
    activations = np.zeros((4, 3, 2), np.float32)
    found = mine(activations, chunks(4, 2))
    assert found.firings.tolist() == [0, 0]
    assert found.strongest(1).contexts.tolist() == []
    assert found.intervals(0) == []


@pytest.mark.parametrize("size", [1e-30, 2e-5, 1e5, 1e30])
def test_activations_of_any_size_have_the_digits_of_float16(size):
    activations = np.random.default_rng(0).uniform(1e-6, 1, (12, 8, 1)).astype(np.float32)
    activations *= np.float32(size)
    sample = mine(activations, chunks(12, 3)).strongest(0)
    np.testing.assert_allclose(sample.activations, activations[sample.contexts, :, 0], rtol=2**-11)
