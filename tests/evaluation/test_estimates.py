"""Standard errors against simulation and leaving one context out by hand."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lmsaes.evaluation.estimates import Estimate, difference, ratio, share_above, share_ever


def _contexts(seed: int, contexts: int = 60) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.randint(20, 60, (contexts,), generator=generator).double()
    rate = 2 + torch.randn(contexts, generator=generator, dtype=torch.float64) * 0.5
    return rate * sizes, sizes


@given(st.integers(0, 2**31))
def test_a_ratios_error_is_about_that_of_leaving_one_context_out(seed: int):
    above, below = _contexts(seed)
    estimate = ratio(above, below)
    assert estimate is not None
    assert estimate.se is not None
    n = len(above)
    left = (above.sum() - above) / (below.sum() - below)
    jackknife = math.sqrt(float((left - left.mean()).square().sum()) * (n - 1) / n)
    assert estimate.value == pytest.approx(float(above.sum() / below.sum()), rel=1e-12)
    assert estimate.se == pytest.approx(jackknife, rel=0.1)


def test_errors_are_as_large_as_repeated_samples_vary():
    estimates = [ratio(*_contexts(seed)) for seed in range(400)]
    values = torch.tensor([e.value for e in estimates if e], dtype=torch.float64)
    errors = [e.se for e in estimates if e and e.se]
    assert sum(errors) / len(errors) == pytest.approx(float(values.std()), rel=0.12)


def test_what_makes_contexts_hard_for_both_cancels_in_a_difference():
    above, below = _contexts(1)
    noise = torch.randn(60, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    one, other = ratio(above, below), ratio(above + below * (0.1 + 0.01 * noise), below)
    assert one is not None
    assert other is not None
    apart = difference(other, one)
    assert apart is not None
    assert apart.value == pytest.approx(0.1, abs=0.01)
    assert apart.se is not None
    assert apart.se < 0.05 * (one.se or 0)  # where each alone is known twenty times less well
    independent = math.hypot(one.se or 0, other.se or 0)
    assert apart.value < independent * 2


def test_shares_ever_seen_have_the_jackknifes_error():
    generator = torch.Generator().manual_seed(0)
    fired = torch.rand(30, 200, generator=generator) < torch.rand(200, generator=generator) * 0.05
    total = int(fired.any(0).sum())
    singles = (fired & (fired.sum(0) == 1)).sum(1)
    found = share_ever(singles, total, 200)
    left = torch.stack([fired[torch.arange(30) != c].any(0).double().mean() for c in range(30)])
    expected = math.sqrt(float((left - left.mean()).square().sum()) * 29 / 30)
    assert found.value == total / 200
    assert found.se == pytest.approx(expected, rel=1e-9)


def test_a_rate_far_from_the_border_is_certain_and_one_at_it_is_not():
    far = share_above(torch.tensor([0.5, 0.001]), torch.tensor([0.01, 0.0001]), 0.1)
    assert (far.value, far.se) == (0.5, pytest.approx(0, abs=1e-6))
    near = share_above(torch.tensor([0.1000001, 0.0999999]), torch.tensor([0.01, 0.01]), 0.1)
    assert near.se == pytest.approx(math.sqrt(0.5) / 2, rel=1e-3)


def test_what_can_not_be_measured_is_none():
    zeros = torch.zeros(4, dtype=torch.float64)
    assert ratio(torch.ones(4, dtype=torch.float64), zeros) is None
    assert ratio(zeros + math.nan, zeros + 1) is None
    single = ratio(torch.ones(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64))
    assert single is not None
    assert single.se is None
    assert difference(Estimate(1, None), Estimate(2, None)) is None
    assert share_ever(torch.tensor([3]), 3, 4) == Estimate(0.75, None)
