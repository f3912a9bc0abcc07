"""FVU, L0 and dead features, by the one formula that training and analysis both use.

    FVU    Σ ‖y − ŷ‖² / (rows · Σ_i Var y_i)      fraction of variance unexplained
    L0     Σ firings / rows                        active features per row
    dead   features that have not fired for a window of tokens / features

The variance is that of the whole data set, not of a batch, and the error is what the SAE misses
with its mean: 1 − FVU is what SAELens calls explained variance. The sums stay on the device, so
that adding a batch never waits for it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lmsaes.parallel import widest_float


class ReconstructionSums:
    """Running sums of squared error and firings over rows, on a device."""

    def __init__(self, device: torch.device) -> None:
        self.rows = 0
        self.sums = torch.zeros(2, dtype=widest_float(device), device=device)  # error, firings

    def add(self, squared_error: Tensor, firings: Tensor, rows: int) -> None:
        """Adds a batch of `rows` rows.

        `squared_error` is a scalar, ‖y − ŷ‖² summed over rows and dimensions; `firings` of any
        shape counts activations above 0.
        """
        self.rows += rows
        self.sums += torch.stack([squared_error.to(self.sums), firings.sum().to(self.sums)])

    def fvu(self, variance: float) -> float | None:
        """Fraction of variance unexplained; None without rows or variance.

        `variance` is the expected squared distance of a target row from the mean of all rows,
        Σ over dimensions of Var y_i, in the units of the squared error.
        """
        total = self.rows * variance
        return float(self.sums[0]) / total if total > 0 else None

    @property
    def l0(self) -> float | None:
        """Mean number of active features per row; None without rows."""
        return float(self.sums[1]) / self.rows if self.rows else None

    def reset(self) -> None:
        self.rows = 0
        self.sums.zero_()


def dead_fraction(silent_for: Tensor, window: int) -> float:
    """Share of features that have not fired for at least `window` tokens.

    `silent_for` int64 [features] counts the tokens since each feature last fired.
    """
    return int((silent_for >= window).count_nonzero()) / silent_for.numel()


def never_fired_fraction(firings: Tensor) -> float:
    """Share of features that fired on none of the rows over which `firings` [features] counts:
    the dead fraction where the window is the whole data set.
    """
    return int((firings == 0).count_nonzero()) / firings.numel()
