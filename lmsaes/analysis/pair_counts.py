"""On how many of the sampled rows two features fire: exact counts of all pairs.

Rows become tables of about equally long ones, so that all pairs of a row are one gather and one
addition, and are counted in blocks of features whose table stays in a core's cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from lmsaes.analysis.context_choice import smallest, stable_order
from lmsaes.analysis.sampled_rows import FeaturesOfRows, SampledRows

_CELLS = 1 << 18  # of a block's table
_PAIRS = 1 << 20  # that are counted at once
_WHOLE_TABLE = 1 << 24  # cells of a table of all pairs that may be kept: up to 4096 features
_ROWS_PER_PRODUCT = 2048
_PAIR_IN_CELLS = 300  # a product of dense rows takes so many cells in the time of one pair


@dataclass(frozen=True, slots=True)
class JointCounts:
    """On how many rows features `first` to `stop` of one SAE fire beside features of another."""

    first: int
    stop: int
    features: np.ndarray  # int64 [pairs], ascending
    partners: np.ndarray  # int64 [pairs], ascending within a feature
    counts: np.ndarray  # int64 [pairs]


def joint_counts(sample: SampledRows, others: FeaturesOfRows, width: int) -> Iterator[JointCounts]:
    """Counts of pairs that fire together, by ranges of the sample's features.

    others: what fires on the same rows, of an SAE with `width` features; it may be the same one.
    """
    rows = _pad(others, width)
    widest = max(1, _CELLS // (width + 1))
    for first in range(0, sample.features, widest):
        stop = min(first + widest, sample.features)
        bounds = sample.bounds[first : stop + 1]
        places = sample.places[bounds[0] : bounds[-1]]
        own = np.repeat(np.arange(stop - first, dtype=np.int32) * (width + 1), np.diff(bounds))
        there = np.flatnonzero(places < len(rows.table_of))
        counts = np.zeros((stop - first) * (width + 1), np.int64)
        for number, table in enumerate(rows.tables):
            which = there[rows.table_of[places[there]] == number]
            step = max(1, _PAIRS // table.shape[1])
            for start in range(0, len(which), step):
                chosen = which[start : start + step]
                cells = table[rows.row[places[chosen]]]
                cells += own[chosen, None]
                counts += np.bincount(cells.reshape(-1), minlength=len(counts))
        yield _of_table(counts.reshape(-1, width + 1)[:, :width], first, stop, 1)


def counts_within(sample: SampledRows, least: int) -> Iterator[JointCounts]:
    """The same for an SAE's features among themselves, pairs of at least `least` rows alone.

    A pair of features of a narrow SAE is counted once, not in both directions.
    """
    rows, width = sample.by_row(), sample.features
    if width**2 > _WHOLE_TABLE:
        for found in joint_counts(sample, rows, width):
            enough = found.counts >= least
            yield JointCounts(
                found.first,
                found.stop,
                found.features[enough],
                found.partners[enough],
                found.counts[enough],
            )
        return
    pairs = int((np.diff(rows.bounds) ** 2).sum()) // 2
    dense = pairs * _PAIR_IN_CELLS > len(rows.places) * width**2
    table = _by_product(rows, width) if dense else _upper_triangle(rows, width)
    table += table.T.copy()
    np.fill_diagonal(table, sample.firings)
    step = max(1, _PAIRS // width)
    for first in range(0, width, step):
        stop = min(first + step, width)
        yield _of_table(table[first:stop], first, stop, least)


@dataclass(frozen=True, slots=True)
class _PaddedRows:
    """The features of each row, in tables by how many there are."""

    tables: list[np.ndarray]  # int32 [rows, most]: features ascending, then as many as there are
    table_of: np.ndarray  # int8 [places]: the table that a place's row is in, −1: none
    row: np.ndarray  # int32 [places]: its row there


def _pad(rows: FeaturesOfRows, width: int) -> _PaddedRows:
    counts = np.diff(rows.bounds)
    size = int(rows.places[-1]) + 1 if len(rows.places) else 0
    found = _PaddedRows([], np.full(size, -1, np.int8), np.zeros(size, np.int32))
    doublings = np.ceil(np.log2(counts))
    for number, each in enumerate(np.unique(doublings)):
        inside = doublings == each
        own = counts[inside]
        table = np.full((len(own), int(own.max())), width, np.int32)
        table[np.arange(table.shape[1]) < own[:, None]] = rows.features[np.repeat(inside, counts)]
        found.tables.append(table)
        found.table_of[rows.places[inside]] = number
        found.row[rows.places[inside]] = np.arange(len(own))
    return found


def _upper_triangle(rows: FeaturesOfRows, width: int) -> np.ndarray:
    """Counts of pairs i < j, int32 [width, width]."""
    counted = np.zeros((width, width), np.int32)
    block = max(1, _CELLS // (width + 1))
    blocks = -(-width // block)
    sorted_tables = [
        (table, *_by_block(table, block, blocks)) for table in _pad(rows, width).tables
    ]
    for number in range(blocks):
        first = number * block
        counts = np.zeros(block * (width + 1), np.int64)
        waiting: list[np.ndarray] = []
        for table, order, starts in sorted_tables:
            most = table.shape[1]
            for place in range(most - 1):
                start, stop = starts[number * most + place : number * most + place + 2]
                for at in range(start, stop, step := max(1, _PAIRS // most)):
                    chosen = order[at : min(at + step, stop)]
                    found = table.take(chosen, axis=0)
                    own = (found[:, place, None] - first) * (width + 1)
                    waiting.append((found[:, place + 1 :] + own).reshape(-1))
                    if sum(map(len, waiting)) >= _PAIRS:
                        counts += np.bincount(np.concatenate(waiting), minlength=len(counts))
                        waiting = []
        if waiting:
            counts += np.bincount(np.concatenate(waiting), minlength=len(counts))
        stop = min(first + block, width)
        counted[first:stop] = counts.reshape(block, -1)[: stop - first, :width]
    return counted


def _by_block(table: np.ndarray, block: int, blocks: int) -> tuple[np.ndarray, np.ndarray]:
    """(rows of the table's entries by block of features, then by place in the row; the starts of
    each block's places).
    """
    most = table.shape[1]
    last = blocks * most  # the fillings'
    groups = table // block * most + np.arange(most, dtype=np.int32)
    groups[table >= block * blocks] = last
    keys = smallest(np.minimum(groups, last).reshape(-1), last + 1)
    order = stable_order(keys)
    return order // most, np.searchsorted(keys[order], np.arange(last + 1))


def _by_product(rows: FeaturesOfRows, width: int) -> np.ndarray:
    """Counts of pairs i < j, int32 [width, width], where so many features fire that a product of
    dense rows is faster.
    """
    counted = torch.zeros(width, width, dtype=torch.int32)
    for first in range(0, len(rows.places), _ROWS_PER_PRODUCT):
        bounds = rows.bounds[first : first + _ROWS_PER_PRODUCT + 1]
        fires = torch.zeros(len(bounds) - 1, width)
        own = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
        fires[own, rows.features[bounds[0] : bounds[-1]].astype(np.int64)] = 1
        counted += (fires.T @ fires).to(torch.int32)
    return counted.triu_(1).numpy()


def _of_table(table: np.ndarray, first: int, stop: int, least: int) -> JointCounts:
    features, partners = np.divmod(np.flatnonzero(table >= least), table.shape[1])
    counts = table[features, partners].astype(np.int64)
    return JointCounts(first, stop, features + first, partners, counts)
