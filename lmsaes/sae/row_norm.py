"""Each row brought to mean 0 and deviation 1, and back: layer norm, which no weights can hold."""

from dataclasses import dataclass

import torch
from torch import Tensor

# Of a row that is constant; far below any real one.
_SMALLEST = 1e-6


@dataclass(frozen=True, slots=True)
class NormalizedRows:
    """Rows whose parts (one per hook) each have mean 0 and deviation 1, and what undoes that."""

    rows: Tensor  # [rows, d]
    mean: Tensor  # [rows, parts, 1]
    deviation: Tensor  # [rows, parts, 1]

    def restored(self, rows: Tensor) -> Tensor:
        """`rows` [rows, d], given in normalized units, in those that the originals had."""
        parts = rows.view(rows.shape[0], self.mean.shape[1], -1)
        return (parts * self.deviation + self.mean).view_as(rows)


def normalize_rows(x: Tensor, parts: int, eps: float = 0.0, ddof: int = 0) -> NormalizedRows:
    """`x` [rows, d], cut into `parts` of equal length: (x − mean) / (deviation + eps).

    ddof: 0 divides the squares by n, 1 by n − 1, as torch's `std` does. SAELens and OpenAI's SAEs
    take eps 1e-5 and ddof 1, and put the deviation back without eps.
    """
    cut = x.reshape(x.shape[0], parts, -1)
    mean = cut.mean(2, keepdim=True)
    centered = cut - mean
    variance = centered.square().sum(2, keepdim=True) / (cut.shape[2] - ddof)
    deviation = variance.sqrt().clamp(min=_SMALLEST)
    return NormalizedRows(torch.div(centered, deviation + eps).view(x.shape), mean, deviation)
