"""Inputs are centred and scaled while training, so that one learning rate suits every hook."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from lmsaes.errors import ConfigError
from lmsaes.sae.config import NormalizationKind


class HookStatistics(Protocol):
    """What the cache knows of a hook's rows, in their own units."""

    @property
    def mean(self) -> Sequence[float]: ...
    @property
    def variance(self) -> Sequence[float]: ...
    @property
    def mean_norm(self) -> float: ...


@dataclass(frozen=True)
class Normalization:
    """x → (x − mean)·scale, per dimension."""

    mean: Tensor  # float32 [d]
    scale: Tensor  # float32 [d]
    variance: float  # expected squared distance of a row from the mean, in training units

    @staticmethod
    def of(statistics: HookStatistics, kind: NormalizationKind) -> Normalization:
        """For one hook.

        `mean_square`: centred, and scaled so that E‖x − mean‖² = d.
        `mean_norm`: scaled so that E‖x‖ = √d, as Anthropic and SAELens do; not centred.
        `none`: left as it is.
        """
        mean = torch.tensor(statistics.mean, dtype=torch.float64)
        variance = float(torch.tensor(statistics.variance, dtype=torch.float64).sum())
        d = mean.shape[0]
        if variance <= 0:
            raise ConfigError("the cached activations are constant", "nothing can be learnt here")
        scale = 1.0
        if kind == "mean_square":
            scale = (d / variance) ** 0.5
        elif kind == "mean_norm":
            scale = d**0.5 / statistics.mean_norm
        if kind != "mean_square":
            mean = torch.zeros_like(mean)
        return Normalization(mean.float(), torch.full((d,), scale), variance * scale**2)

    @staticmethod
    def joined(parts: Sequence[Normalization]) -> Normalization:
        """For several hooks side by side, each normalised on its own."""
        return Normalization(
            torch.cat([part.mean for part in parts]),
            torch.cat([part.scale for part in parts]),
            sum(part.variance for part in parts),
        )

    def to(self, device: torch.device) -> Normalization:
        return Normalization(self.mean.to(device), self.scale.to(device), self.variance)

    def __call__(self, x: Tensor) -> Tensor:
        """float32 [rows, d] in training units, from raw rows of any float dtype."""
        return x.float().sub(self.mean).mul_(self.scale)
