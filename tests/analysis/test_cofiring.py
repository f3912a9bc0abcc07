"""Co-firing on the sampled rows against counting row by row."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmsaes.analysis import cofiring, pair_counts
from lmsaes.analysis.cofiring import partners, wilson_lower
from lmsaes.analysis.pair_counts import counts_within, joint_counts
from lmsaes.analysis.reference_contexts import ReferenceContexts
from lmsaes.analysis.sampled_rows import RowSampler, SampledRows
from tests.support.brute_force import drawn_activations, sampled, segments_in


def sample_of(
    activations: np.ndarray, contexts: int, seed: int, chunk: int = 4, ranks: int = 1
) -> SampledRows:
    count, size, features = activations.shape
    reference = ReferenceContexts(count, size, count, seed)
    reference.see(0, np.ones((count, size), np.int64), np.ones((count, size), bool))
    parts = [RowSampler(reference, contexts, features) for _ in range(ranks)]
    for index, first in enumerate(range(0, count, chunk)):
        parts[index % ranks].add(segments_in(activations, first, min(first + chunk, count)))
    for part in parts[1:]:
        parts[0].take_over(*part.firings())
    return parts[0].finish(activations.max((0, 1)))


@given(seed=st.integers(0, 1000), contexts=st.integers(1, 15), ranks=st.integers(1, 3))
@settings(max_examples=50, deadline=None)
def test_the_sample_holds_every_firing_of_its_rows(seed, contexts, ranks):
    activations = drawn_activations(12, 3, 4, seed)
    sample = sample_of(activations, contexts, seed, ranks=ranks)
    drawn = sorted(sampled(list(range(12)), contexts, seed))
    rows = activations[drawn].reshape(-1, 4)
    assert sample.rows == len(rows)
    dense = np.zeros((4, len(rows)), np.float32)
    dense[sample.feature_ids(), sample.places] = sample.activations()
    np.testing.assert_allclose(dense.T, rows, rtol=2**-11, atol=activations.max() * 2**-24)


@given(
    seed=st.integers(0, 1000),
    pairs=st.sampled_from([1, 7, 1 << 20]),
    cells=st.sampled_from([1, 12, 1 << 18]),
    density=st.sampled_from([0.02, 0.5]),
)
@settings(max_examples=50, deadline=None)
def test_pairs_are_counted_as_row_by_row(seed, pairs, cells, density):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pair_counts, "_PAIRS", pairs)
        patch.setattr(pair_counts, "_CELLS", cells)
        one = drawn_activations(12, 3, 4, seed, density)
        two = drawn_activations(12, 3, 6, seed + 1, density)
        a, b = sample_of(one, 9, seed), sample_of(two, 9, seed)
        table = np.zeros((4, 6), np.int64)
        for found in joint_counts(a, b.by_row(), 6):
            assert (np.diff(found.features * 6 + found.partners) > 0).all()
            table[found.features, found.partners] = found.counts
        drawn = sampled(list(range(12)), 9, seed)
        expected = np.einsum("cpi,cpj->ij", one[drawn] > 0, two[drawn] > 0, dtype=np.int64)
        assert table.tolist() == expected.tolist()


@given(
    seed=st.integers(0, 1000),
    pairs=st.sampled_from([1, 7, 1 << 20]),
    cells=st.sampled_from([1, 16, 1 << 18]),
    whole=st.sampled_from([0, 1 << 24]),
    product=st.sampled_from([0, 10**9]),
    density=st.sampled_from([0.02, 0.2, 0.7]),
    least=st.integers(1, 5),
)
@settings(max_examples=80, deadline=None)
def test_pairs_of_one_sae_are_counted_as_row_by_row(
    seed, pairs, cells, whole, product, density, least
):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pair_counts, "_PAIRS", pairs)
        patch.setattr(pair_counts, "_CELLS", cells)
        patch.setattr(pair_counts, "_WHOLE_TABLE", whole)
        patch.setattr(pair_counts, "_PAIR_IN_CELLS", product)
        patch.setattr(pair_counts, "_ROWS_PER_PRODUCT", 5)
        activations = drawn_activations(12, 3, 7, seed, density)
        sample = sample_of(activations, 9, seed)
        table, stop = np.zeros((7, 7), np.int64), 0
        for found in counts_within(sample, least):
            assert found.first == stop
            stop = found.stop
            assert (np.diff(found.features * 7 + found.partners) > 0).all()
            table[found.features, found.partners] = found.counts
        assert stop == 7
        fires = activations[sampled(list(range(12)), 9, seed)] > 0
        expected = np.einsum("cpi,cpj->ij", fires, fires, dtype=np.int64)
        expected[expected < least] = 0
        assert table.tolist() == expected.tolist()


@pytest.mark.parametrize("crowded", [0, 10**9])
def test_partners_have_the_measures_of_their_counts(crowded, monkeypatch):
    monkeypatch.setattr(cofiring, "_CROWDED", crowded)
    activations = drawn_activations(200, 3, 5, 3, 0.3)
    activations[:, :, 4] = activations[:, :, 1]  # fires wherever 1 does
    activations[1:, :, 0] = 0  # fires too seldom to have partners
    sample = sample_of(activations, 200, 0)
    (found,) = counts_within(sample, 1)
    fires = activations.reshape(-1, 5) > 0
    for by in ("jaccard", "pmi"):
        lists = partners(found, sample.firings, sample.rows, 3, by)
        assert lists[0].features.tolist() == []
        assert lists[1].features[0] == 4
        assert lists[1].jaccard[0] == 1
        for feature, own in enumerate(lists):
            assert feature not in own.features
            scores = []
            for other, jaccard, pmi, joint in zip(
                own.features, own.jaccard, own.pmi, own.joint, strict=True
            ):
                both = (fires[:, feature] & fires[:, other]).sum()
                either = (fires[:, feature] | fires[:, other]).sum()
                share = fires[:, feature].mean() * fires[:, other].mean()
                assert joint == both
                assert jaccard == pytest.approx(both / either)
                assert pmi == pytest.approx(np.log(both / len(fires) / share), abs=1e-6)
                scores.append(pmi if by == "pmi" else wilson_lower(both, either))
            assert scores == sorted(scores, reverse=True)


def test_a_share_of_few_has_a_low_lower_end():
    low = wilson_lower(np.array([1, 10, 1000]), np.array([1, 10, 1000]))
    assert low == pytest.approx([0.2065, 0.7225, 0.9962], abs=1e-4)
