"""Neighbors and twins against comparing all pairs."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lmsaes.analysis.neighbors import nearest
from lmsaes.analysis.twins import correlate, find_twins
from tests.analysis.test_cofiring import sample_of
from tests.support.brute_force import drawn_activations


@pytest.mark.parametrize("same", [True, False])
def test_nearest_rows_are_those_of_a_sort(same, monkeypatch):
    monkeypatch.setattr("lmsaes.analysis.neighbors._CELLS", 40)
    torch.manual_seed(0)
    vectors = torch.randn(20, 6)
    vectors[3] = 0
    others = vectors if same else torch.randn(17, 6)
    ids, cosines = nearest(vectors, others, 4, same)
    unit = torch.nn.functional.normalize(vectors), torch.nn.functional.normalize(others)
    table = unit[0] @ unit[1].T
    if same:
        table.fill_diagonal_(-2)
    assert torch.allclose(cosines, table.sort(dim=1, descending=True).values[:, :4], atol=1e-6)
    assert torch.allclose(table.gather(1, ids), cosines, atol=1e-6)


def test_there_are_no_more_neighbors_than_other_features():
    ids, _ = nearest(torch.eye(3), torch.eye(3), 10, same=True)
    assert ids.shape == (3, 2)


@given(seed=st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_twins_are_the_best_of_all_pairs(seed):
    """With at most eight features each, every pair is a candidate."""
    random = np.random.default_rng(seed)
    one = drawn_activations(20, 3, 5, seed)
    two = drawn_activations(20, 3, 7, seed + 1)
    two[:, :, [6, 2]] = one[:, :, [0, 3]] * np.float32(2)
    one[:, :, 4] = 0  # a dead feature
    a, b = sample_of(one, 20, seed), sample_of(two, 20, seed)
    W_a, W_b = random.normal(size=(5, 4)), random.normal(size=(7, 4))
    W_b[6] = W_a[0] * 3
    in_b, in_a = find_twins(a, b, torch.from_numpy(W_a), torch.from_numpy(W_b))
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = np.corrcoef(one.reshape(-1, 5).T, two.reshape(-1, 7).T)[:5, 5:]
    correlation = np.nan_to_num(correlation)
    cosine = (W_a / np.linalg.norm(W_a, axis=1)[:, None]) @ (
        W_b / np.linalg.norm(W_b, axis=1)[:, None]
    ).T
    score = np.maximum(np.minimum(cosine, correlation), 0)
    for found, table in ((in_b, score), (in_a, score.T)):
        assert found.scores == pytest.approx(table.max(1), abs=1e-3)
        for feature, twin in enumerate(found.features):
            if twin < 0:
                assert table[feature].max() < 1e-3
                continue
            assert table[feature, twin] == pytest.approx(table[feature].max(), abs=1e-3)
            expected = min(found.cosines[feature], found.correlations[feature])
            assert found.scores[feature] == pytest.approx(expected)
            other = in_a if found is in_b else in_b
            assert found.mutual[feature] == (other.features[twin] == feature)
    assert in_b.features[0] == 6
    assert in_b.mutual[0]
    assert in_b.scores[0] == pytest.approx(1, abs=1e-3)


def test_correlation_counts_rows_where_neither_fires():
    one = np.zeros((50, 2, 1), np.float32)
    two = np.zeros((50, 2, 1), np.float32)
    one[3, 0], one[7, 1], two[3, 0], two[9, 0] = 1, 2, 2, 1
    found = correlate(sample_of(one, 50, 0), sample_of(two, 50, 0), np.array([0]), np.array([0]))
    assert found == pytest.approx(np.corrcoef(one.reshape(-1), two.reshape(-1))[0, 1], rel=1e-3)
