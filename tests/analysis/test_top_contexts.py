"""The one-pass miner against a brute-force search."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lmsaes.analysis.logits import logit_weights
from lmsaes.analysis.top_contexts import FeatureStatistics
from lmsaes.sae import SparseRows


def mine(activations: torch.Tensor, top: int, chunk: int) -> FeatureStatistics:
    """activations: [contexts, context_size, features], as the miner sees them chunk by chunk."""
    contexts, size, features = activations.shape
    miner = FeatureStatistics(features, size, top, torch.device("cpu"))
    for start in range(0, contexts, chunk):
        rows = activations[start : start + chunk].reshape(-1, features)
        miner.add(start, SparseRows.above(rows, 0.0))
    return miner


@given(
    contexts=st.integers(1, 30),
    size=st.integers(1, 5),
    features=st.integers(1, 6),
    top=st.integers(1, 8),
    chunk=st.integers(1, 9),
    levels=st.sampled_from([2, 50]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=150, deadline=None)
def test_top_contexts_equal_a_brute_force_search(
    contexts, size, features, top, chunk, levels, seed
):
    """With few levels many contexts tie: then the earlier ones win."""
    generator = torch.Generator().manual_seed(seed)
    activations = torch.randint(0, levels, (contexts, size, features), generator=generator) / 4
    activations[torch.rand(activations.shape, generator=generator) < 0.5] = 0
    miner = mine(activations, top, chunk)
    for feature in range(features):
        peaks = activations[:, :, feature].amax(1).tolist()
        best = sorted((c for c in range(contexts) if peaks[c] > 0), key=lambda c: (-peaks[c], c))
        found, values = miner.top_contexts(feature)
        assert found.tolist() == best[:top]
        assert np.array_equal(values, activations[best[:top], :, feature].half().numpy())
    every = {c for f in range(features) for c in miner.top_contexts(f)[0].tolist()}
    assert miner.stored_contexts().tolist() == sorted(every)


@given(scale=st.floats(1e-3, 1e4), chunk=st.integers(1, 7), seed=st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_numbers_and_histogram_equal_those_of_all_values_at_once(scale, chunk, seed):
    generator = torch.Generator().manual_seed(seed)
    activations = torch.rand((20, 3, 4), generator=generator) ** 4 * scale
    activations[torch.rand(activations.shape, generator=generator) < 0.6] = 0
    activations[:, :, 3] = 0
    miner = mine(activations, 3, chunk)
    for feature in range(4):
        values = activations[:, :, feature].reshape(-1)
        values = values[values > 0].double()
        assert int(miner.firings[feature]) == len(values)
        counts, end = miner.histogram(feature)
        assert counts.sum() == len(values)
        if len(values) == 0:
            assert end == 0
            continue
        assert float(miner.maximum[feature]) == values.max()
        assert float(miner.sums[feature]) == pytest.approx(values.sum().item())
        edges = np.linspace(0, end, len(counts) + 1)
        expected = [((values > a) & (values <= b)).sum() for a, b in itertools.pairwise(edges)]
        assert counts.tolist() == expected
        assert counts[-1] > 0


def test_logit_weights_are_the_extremes_of_the_product():
    directions, unembedding = torch.randn(600, 8), torch.randn(8, 50)
    logits = directions @ unembedding
    found = list(logit_weights(directions, unembedding, 3))
    assert len(found) == 600
    for row, (promoted, suppressed) in zip(logits, found, strict=True):
        assert [t for t, _ in promoted] == row.argsort(descending=True)[:3].tolist()
        assert [t for t, _ in suppressed] == row.argsort()[:3].tolist()
        assert promoted[0][1] == pytest.approx(row.max().item(), rel=1e-5)


@pytest.mark.parametrize("size", [1e-30, 2e-5, 1e5, 1e30])
def test_activations_of_any_size_have_the_digits_of_float16(size: float):
    generator = torch.Generator().manual_seed(0)
    dense = size * (1e-3 + torch.rand(12 * 8, 2, generator=generator))
    statistics = FeatureStatistics(2, 8, 4, torch.device("cpu"))
    for start in range(0, 12, 3):
        statistics.add(start, SparseRows.above(dense[start * 8 : (start + 3) * 8], 0.0))
    for feature in range(2):
        contexts, activations = statistics.top_contexts(feature)
        expected = dense[:, feature].reshape(12, 8)[contexts]
        np.testing.assert_allclose(activations, expected, rtol=2**-11)
        assert activations.max() == pytest.approx(float(dense[:, feature].max()), rel=2**-11)
