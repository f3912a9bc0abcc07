"""Normalization of inputs while training, so that one learning rate suits every hook."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from lmsaes.errors import ConfigError
from lmsaes.parallel import widest_float
from lmsaes.sae import NormalizationKind, normalize_rows

# Kinds that the cache's statistics don't suffice for.
FROM_ROWS = ("layer_norm", "whiten")
# Added to the covariance's eigenvalues, as a share of their mean: directions of hardly any
# variance would otherwise count as much as all others, noise and all.
_WHITENING_FLOOR = 1e-3


class HookStatistics(Protocol):
    """What the cache knows of a hook's rows, in their own units."""

    @property
    def mean(self) -> Sequence[float]: ...
    @property
    def variance(self) -> Sequence[float]: ...
    @property
    def mean_norm(self) -> float: ...


@dataclass(frozen=True, eq=False)
class Normalization:
    """x → (x − mean)·scale, where `parts` isn't 0 of rows of mean 0 and variance 1."""

    mean: Tensor  # float32 [d]
    scale: Tensor  # float32 [d], or symmetric [d, d]
    variance: float  # expected squared distance of a row from the mean, in training units
    center: Tensor | None = None  # float32 [d]: rows' mean in training units, where it isn't zero
    parts: int = 0  # parts of a row that are brought to mean 0 and variance 1, each by itself
    eps: float = 0.0  # of that, as `normalize_rows` takes them
    ddof: int = 0

    @staticmethod
    def of(
        statistics: HookStatistics,
        kind: NormalizationKind,
        rows: Tensor | None = None,
        eps: float = 0.0,
        ddof: int = 0,
    ) -> Normalization:
        """For one hook; `rows` float32 [n, d] are a sample, for the kinds in FROM_ROWS.

        mean_square  centered, and scaled so that E‖x − mean‖² = d
        mean_norm    scaled so that E‖x‖ = √d, as Anthropic and SAELens do; not centered
        layer_norm   each row to mean 0 and variance 1
        whiten       centered, and turned so that the covariance is the identity (ZCA)
        none         left as it is

        Raises ConfigError where the rows are constant.
        """
        mean = torch.tensor(statistics.mean, dtype=torch.float64)
        variance = float(torch.tensor(statistics.variance, dtype=torch.float64).sum())
        d = mean.shape[0]
        if variance <= 0:
            raise ConfigError("the cached activations are constant", "nothing can be learned here")
        if kind == "mean_square":
            scale = (d / variance) ** 0.5
            return Normalization(mean.float(), torch.full((d,), scale), float(d))
        if kind == "whiten":
            assert rows is not None
            return _whitening(mean, rows)
        here, ones = torch.zeros(d), torch.ones(d)
        if kind == "layer_norm":
            assert rows is not None
            rows = normalize_rows(rows.double(), 1, eps, ddof).rows
            center = rows.mean(0)
            variance = float((rows - center).square().sum(1).mean())
            return Normalization(here, ones, variance, center.float(), 1, eps, ddof)
        scale = d**0.5 / statistics.mean_norm if kind == "mean_norm" else 1.0
        return Normalization(here, ones * scale, variance * scale**2, (mean * scale).float())

    @staticmethod
    def joined(parts: Sequence[Normalization]) -> Normalization:
        """For several hooks side by side, each normalized on its own."""
        if len(parts) == 1:
            return parts[0]
        scales = [part.scale for part in parts]
        centers = [part.center for part in parts if part.center is not None]
        return Normalization(
            torch.cat([part.mean for part in parts]),
            torch.cat(scales) if scales[0].dim() == 1 else torch.block_diag(*scales),
            sum(part.variance for part in parts),
            torch.cat(centers) if centers else None,
            sum(part.parts for part in parts),
            parts[0].eps,
            parts[0].ddof,
        )

    def to(self, device: torch.device | str) -> Normalization:
        center = None if self.center is None else self.center.to(device)
        mean, scale = self.mean.to(device), self.scale.to(device)
        return replace(self, mean=mean, scale=scale, center=center)

    def __call__(self, x: Tensor) -> Tensor:
        """float32 [rows, d] in training units, from raw rows of any float dtype."""
        x = x.float()
        if self.parts:
            x = normalize_rows(x, self.parts, self.eps, self.ddof).rows
        centered = x.sub(self.mean)
        return centered.mul_(self.scale) if self.scale.dim() == 1 else centered @ self.scale

    def undo(self, x: Tensor) -> Tensor:
        """Rows in their own units, in the widest float dtype, from rows [rows, d] in training
        units; where each row was brought to mean 0 and variance 1 it stays so.
        """
        wide = widest_float(x.device)
        x, mean = x.to(wide), self.mean.to(wide)
        if self.scale.dim() == 1:
            return x / self.scale.to(wide) + mean
        return x @ self._inverse_scale.to(x) + mean

    @cached_property
    def _inverse_scale(self) -> Tensor:
        return torch.linalg.inv(self.scale.cpu().double())


def _whitening(mean: Tensor, rows: Tensor) -> Normalization:
    centered = rows.double() - mean
    variances, directions = torch.linalg.eigh(centered.T @ centered / centered.shape[0])
    variances = variances.clamp(min=0)
    floored = variances + _WHITENING_FLOOR * variances.mean()
    scale = directions / floored.sqrt() @ directions.T
    return Normalization(mean.float(), scale.float(), float((variances / floored).sum()))
