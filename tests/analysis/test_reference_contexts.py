"""Silent contexts, and those that hold a feature's tokens, against looking at every context."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lmsaes.analysis.reference_contexts import FiringContexts, ReferenceContexts
from tests.support.brute_force import drawn_activations, sampled, segments_in

VOCABULARY = 9


@given(
    contexts=st.integers(1, 40),
    size=st.integers(2, 5),
    features=st.integers(1, 4),
    reference=st.integers(1, 50),
    chunk=st.integers(1, 9),
    ranks=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
@settings(max_examples=80, deadline=None)
def test_contexts_without_the_feature(contexts, size, features, reference, chunk, ranks, seed):
    random = np.random.default_rng(seed)
    tokens = random.integers(0, VOCABULARY, (contexts, size))
    valid = random.random((contexts, size)) < 0.8
    activations = drawn_activations(contexts, size, features, seed, density=0.1)
    sample = ReferenceContexts(contexts, size, reference, seed)
    parts = [FiringContexts(sample, features) for _ in range(ranks)]
    for index, first in enumerate(range(0, contexts, chunk)):
        stop = min(first + chunk, contexts)
        sample.see(first, tokens[first:stop], valid[first:stop])
        parts[index % ranks].add(segments_in(activations, first, stop))
    for part in parts[1:]:
        parts[0].take_over(*part.pairs())
    parts[0].settle()
    index = sample.index()
    drawn = sampled(list(range(contexts)), reference, seed)
    for feature in range(features):
        silent = [c for c in drawn if not (activations[c, :, feature] > 0).any()]
        found = parts[0].silent(feature, 17, 3)
        assert found.contexts.tolist() == silent[:3]
        assert found.available == 17
        wanted = random.permutation(VOCABULARY)[:2]
        places = {}
        for c in silent:
            for token in wanted:
                at = np.flatnonzero((tokens[c] == token) & valid[c])
                if len(at) and c not in places:
                    places[c] = int(at[0])
        same = parts[0].same_token(feature, wanted, index, 2)
        assert same.contexts.tolist() == list(places)[:2]
        assert same.positions.tolist() == list(places.values())[:2]
        assert same.available == len(places)
