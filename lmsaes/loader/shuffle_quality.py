"""How well the loader mixes: how many rows of its own context a row meets in its batch."""

from dataclasses import dataclass

import numpy as np

from lmsaes.loader.order import BUCKETS, PARTS, EpochOrder


@dataclass(frozen=True)
class ShuffleQuality:
    """Expected rows of the same context beside a row in its batch.

    same_context_rows: with the loader's order. perfect: if all rows were permuted.
    """

    same_context_rows: float
    perfect: float


def shuffle_quality(
    rows: int, pool_rows: int, batch_size: int, context_size: int, cut: int = BUCKETS
) -> ShuffleQuality:
    """What is expected of the order that `order.py` makes.

    rows: kept rows of the cache. pool_rows: `ShuffledLoader.pool_rows`. batch_size: rows of a
    global batch. context_size: kept rows of a context, which stand beside each other. cut: buckets
    that the rows are cut into.

    Part a of group g goes to window g + a, its row i to place i · 8 + a there; each group's rows
    are permuted. So the places of two rows of two groups are known up to uniform draws, and they
    share a batch with the chance 1 − distance / batch_size. Summed over the other rows of a
    context, averaged over where groups, contexts and batches begin, and over all groups of an
    epoch. Left out are contexts cut by a bucket's edge, 47 of them; the last window is taken to be
    as long as the others.
    """
    context_size, batch_size = min(context_size, rows), min(batch_size, rows)
    perfect = (batch_size - 1) * (context_size - 1) / max(rows - 1, 1)
    order = EpochOrder(rows, pool_rows, 0, 0, cut=cut)
    if order.fits:
        return ShuffleQuality(perfect, perfect)
    # an epoch of fewer windows stands for a long one: the groups in its middle are all alike
    windows = min(order.windows, 8 * PARTS)
    groups = range(1 - PARTS, windows)
    alike = order.windows - windows
    total, weights = 0.0, 0
    for group in groups:
        weight = len(_ages(group, windows)) * (1 + alike * (group == windows // 2))
        total += weight * _same_context_rows(group, windows, order, batch_size, context_size)
        weights += weight
    return ShuffleQuality(total / weights, perfect)


def _ages(group: int, windows: int) -> range:
    """The parts that a group has: those whose windows lie in the epoch."""
    return range(max(0, -group), min(PARTS, windows - group))


def _same_context_rows(
    group: int, windows: int, order: EpochOrder, batch_size: int, context_size: int
) -> float:
    """Same-context rows beside a row of a group, in its batch."""
    part = order.part
    apart = np.array([d for d in range(1 - context_size, context_size) if d != 0])
    often = (context_size - np.abs(apart)) / context_size  # rows of the context so far apart
    size = part * len(_ages(group, windows))
    total = 0.0
    for direction in (1, -1):
        other, start = group, 0
        while 1 - PARTS <= other < windows:
            length = part * len(_ages(other, windows))
            if direction < 0 and other != group:
                start -= length
            if start >= size + context_size or start + length <= -context_size:
                break
            if direction > 0 or other != group:
                # the share of the group from which a row so far away lies in the other
                inside = np.minimum(size + apart, start + length) - np.maximum(apart, start)
                mates = float((often * np.maximum(inside, 0)).sum()) / size
                if mates > 0:
                    total += mates * _chance(group, other, windows, order, batch_size)
            if direction > 0:
                start += length
            other += direction
    return total


def _chance(group: int, other: int, windows: int, order: EpochOrder, batch_size: int) -> float:
    """That rows of two groups, two of one if they are the same, share a batch."""
    part = order.part
    mine, theirs = np.array(_ages(group, windows)), np.array(_ages(other, windows))
    ages = theirs[:, None] - mine
    # places between their parts, and the rows that could make up for them
    between = (other - group + ages) * PARTS * part + ages
    reach = batch_size // (order.cut * PARTS) + 2
    nearest = np.round(-between / PARTS).astype(int)
    rows = nearest[..., None] + np.arange(-reach, reach + 1)
    pairs = np.maximum(0, part - np.abs(rows)).astype(float)
    if group == other:
        pairs[(ages == 0)[..., None] & (rows == 0)] = 0  # a row has its place to itself
    places = order.cut * np.abs(between[..., None] + PARTS * rows)
    shared = float((pairs * np.maximum(0, 1 - places / batch_size)).sum())
    size = part * len(mine)
    draws = size * (size - 1 if group == other else part * len(theirs))
    return shared / max(draws, 1)
