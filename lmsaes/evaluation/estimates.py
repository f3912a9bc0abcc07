"""Estimates with standard errors over contexts, and whether two of them differ.

Tokens of a context are not independent, so that contexts are what is sampled. Each figure is a
ratio of two sums over contexts, R = Σ a_c / Σ b_c, and its error comes from the first-order
expansion of that ratio (the delta method; Cochran, Sampling Techniques, 1977, §6.3):

    SE(R)² = n / (n − 1) · Σ_c z_c²      z_c = (a_c − R · b_c) / Σ b_c

z_c is context c's influence on R. Two figures on the same contexts differ by R − R', with the
influence z_c − z'_c: what makes a context hard for both cancels.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

SIGNIFICANT = 1.959964
"""Standard errors between two values that differ at the 5 % level, of a normal distribution."""


@dataclass(frozen=True)
class Estimate:
    """A figure, its standard error, and each context's influence on it, float64 [contexts]."""

    value: float
    se: float | None
    influence: Tensor | None = None

    def complement(self) -> "Estimate":
        """One minus the figure."""
        negated = None if self.influence is None else -self.influence
        return Estimate(1 - self.value, self.se, negated)


def ratio(numerators: Tensor, denominators: Tensor) -> Estimate | None:
    """Σ numerators / Σ denominators, float64 [contexts]; None unless that is a finite number and
    the denominators' sum is above 0. The error is None of fewer than two contexts."""
    total = float(denominators.sum())
    if not total > 0:
        return None
    value = float(numerators.sum()) / total
    if not math.isfinite(value):
        return None
    influence = (numerators - value * denominators) / total
    return Estimate(value, _error(influence), influence)


def difference(first: Estimate, second: Estimate) -> Estimate | None:
    """The first figure less the second, both on the same contexts; None where an influence isn't
    known."""
    if first.influence is None or second.influence is None:
        return None
    influence = first.influence - second.influence
    return Estimate(first.value - second.value, _error(influence), influence)


def share_ever(singles: Tensor, total: int, size: int) -> Estimate:
    """`total` of `size` features that occur in any context, as a share, with the jackknife's error.

    `singles` [contexts] counts the features that occur in a context and in no other: the share
    that a leaving out of that context loses.
    """
    contexts = singles.shape[0]
    if contexts < 2:
        return Estimate(total / size, None)
    left_out = (total - singles.double()) / size
    spread = (left_out - left_out.mean()).square().sum()
    return Estimate(total / size, math.sqrt(float(spread) * (contexts - 1) / contexts))


def share_above(rates: Tensor, errors: Tensor | None, border: float) -> Estimate:
    """Share of `rates` [features] above `border`, and its error from those of the rates.

    A rate counts to the error by its chance p of lying above the border, p(1 − p), as if features
    were independent of each other. errors: None where they aren't known.
    """
    value = float((rates > border).double().mean())
    if errors is None:
        return Estimate(value, None)
    distance = (rates - border) / errors.clamp(min=1e-300)
    chance = torch.special.ndtr(distance)
    return Estimate(value, math.sqrt(float((chance * (1 - chance)).sum())) / rates.shape[0])


def _error(influence: Tensor) -> float | None:
    contexts = influence.shape[0]
    if contexts < 2:
        return None
    return math.sqrt(float(influence.square().sum()) * contexts / (contexts - 1))
