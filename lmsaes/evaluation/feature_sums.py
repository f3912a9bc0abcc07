"""Which features are alive and which dense, their densities, and how alike their directions are."""

import math

import torch
from torch import Tensor

from lmsaes.evaluation.estimates import Estimate, share_above, share_ever
from lmsaes.sae import row_norms

_DECADES = 8  # densities from 1e-8 to 1
_BINS_PER_DECADE = 4
_VALUES_AT_ONCE = 1 << 26


class FeatureSums:
    """Firings of each feature over contexts, in memory that doesn't grow with them."""

    def __init__(self, features: int, device: torch.device) -> None:
        self.features = features
        self.rows = self.contexts = 0

        def zeros() -> Tensor:
            return torch.zeros(features, dtype=torch.int64, device=device)

        self.firings, self._squares = zeros(), zeros()  # Σ_c k_c and Σ_c k_c²
        self._cross = zeros()  # Σ_c k_c · n_c, n_c the rows of context c
        self._row_squares = 0  # Σ_c n_c²
        self._occurrences = zeros()  # contexts in which it fired
        self._last = zeros()  # the last of them

    def add(self, counts: Tensor, rows: Tensor) -> None:
        """Adds the next contexts: `counts` int64 [contexts, features] of rows on which each
        feature fired, and `rows` int64 [contexts], how many rows each context has."""
        self.firings += counts.sum(0)
        self._squares += counts.square().sum(0)
        self._cross += (counts * rows[:, None]).sum(0)
        self._row_squares += int(rows.square().sum())
        fired = counts > 0
        self._occurrences += fired.sum(0)
        ids = torch.arange(counts.shape[0], device=counts.device) + self.contexts
        self._last = torch.maximum(self._last, (fired * ids[:, None]).amax(0))
        self.contexts += counts.shape[0]
        self.rows += int(rows.sum())

    @property
    def density(self) -> Tensor:
        """Share of rows on which each feature fired, float64 [features]."""
        return self.firings.cpu().double() / max(self.rows, 1)

    def density_errors(self) -> Tensor | None:
        """Standard error over contexts of each density, of the ratio Σ k_c / Σ n_c; [features]."""
        n = self.contexts
        if n < 2 or not self.rows:
            return None
        density = self.density
        spread = (
            self._squares.cpu().double()
            - 2 * density * self._cross.cpu().double()
            + density.square() * self._row_squares
        )
        return (spread.clamp(min=0) * n / (n - 1)).sqrt() / self.rows

    def estimates(self) -> dict[str, Estimate]:
        """Shares of features that are alive, and dense: above 1 % and 10 % of rows."""
        if not self.rows:
            return {}
        single = self._occurrences == 1
        singles = torch.bincount(self._last[single], minlength=self.contexts).cpu()
        alive = int((self.firings > 0).sum())
        density, errors = self.density, self.density_errors()
        return {
            "alive": share_ever(singles, alive, self.features),
            "dense_1": share_above(density, errors, 0.01),
            "dense_10": share_above(density, errors, 0.1),
        }

    def histogram(self) -> tuple[list[int], list[float]]:
        """How many features have a density in each bin, and the bins' borders, equal in log10.

        Features that never fired are in none.
        """
        bins = _DECADES * _BINS_PER_DECADE
        edges = [10 ** (i / _BINS_PER_DECADE - _DECADES) for i in range(bins + 1)]
        density = self.density
        place = (density[density > 0].log10() + _DECADES) * _BINS_PER_DECADE
        counts = torch.bincount(place.floor().long().clamp(0, bins - 1), minlength=bins)
        return counts.tolist(), edges


def nearest_cosines(W_dec: Tensor) -> Tensor | None:
    """The largest cosine of each row of `W_dec` [features, d] to another row, [features].

    None of a single row. A row of zeros has cosine 0 to all.
    """
    features = W_dec.shape[0]
    if features < 2:
        return None
    unit = W_dec.float() / row_norms(W_dec.float()).clamp(min=1e-30)[:, None]
    step = max(1, _VALUES_AT_ONCE // features)
    found: list[Tensor] = []
    for start in range(0, features, step):
        cosines = unit[start : start + step] @ unit.T
        own = torch.arange(start, start + cosines.shape[0], device=unit.device)
        cosines[own - start, own] = -math.inf
        found.append(cosines.amax(1))
    return torch.cat(found)
