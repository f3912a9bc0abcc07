"""Sums by context of what figures are ratios of: reconstruction, firings, predictions.

A context has a handful of numbers, so that memory grows with contexts, not with rows.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from lmsaes.evaluation.estimates import Estimate, ratio
from lmsaes.parallel import widest_float

# Figure: numerator, denominator. `a - b` is a difference of two sums.
_RATIOS = {
    "l0": ("firings", "rows"),
    "l1": ("activation", "rows"),
    "mse": ("squared_error", "rows"),
    "fvu": ("squared_error", "variation"),
    "cosine_similarity": ("cosine", "rows"),
    "norm_ratio": ("norm_ratio", "rows"),
    "relative_reconstruction_bias": ("squared_output", "dot"),
    "ce_clean": ("ce_clean", "targets"),
    "ce_sae": ("ce_sae", "targets"),
    "ce_zero": ("ce_zero", "targets"),
    "ce_mean": ("ce_mean", "targets"),
    "ce_recovered_zero": ("ce_zero - ce_sae", "ce_zero - ce_clean"),
    "ce_recovered_mean": ("ce_mean - ce_sae", "ce_mean - ce_clean"),
    "kl": ("kl_sae", "predictions"),
    "kl_zero": ("kl_zero", "predictions"),
    "kl_recovered_zero": ("kl_zero - kl_sae", "kl_zero"),
}
SMALL_NORM = 1e-4  # a norm below it counts as 1 in the norm ratio, as in SAELens


class ContextSums:
    """Sums by context, float64 [contexts] once all chunks are in."""

    def __init__(self) -> None:
        self._chunks: dict[str, list[Tensor]] = {}

    def add(self, sums: Mapping[str, Tensor]) -> None:
        """Adds the next contexts' sums, each [contexts of the chunk]."""
        for name, values in sums.items():
            self._chunks.setdefault(name, []).append(values.double().cpu())

    def sums(self, name: str) -> Tensor | None:
        """One sum by context, or `a - b` of two; None where it wasn't measured."""
        first, _, second = name.partition(" - ")
        if second:
            left, right = self.sums(first), self.sums(second)
            return None if left is None or right is None else left - right
        chunks = self._chunks.get(name)
        return torch.cat(chunks) if chunks else None

    def estimates(self) -> dict[str, Estimate]:
        """Every figure that was measured, by its name."""
        found: dict[str, Estimate] = {}
        for figure, (numerator, denominator) in _RATIOS.items():
            above, below = self.sums(numerator), self.sums(denominator)
            if above is None or below is None:
                continue
            estimate = ratio(above, below)
            if estimate is not None:
                found[figure] = estimate
        if "fvu" in found:
            found["explained_variance"] = found["fvu"].complement()
        return found


class ReconstructionByContext:
    """What figures of reconstruction need of rows y [rows, d] and their reconstructions.

    The variance is about the mean of all rows that were added, which is known only at the end:
    squares are summed about `center` and moved to the mean by `finish`, each context by its share
    of rows. The ratio's value is exact by that; its error leaves out what the estimate of the mean
    adds, which is 0 to first order.
    """

    def __init__(self, sums: ContextSums, center: Tensor) -> None:
        """center: [d], near the rows' mean."""
        self._sums, self._center = sums, center
        self._shift = torch.zeros_like(center, dtype=widest_float(center.device))
        self._rows = 0

    def add(self, y: Tensor, output: Tensor, context: Tensor, contexts: int) -> dict[str, Tensor]:
        """Sums of rows `y` and reconstructions `output`, both [rows, d], by `context` int64 [rows]
        of `contexts`."""
        centered = y - self._center
        self._shift += centered.to(self._shift).sum(0)
        self._rows += y.shape[0]
        norm, output_norm = y.norm(dim=1), output.norm(dim=1)
        dot = (y * output).sum(1)
        parts = {
            "rows": torch.ones_like(norm),
            "squared_error": (y - output).square().sum(1),
            "squares": centered.square().sum(1),
            "cosine": dot / (norm * output_norm).clamp(min=1e-12),
            "norm_ratio": output_norm / torch.where(norm < SMALL_NORM, 1.0, norm),
            "squared_output": output_norm.square(),
            "dot": dot,
        }
        return {name: by_context(values, context, contexts) for name, values in parts.items()}

    def finish(self) -> None:
        """Turns squares about the center into squares about the mean."""
        squares, rows = self._sums.sums("squares"), self._sums.sums("rows")
        if squares is None or rows is None or not self._rows:
            return
        off_center = float((self._shift / self._rows).square().sum())
        # Rounding may leave a little above or below 0 where all rows are equal.
        variation = squares - rows * off_center
        if float(variation.sum()) > 1e-12 * float(squares.sum()):
            self._sums.add({"variation": variation})


def by_context(values: Tensor, context: Tensor, contexts: int) -> Tensor:
    """Sums of `values` [n] by `context` int64 [n], in the widest float, [contexts]."""
    sums = torch.zeros(contexts, dtype=widest_float(values.device), device=values.device)
    return sums.index_add_(0, context, values.to(sums.dtype))
