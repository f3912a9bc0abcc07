"""Rows brought to mean 0 and variance 1 each, and back: a normalisation no weights can hold."""

from dataclasses import dataclass

import torch
from torch import Tensor

# Of a row that is constant; far below any real one.
_SMALLEST = 1e-6


@dataclass(frozen=True, slots=True)
class StandardRows:
    """Rows whose parts (one per hook) each have mean 0 and variance 1, and what undoes that."""

    rows: Tensor  # [rows, d]
    mean: Tensor  # [rows, parts, 1]
    deviation: Tensor  # [rows, parts, 1]

    def restored(self, rows: Tensor) -> Tensor:
        """`rows` [rows, d], given in standard units, in those that the originals had."""
        parts = rows.view(rows.shape[0], self.mean.shape[1], -1)
        return (parts * self.deviation + self.mean).view_as(rows)


def standard_rows(x: Tensor, parts: int) -> StandardRows:
    """`x` [rows, d], cut into `parts` of equal length; rows that are standard stay as they are."""
    cut = x.reshape(x.shape[0], parts, -1)
    mean = cut.mean(2, keepdim=True)
    centred = cut - mean
    deviation = centred.square().mean(2, keepdim=True).sqrt().clamp(min=_SMALLEST)
    return StandardRows(torch.div(centred, deviation).view(x.shape), mean, deviation)
