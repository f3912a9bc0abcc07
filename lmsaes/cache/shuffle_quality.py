"""How well the loader mixes: how many rows of its own context a row meets in its batch."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from lmsaes.cache.order import BUCKETS, PARTS, EpochOrder


@dataclass(frozen=True)
class ShuffleQuality:
    """Expected rows of the same context beside a row in its batch.

    companions: with the loader's order. perfect: if all rows were permuted.
    """

    companions: float
    perfect: float


def shuffle_quality(
    rows: int, pool_rows: int, batch_size: int, context_size: int
) -> ShuffleQuality:
    """What is expected of the order that `lmsaes.cache.order` makes.

    rows: kept rows of the cache. pool_rows: `ShuffledLoader.pool_rows`. batch_size: rows of a
    global batch. context_size: kept rows of a context, which stand beside each other.

    Part a of group g goes to step g + a, its row i to place i · 8 + a there; each group's rows are
    permuted. So the places of two rows, j groups apart, are known up to two uniform draws, and
    they share a batch with the chance 1 − distance / batch_size. Summed over the other rows of a
    context, averaged over where groups and batches begin, and over all groups of an epoch. Left
    out are contexts cut by a bucket's edge, 47 of them; those of the groups at an epoch's two
    ends are counted as if the next group were as long.
    """
    context_size, batch_size = min(context_size, rows), min(batch_size, rows)
    perfect = (batch_size - 1) * (context_size - 1) / max(rows - 1, 1)
    order = EpochOrder(rows, pool_rows, 0, 0)
    if order.fits:
        return ShuffleQuality(perfect, perfect)
    steps = order.steps
    # the groups of an epoch by how many parts they have
    parts = Counter(
        min(steps - 1, group + PARTS - 1) - max(0, group) + 1 for group in range(1 - PARTS, steps)
    )
    total = sum(
        count * parts * _companions(order.part, parts, batch_size, context_size)
        for parts, count in parts.items()
    )
    return ShuffleQuality(total / sum(n * count for n, count in parts.items()), perfect)


def _companions(part: int, parts: int, batch_size: int, context_size: int) -> float:
    """Companions of a row whose group has so many parts."""
    group, step = parts * part, PARTS * part
    # two draws of a group's places: part and row, each pair of differences so and so often
    ages, rows = np.arange(1 - parts, parts)[:, None], np.arange(1 - part, part)
    pairs = ((parts - np.abs(ages)) * (part - np.abs(rows))).astype(float)
    reach = -(-batch_size // (BUCKETS * step)) + PARTS  # farther groups never share a batch
    total = 0.0
    for distance in range(min(reach, -(-context_size // group)) + 1):
        places = BUCKETS * np.abs((distance + ages) * step + rows * PARTS + ages)
        chances = pairs * np.maximum(0, 1 - places / batch_size)
        if distance == 0:
            chances[parts - 1, part - 1] = 0  # a row has its place to itself
        draws = group * (group - 1) if distance == 0 else group**2
        chance = float(chances.sum()) / max(draws, 1)
        total += _neighbours(context_size, group, distance) * chance
    return total


def _neighbours(context_size: int, group: int, distance: int) -> float:
    """Rows of a row's context that lie `distance` groups before or after it."""
    apart = np.arange(1, context_size)
    pairs = 2 * (context_size - apart) / context_size
    return float((pairs * np.maximum(0, 1 - np.abs(apart / group - distance))).sum())
