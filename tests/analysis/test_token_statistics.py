"""Token statistics against counting token by token."""

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmsaes.analysis import token_pairs
from lmsaes.analysis.token_pairs import BestOfTokens
from lmsaes.analysis.token_statistics import (
    Occurrences,
    TokenStatistics,
    fires_on,
    preceded_by,
)
from tests.support.brute_force import drawn_activations, segments_in

VOCABULARY = 7


def drawn(contexts: int, size: int, features: int, seed: int):
    random = np.random.default_rng(seed)
    tokens = random.integers(0, VOCABULARY, (contexts, size))
    valid = random.random((contexts, size)) < 0.8
    valid[:, 0] = False
    activations = drawn_activations(contexts, size, features, seed)
    activations[~valid] = 0
    return tokens, valid, activations


@given(
    contexts=st.integers(1, 20),
    size=st.integers(2, 5),
    features=st.integers(1, 5),
    chunk=st.integers(1, 7),
    buffer=st.sampled_from([1, 10, 1000]),
    at_once=st.sampled_from([1, 8, 1000]),
    cells=st.sampled_from([1, 15, 1000]),
    per_firing=st.sampled_from([0, 1000]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_counts_equal_counting(
    tmp_path_factory, contexts, size, features, chunk, buffer, at_once, cells, per_firing, seed
):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(token_pairs, "_CELLS", cells)
        patch.setattr(token_pairs, "_LARGEST_KEY", cells)
        patch.setattr(token_pairs, "_CELLS_PER_FIRING", per_firing)
        folder = tmp_path_factory.mktemp("runs")
        check_counts(folder, contexts, size, features, chunk, buffer, at_once, seed)


def check_counts(folder, contexts, size, features, chunk, buffer, at_once, seed):
    tokens, valid, activations = drawn(contexts, size, features, seed)
    found = TokenStatistics(folder, features, buffer=buffer)
    occurrences = Occurrences()
    for first in range(0, contexts, chunk):
        stop = min(first + chunk, contexts)
        found.add(segments_in(activations, first, stop), tokens[first:stop], first)
        occurrences.add(tokens[first:stop], valid[first:stop])
    on = [f for pairs in found.fires_on.merged(at_once) for f in fires_on(pairs, occurrences, 3)]
    before = [
        f for pairs in found.before.merged(at_once) for f in preceded_by(pairs, occurrences, 3)
    ]
    assert len(on) == len(before) == features
    places = [(c, p) for c in range(contexts) for p in range(size) if valid[c, p]]
    own = Counter(int(tokens[c, p]) for c, p in places)
    usual = Counter(int(tokens[c, p - 1]) for c, p in places)
    for feature in range(features):
        values = defaultdict(list)
        firing = [(c, p) for c, p in places if activations[c, p, feature] > 0]
        for c, p in firing:
            values[int(tokens[c, p])].append(float(activations[c, p, feature]))
        best = sorted(values, key=lambda t: (-sum(values[t]), t))[:3]
        assert on[feature].tokens.tolist() == best
        assert on[feature].counts.tolist() == [len(values[t]) for t in best]
        assert on[feature].means == pytest.approx([np.mean(values[t]) for t in best], rel=1e-6)
        assert on[feature].share_of_firings == pytest.approx(
            [len(values[t]) / len(firing) for t in best], rel=1e-6
        )
        assert on[feature].share_of_token == pytest.approx(
            [len(values[t]) / own[t] for t in best], rel=1e-6
        )
        stood = Counter(int(tokens[c, p - 1]) for c, p in firing)
        share = {t: n / len(firing) for t, n in stood.items()}
        lift = {t: share[t] / (usual[t] / len(places)) for t in stood}
        told = sorted((t for t in stood if lift[t] > 1), key=lambda t: -share[t] * np.log(lift[t]))
        shown = before[feature]
        assert len(shown.tokens) <= min(3, len(told))
        for token, n, s, x in zip(
            shown.tokens, shown.counts, shown.shares, shown.lifts, strict=True
        ):
            assert n == stood[int(token)]
            assert s == pytest.approx(share[int(token)])
            assert x == pytest.approx(lift[int(token)])
        score = [share[t] * np.log(lift[t]) for t in told[:3]]
        assert np.allclose(
            shown.shares * np.log(shown.lifts), score[: len(shown.tokens)], atol=1e-6
        )
        assert all(s < 1e-6 for s in score[len(shown.tokens) :])


def test_runs_of_several_processes_add_up(tmp_path):
    tokens, _, activations = drawn(12, 4, 3, seed=5)
    ranks = []
    for rank in range(2):
        folder = tmp_path / str(rank)
        folder.mkdir()
        ranks.append(TokenStatistics(folder, 3, buffer=9))
        for first in range(rank * 2, 12, 4):
            segments = segments_in(activations, first, first + 2)
            ranks[rank].add(segments, tokens[first : first + 2], first)
        ranks[rank].write()
    ranks[0].fires_on.runs += ranks[1].fires_on.runs
    whole = TokenStatistics(tmp_path, 3)
    whole.add(segments_in(activations, 0, 12), tokens, 0)
    (merged,), (expected,) = ranks[0].fires_on.merged(), whole.fires_on.merged()
    for name in ("features", "tokens", "counts", "sums"):
        assert np.array_equal(getattr(merged, name), getattr(expected, name)), name


@given(seed=st.integers(0, 1000), parts=st.integers(1, 5), count=st.integers(1, 4))
@settings(max_examples=50, deadline=None)
def test_the_best_features_of_a_token_are_those_of_a_sort(seed, parts, count):
    random = np.random.default_rng(seed)
    pairs = random.permutation([(t, f) for t in range(5) for f in range(8)])[:30]
    scores = random.integers(0, 4, len(pairs)).astype(np.float32)
    best = BestOfTokens(6, count)
    for part in np.array_split(np.arange(len(pairs)), parts):
        best.add(pairs[part, 0], pairs[part, 1], scores[part])
    for token in range(6):
        own = [
            (-s, f) for (t, f), s in zip(pairs.tolist(), scores.tolist(), strict=True) if t == token
        ]
        features, found = best.of(token)
        assert [(-s, f) for s, f in zip(found, features, strict=True)] == sorted(own)[:count]
