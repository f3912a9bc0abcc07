"""Reconstructions by growing parts of the same active features, in one sparse product."""

import torch
from torch import Tensor

from lmsaes.sae.sparse_ops import sparse_decode
from lmsaes.sae.sparse_rows import SparseRows


def nested_decode(features: SparseRows, bounds: Tensor, W_dec: Tensor) -> Tensor:
    """What the first entries of each row reconstruct, for several ends.

    `bounds` int64 [rows, levels + 1] cuts each row's entries: level j takes those from
    `bounds[:, 0]` (the row's first) to `bounds[:, j + 1]`, the last level all of them. Returns
    [rows, levels, d]. Each entry is multiplied once, as a row of its own part; the levels are
    running sums of the parts.
    """
    rows, levels = bounds.shape[0], bounds.shape[1] - 1
    offsets = torch.cat([bounds[:, :-1].reshape(-1), bounds[-1, -1:]])
    parts = sparse_decode(features.regrouped(offsets), W_dec)
    return parts.view(rows, levels, -1).cumsum(1)
