"""Segments: firings sorted by feature, cut where the feature or the context changes.

All statistics of the pass are sums, maxima and choices over segments, so a batch is sorted once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from lmsaes.sae import SparseRows


@dataclass(frozen=True, slots=True)
class Segments:
    """Firings of features in contexts. Segment s holds entries `bounds[s]` to `bounds[s + 1]`.

    From `segments_of` they ascend by feature, then by context, and entries by position.
    """

    features: np.ndarray  # int32 [segments]
    contexts: np.ndarray  # uint32 [segments], numbers in the cache
    peaks: np.ndarray  # float32 [segments], the largest activation
    bounds: np.ndarray  # int64 [segments + 1]
    positions: np.ndarray  # unsigned [entries], in the context
    values: np.ndarray  # [entries], above 0

    def __len__(self) -> int:
        return len(self.features)

    @property
    def lengths(self) -> np.ndarray:
        """Entries of each segment, int64 [segments]."""
        return np.diff(self.bounds)

    def per_entry(self, of_segments: np.ndarray) -> np.ndarray:
        """A value of each segment, repeated for its entries."""
        return np.repeat(of_segments, self.lengths)

    def where(self, keep: np.ndarray) -> Segments:
        """Only the segments at which `keep`, bool, is true."""
        entries = self.per_entry(keep)
        return Segments(
            self.features[keep],
            self.contexts[keep],
            self.peaks[keep],
            _bounds(self.lengths[keep]),
            self.positions[entries],
            self.values[entries],
        )

    def take(self, order: np.ndarray) -> Segments:
        """The segments `order`, int64, in that order."""
        lengths = self.lengths[order]
        bounds = _bounds(lengths)
        entries = np.repeat(self.bounds[order] - bounds[:-1], lengths) + np.arange(bounds[-1])
        return Segments(
            self.features[order],
            self.contexts[order],
            self.peaks[order],
            bounds,
            self.positions[entries],
            self.values[entries],
        )

    def between(self, start: int, stop: int) -> Segments:
        """Segments start to stop, without a copy of their entries."""
        first, last = self.bounds[start], self.bounds[stop]
        return Segments(
            self.features[start:stop],
            self.contexts[start:stop],
            self.peaks[start:stop],
            self.bounds[start : stop + 1] - first,
            self.positions[first:last],
            self.values[first:last],
        )

    def with_entries(self, positions: np.ndarray, values: np.ndarray) -> Segments:
        """The same segments with their entries written otherwise."""
        return replace(self, positions=positions, values=values)


def segments_of(
    rows: SparseRows, first: int, context_size: int, counts: Tensor | None = None
) -> Segments:
    """The segments of a batch of whole contexts, of which `first` is the number of the first.

    Sorted where `rows` lie, then on the CPU. counts: bool [rows], which rows do; None: all.
    """
    # Two bytes are sorted in a third of the time that eight take.
    ids = torch.int16 if rows.features < 2**15 else torch.int32
    keys, row_ids = rows.indices.to(ids), rows.row_ids()
    used = rows.nnz
    if counts is not None:  # what does not count is sorted to the end
        left_out = ~counts[row_ids]
        keys.masked_fill_(left_out, rows.features)
        used -= int(left_out.sum())
    sorted_features, order = keys.sort(stable=True)
    order = order[:used]
    row = row_ids.to(torch.int32).index_select(0, order).cpu().numpy()
    values = rows.values.float().index_select(0, order).cpu().numpy()
    features = sorted_features[:used].cpu().numpy()
    context, position = np.divmod(row, np.int32(context_size))
    change = (features[1:] != features[:-1]) | (context[1:] != context[:-1])
    starts = np.concatenate([[0], np.flatnonzero(change) + 1])[: len(features)].astype(np.int64)
    return Segments(
        features[starts].astype(np.int32),
        (context[starts] + np.int64(first)).astype(np.uint32),
        np.maximum.reduceat(values, starts) if len(starts) else values,
        np.append(starts, len(features)),
        position.astype(position_type(context_size)),
        values,
    )


def join(parts: Sequence[Segments]) -> Segments:
    """The segments of all parts, one part after the other; there is at least one."""
    return Segments(
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.contexts for part in parts]),
        np.concatenate([part.peaks for part in parts]),
        _bounds(np.concatenate([part.lengths for part in parts])),
        np.concatenate([part.positions for part in parts]),
        np.concatenate([part.values for part in parts]),
    )


def position_type(context_size: int) -> np.dtype:
    """The smallest unsigned type for a position in a context."""
    return np.min_scalar_type(context_size - 1)


def _bounds(lengths: np.ndarray) -> np.ndarray:
    bounds = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=bounds[1:])
    return bounds
