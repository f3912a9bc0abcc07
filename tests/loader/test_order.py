"""Promises of the loader's order, and of the figure that says how well it mixes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmsaes.errors import ConfigError
from lmsaes.loader.order import BUCKETS, PARTS, SMALLEST_POOL, Dealer, EpochOrder
from lmsaes.loader.shuffle_quality import shuffle_quality


def deal(order: EpochOrder, first: int = 0) -> list[np.ndarray]:
    dealer = Dealer(order, np.arange)
    return [dealer.window(window) for window in range(first, order.windows)]


SIZES = {"rows": st.integers(1, 30_000), "pool_rows": st.integers(SMALLEST_POOL, 40_000)}


@given(**SIZES, world_size=st.integers(1, BUCKETS))
def test_every_place_is_dealt_once_and_every_rank_gets_its_positions(rows, pool_rows, world_size):
    seen: list[np.ndarray] = []
    for rank in range(world_size):
        order = EpochOrder(rows, pool_rows, 1, 0, rank, world_size)
        for number, window in enumerate(deal(order)):
            start = number * order.window_rows
            assert len(window) == order.positions(start, min(rows, start + order.window_rows))
            seen.append(window)
    assert np.array_equal(np.sort(np.concatenate(seen)), np.arange(rows))


@given(**SIZES, first=st.integers(0, 20))
def test_a_step_is_the_same_wherever_one_starts(rows, pool_rows, first):
    order = EpochOrder(rows, pool_rows, 1, 0)
    first = min(first, order.windows - 1)
    for one, other in zip(deal(order)[first:], deal(order, first), strict=True):
        assert np.array_equal(one, other)


@given(**SIZES)
def test_a_step_draws_from_no_more_than_the_pool(rows, pool_rows):
    order = EpochOrder(rows, pool_rows, 1, 0)
    for number, window in enumerate(deal(order)):
        spans = order.line(number - PARTS + 1, number)
        assert sum(stop - start for start, stop in spans) <= pool_rows
        inside = np.zeros(rows, bool)
        for start, stop in spans:
            inside[start:stop] = True
        assert inside[window].all()


def test_a_cache_that_fits_is_shuffled_uniformly():
    """Where a row comes out says nothing of where it stood."""
    rows, epochs = 40, 2000
    places = np.stack([deal(EpochOrder(rows, rows, 0, e))[0] for e in range(epochs)])
    counts = np.zeros((rows, rows))
    np.add.at(counts, (np.tile(np.arange(rows), (epochs, 1)), places), 1)
    expected = epochs / rows
    chi_squared = ((counts - expected) ** 2 / expected).sum()
    degrees = (rows - 1) ** 2
    assert abs(chi_squared - degrees) < 6 * np.sqrt(2 * degrees)


def test_an_order_is_the_same_next_year():
    """The numbers that a seed gave when this was written."""
    fits = deal(EpochOrder(10, 10, 0, 0))[0]
    large = deal(EpochOrder(10_000, SMALLEST_POOL, 7, 3))[5]
    assert fits.tolist() == [4, 6, 2, 7, 3, 5, 9, 0, 8, 1]
    assert large[:8].tolist() == [73, 283, 491, 697, 904, 1113, 1325, 1532]


def test_too_small_a_pool_and_too_many_ranks_are_refused():
    with pytest.raises(ConfigError, match="too small"):
        EpochOrder(10_000, SMALLEST_POOL - 1, 0, 0)
    with pytest.raises(ConfigError, match="rank 48 of 49"):
        EpochOrder(10_000, SMALLEST_POOL, 0, 0, 48, 49)


@pytest.mark.parametrize(
    ("rows", "pool_rows", "batch_size", "context_size"),
    [
        (50_003, SMALLEST_POOL, 251, 16),
        (50_003, SMALLEST_POOL, 1001, 128),  # batches of several windows, contexts of many groups
        (150_001, 10 * SMALLEST_POOL, 4096, 128),
        (100_003, 4 * SMALLEST_POOL, 511, 32),
        (20_000, 20_000, 512, 32),  # fits
    ],
)
def test_the_same_context_rows_of_a_row_are_as_many_as_the_formula_says(
    rows, pool_rows, batch_size, context_size
):
    met: list[float] = []
    for seed in range(3):
        contexts = np.concatenate(deal(EpochOrder(rows, pool_rows, seed, 0))) // context_size
        batches = np.arange(rows) // batch_size
        _, together = np.unique(batches * rows + contexts, return_counts=True)
        met.append(float((together * (together - 1)).sum() / rows))
    expected = shuffle_quality(rows, pool_rows, batch_size, context_size).same_context_rows
    assert np.mean(met) == pytest.approx(expected, rel=0.03)


def test_two_gibibytes_leave_a_row_less_than_one_same_context_row():
    """d_model 768 in float16: GPT-2's rows, 100 M of them."""
    quality = shuffle_quality(100_000_000, 958_464, 4096, 128)
    assert quality.same_context_rows < 0.5
    assert quality.perfect == pytest.approx(0.0052, rel=0.01)
