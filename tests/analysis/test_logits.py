"""What features do to the output, against the whole product."""

import numpy as np
import pytest
import torch

from lmsaes.analysis import logits
from lmsaes.analysis.labels import token_label
from lmsaes.analysis.logits import logit_effects
from lmsaes.analysis.token_statistics import FiresOn


def test_effects_are_those_of_the_product():
    directions, unembedding = torch.randn(20, 8), torch.randn(8, 50)
    product = (directions @ unembedding).double()
    found = list(logit_effects(directions, unembedding, 3, chunk=7))
    assert [len(block.moments) for block in found] == [7, 7, 6]
    pairs = [block.of(row) for block in found for row in range(len(block.moments))]
    moments = np.concatenate([block.moments for block in found])
    for row, (promoted, suppressed) in zip(product, pairs, strict=True):
        assert [t for t, _ in promoted] == row.argsort(descending=True)[:3].tolist()
        assert [t for t, _ in suppressed] == row.argsort()[:3].tolist()
        assert promoted[0][1] == pytest.approx(row.max().item(), rel=1e-5)
    standard = (product - product.mean(1, True)) / product.std(1, correction=0, keepdim=True)
    expected = [
        product.mean(1),
        product.std(1, correction=0),
        (standard**3).mean(1),
        (standard**4).mean(1) - 3,
    ]
    np.testing.assert_allclose(moments, torch.stack(expected, 1), rtol=1e-4, atol=1e-5)
    histogram = np.concatenate([block.histogram for block in found])
    for row, counts in zip(product.numpy(), histogram, strict=True):
        assert counts.sum() == 50
        assert abs(counts - np.histogram(row, 32)[0]).sum() <= 2  # a value on a border


def test_weights_that_are_all_equal_have_no_skewness(monkeypatch):
    monkeypatch.setattr(logits, "_TOKENS_IN_HISTOGRAM", 4)
    (found,) = logit_effects(torch.zeros(1, 3), torch.randn(3, 9), 20)
    assert found.moments[0, :2].tolist() == [0, 0]
    assert np.isnan(found.moments[0, 2:]).all()
    assert found.promoted.shape == (1, 9)
    assert found.histogram.sum() == 5  # every second of nine tokens


def test_labels_name_the_tokens_of_most_firings():
    vocabulary = [" that", " which", ".", "x"]

    def fires(*shares: float) -> FiresOn:
        n = len(shares)
        every = np.array(shares, np.float32)
        return FiresOn(np.arange(n), np.ones(n), every, every, every)

    assert token_label(fires(0.62), vocabulary) == "' that' 62 %"
    assert token_label(fires(0.2, 0.5, 0.09), vocabulary) == "' which' 50 %, ' that' 20 %"
    assert token_label(fires(0.004, 0.003), vocabulary) == "' that' < 1 %"
    assert token_label(fires(), vocabulary) is None
