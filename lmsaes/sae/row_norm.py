"""Layer norm of each row, and back: its statistics are the row's own, so no weights can hold it."""

from dataclasses import dataclass

from einops import rearrange
from torch import Tensor

# What a constant row is divided by where eps is 0; far below any real row's deviation.
_SMALLEST = 1e-6


@dataclass(frozen=True, slots=True)
class NormalizedRows:
    """Rows whose parts (one per hook) each have mean 0 and deviation 1, and what undoes that."""

    rows: Tensor  # [rows, d]
    mean: Tensor  # [rows, parts, 1]
    deviation: Tensor  # [rows, parts, 1]

    def restored(self, rows: Tensor) -> Tensor:
        """`rows` [rows, d], given in normalized units, in those that the originals had."""
        parts = rearrange(rows, "rows (parts d) -> rows parts d", parts=self.mean.shape[1])
        return _joined(parts * self.deviation + self.mean)


def normalize_rows(x: Tensor, parts: int, eps: float = 0.0, ddof: int = 0) -> NormalizedRows:
    """Layer norm without weights of `x` [rows, parts · d]: (x − mean) / (deviation + eps) by part.

    ddof: 0 divides the squares by d, 1 by d − 1, as torch's `std` does. SAELens and OpenAI's SAEs
    take eps 1e-5 and ddof 1, and put the deviation back without eps.
    """
    cut = rearrange(x, "rows (parts d) -> rows parts d", parts=parts)
    mean = cut.mean(2, keepdim=True)
    centered = cut - mean
    variance = centered.square().sum(2, keepdim=True) / (cut.shape[2] - ddof)
    deviation = variance.sqrt()
    normalized = centered / (deviation + eps).clamp(min=_SMALLEST)
    return NormalizedRows(_joined(normalized), mean, deviation)


def _joined(parts: Tensor) -> Tensor:
    return rearrange(parts, "rows parts d -> rows (parts d)")
