"""For each feature, the heads or neurons whose weights face it most, of all that are looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from einops import einsum, rearrange
from torch import Tensor

from lmsaes.database import Table

_KEPT = 8
_CHUNK = 512


@dataclass(frozen=True)
class MetDirections:
    """Directions of all features, [features, width], as a part meets them."""

    rows: Tensor
    own_basis: bool = False  # a row has an entry for each of the part's own outputs

    @cached_property
    def squares(self) -> Tensor:
        """Mean over features of d dᵀ, float32 [width, width]: it gives mean squares of products."""
        rows = self.rows.double()
        return (rows.T @ rows / len(rows)).float()


class StrongestParts:
    """Takes weights block by block, and keeps the parts of largest ratio of each feature.

    features: which of all are looked at; the baseline of a part is over all.
    """

    def __init__(self, features: slice) -> None:
        self._features = features
        self._ratios = self._weights = self._codes = torch.empty(0)

    def add_heads(
        self, met: MetDirections, weights: Tensor, layer: int, by: int, shared: int = 1
    ) -> None:
        """weights: [heads, width, d_head]. shared: how many query heads have each one."""
        count = len(weights)
        if met.own_basis:

            def sizes(rows: Tensor) -> Tensor:
                return rearrange(rows, "f (h k) -> f h k", h=count).norm(dim=2)

            squares = sizes(met.rows).square().mean(0)
        else:
            w = weights.to(met.rows)

            def sizes(rows: Tensor) -> Tensor:
                return einsum(rows, w, "f d, h d k -> f h k").norm(dim=2)

            squares = (w * (met.squares @ w)).sum((1, 2))
        self._add(met.rows, sizes, squares, layer, torch.arange(count) * shared, shared, by)

    def add_neurons(self, met: MetDirections, weights: Tensor, layer: int, by: int) -> None:
        """weights: [width, neurons]."""
        if met.own_basis:
            products, squares = (lambda rows: rows), met.rows.square().mean(0)
        else:
            w = weights.to(met.rows)
            products, squares = (lambda rows: rows @ w), (w * (met.squares @ w)).sum(0)
        self._add(met.rows, products, squares, layer, torch.arange(weights.shape[1]), 1, by)

    def _add(
        self,
        rows: Tensor,
        weigh: Callable[[Tensor], Tensor],
        squares: Tensor,
        layer: int,
        numbers: Tensor,
        shared: int,
        by: int,
    ) -> None:
        """numbers: of the parts in their block, in the order of what `weigh` gives."""
        baseline = squares.clamp(min=0).sqrt()
        codes = (layer << 48 | numbers << 16 | shared << 8 | by).to(rows.device)
        kept: list[tuple[Tensor, Tensor, Tensor]] = []
        for chunk in rows[self._features].split(_CHUNK):
            weights = weigh(chunk)
            ratios = torch.where(baseline > 0, weights.abs() / baseline, 0)
            best, at = ratios.topk(min(_KEPT, ratios.shape[1]), dim=1)
            kept.append((best, weights.gather(1, at), codes[at]))
        ratios, weights, found = (torch.cat(each) for each in zip(*kept, strict=True))
        if len(self._ratios):
            ratios = torch.cat([self._ratios, ratios], 1)
            weights = torch.cat([self._weights, weights], 1)
            found = torch.cat([self._codes, found], 1)
        ratios, at = ratios.topk(min(_KEPT, ratios.shape[1]), dim=1)
        self._ratios, self._weights = ratios, weights.gather(1, at)
        self._codes = found.gather(1, at)

    # ── what was found ───────────────────────────────────────────────────────────────────────

    def heads(self, feature: int) -> Table:
        """layer, head, heads (how many share its keys or values), by, weight, ratio."""
        codes, rest = self._of(feature)
        named = {"head": codes >> 16 & 0xFFFFFFFF, "heads": codes >> 8 & 0xFF}
        return {
            "layer": (codes >> 48).astype(np.int16),
            **{name: values.astype(np.int16) for name, values in named.items()},
            **rest,
        }

    def neurons(self, feature: int) -> Table:
        """layer, neuron, by, weight, ratio."""
        codes, rest = self._of(feature)
        return {
            "layer": (codes >> 48).astype(np.int16),
            "neuron": (codes >> 16 & 0xFFFFFFFF).astype(np.int32),
            **rest,
        }

    def _of(self, feature: int) -> tuple[np.ndarray, Table]:
        if not len(self._ratios):
            return np.empty(0, np.int64), _rest(np.empty(0, np.int64), *[np.empty(0)] * 2)
        codes, weights, ratios = self._found
        there = ratios[feature] > 0
        codes = codes[feature][there]
        return codes, _rest(codes, weights[feature][there], ratios[feature][there])

    @cached_property
    def _found(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        codes, weights, ratios = (
            each.cpu().numpy() for each in (self._codes, self._weights, self._ratios)
        )
        return codes, weights, ratios


def _rest(codes: np.ndarray, weights: np.ndarray, ratios: np.ndarray) -> Table:
    return {
        "by": (codes & 0xFF).astype(np.uint8),
        "weight": weights.astype(np.float32),
        "ratio": ratios.astype(np.float32),
    }
