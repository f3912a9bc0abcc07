"""FVU, L0 and dead features against plain loops over rows in float64."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lmsaes.evaluation import ReconstructionSums, dead_fraction, never_fired_fraction

CPU = torch.device("cpu")


@given(st.integers(2, 60), st.integers(1, 5), st.integers(0, 2**31), st.integers(1, 9))
def test_fvu_and_l0_are_those_of_a_loop_however_rows_are_cut_into_batches(
    rows: int, d: int, seed: int, batch: int
):
    generator = torch.Generator().manual_seed(seed)
    y = torch.randn(rows, d, generator=generator, dtype=torch.float64) + 3
    guess = y + 0.3 * torch.randn(rows, d, generator=generator, dtype=torch.float64)
    f = torch.randn(rows, 7, generator=generator).relu()

    error, variance, active = 0.0, 0.0, 0
    mean = [sum(float(row[i]) for row in y) / rows for i in range(d)]
    for row, reconstructed, activations in zip(y, guess, f, strict=True):
        error += sum((float(a) - float(b)) ** 2 for a, b in zip(row, reconstructed, strict=True))
        variance += sum((float(a) - m) ** 2 for a, m in zip(row, mean, strict=True))
        active += sum(float(a) > 0 for a in activations)

    sums = ReconstructionSums(CPU)
    for start in range(0, rows, batch):
        part = slice(start, start + batch)
        missed = (y[part] - guess[part]).square().sum()
        sums.add(missed, (f[part] > 0).sum(0), len(y[part]))
    assert sums.rows == rows
    assert sums.fvu(variance / rows) == pytest.approx(error / variance, rel=1e-9)
    assert sums.l0 == pytest.approx(active / rows, rel=1e-12)


def test_a_mean_that_is_missed_counts_as_error():
    y = torch.randn(1000, 4, dtype=torch.float64)
    sums = ReconstructionSums(CPU)
    sums.add((y - (y + 2)).square().sum(), torch.zeros(3), 1000)
    variance = float(y.var(0, correction=0).sum())
    assert sums.fvu(variance) == pytest.approx(4 * 4 / variance)


def test_sums_over_many_batches_keep_their_digits():
    sums = ReconstructionSums(CPU)
    for _ in range(10_000):
        sums.add(torch.tensor(1e6 + 0.1), torch.tensor(4096.0 * 32), 4096)
    assert sums.l0 == 32
    error = 10_000 * float(torch.tensor(1e6 + 0.1).double())
    assert sums.fvu(2.0) == pytest.approx(error / (10_000 * 4096 * 2), rel=1e-12)


def test_what_was_not_measured_is_none():
    sums = ReconstructionSums(CPU)
    assert sums.fvu(1.0) is None
    assert sums.l0 is None
    sums.add(torch.tensor(1.0), torch.tensor(2), 1)
    assert sums.fvu(0.0) is None
    sums.reset()
    assert sums.l0 is None


def test_dead_is_who_was_silent_for_the_window_and_never_fired_who_was_for_all_rows():
    assert dead_fraction(torch.tensor([0, 99, 100, 101]), window=100) == 0.5
    assert never_fired_fraction(torch.tensor([0, 1, 7, 0, 0])) == 0.6
