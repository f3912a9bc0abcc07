"""Which of a text's features to look at first.

    maximum    the largest activation
    sum        of its activations
    share      of the reconstruction: Σ c·r / Σ ‖r‖², which sums to 1 over all features
    relative   the largest activation over the feature's own maximum where it was analyzed
    surprise   −log₂ of the share of analyzed tokens on which it was at least so strong

Features are ranked first and cut off after; filters come before the cut and say how much they hide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch

from lmsaes.errors import ConfigError
from lmsaes.steering.config import RankBy
from lmsaes.steering.own_text import EncodedText


class AnalyzedFeatures(Protocol):
    """What an analysis knows of features, for ranking. NaN stands for a feature it hasn't seen."""

    def maxima(self, features: Sequence[int]) -> np.ndarray:
        """The largest activation of each, [n]."""
        ...

    def densities(self, features: Sequence[int]) -> np.ndarray:
        """The share of tokens on which each fired, [n]."""
        ...

    def at_least(self, features: Sequence[int], activations: Sequence[float]) -> np.ndarray:
        """The share of tokens on which each was as strong as `activations`, or stronger, [n]."""
        ...


@dataclass(frozen=True)
class RankedFeature:
    """One feature of a text, over the positions that were asked for."""

    index: int
    score: float | None  # what it is ranked by; None where the analysis doesn't know the feature
    maximum: float
    position: int  # of the maximum, in the text
    sum: float
    share: float | None  # of the reconstruction; None where nothing is reconstructed
    density: float | None  # over the tokens analyzed
    values: np.ndarray = field(repr=False)  # float32 [positions of the text], zeros included


@dataclass(frozen=True)
class Ranking:
    """The first features of a text, and how many there are beside them."""

    features: list[RankedFeature]
    total: int  # that passed the filters, of which `features` are the first
    hidden_dense: int  # fire on more than `density_max` of the tokens analyzed
    hidden_special: int  # fire on special tokens alone


def rank_features(
    encoded: EncodedText,
    which: int = 0,
    by: RankBy = "maximum",
    limit: int = 50,
    positions: Sequence[int] | None = None,
    ignore_special: bool = True,
    density_max: float | None = None,
    analyzed: AnalyzedFeatures | None = None,
) -> Ranking:
    """The features of SAE number `which`, ranked; ties go to the lower index.

    positions: look at these alone. ignore_special: not at special tokens. density_max: hide what
    fires more often. analyzed: needed for `relative`, `surprise` and `density_max`.

    Raises ConfigError where it is needed and isn't given, and for a position outside the text.
    """
    if analyzed is None and (by in ("relative", "surprise") or density_max is not None):
        what = by if by in ("relative", "surprise") else "density_max"
        raise ConfigError(
            f"{what} compares with an analysis of the SAE, and there is none",
            "analyze it with: lmsaes analyze SAE --cache CACHE",
        )
    rows, shares = encoded.features[which], encoded.reconstruction_shares[which]
    count = len(encoded.token_ids)
    if outside := [p for p in positions or () if not 0 <= p < count]:
        raise ConfigError(f"the text has no position {outside[0]}", f"it has {count}, from 0 on")
    wanted = np.isin(np.arange(count), range(count) if positions is None else list(positions))
    looked_at = wanted & ~np.array(encoded.text.special) if ignore_special else wanted
    row_ids, fired = rows.row_ids().numpy(), rows.values.numpy() > 0
    at, fires = rows.indices.numpy(), fired & looked_at[row_ids]
    indices = np.unique(at[fires])
    everywhere = np.unique(at[fired & wanted[row_ids]])
    hidden_special = len(everywhere) - len(indices)
    density = np.full(len(indices), np.nan)
    if analyzed is not None and len(indices):
        density = np.asarray(analyzed.densities(indices.tolist()), dtype=np.float64)
    kept = np.ones(len(indices), dtype=bool)
    if density_max is not None:
        kept = ~(density > density_max)
    hidden_dense, indices, density = int((~kept).sum()), indices[kept], density[kept]
    values = rows.columns(torch.from_numpy(indices)).dense().numpy()
    masked = np.where(looked_at[:, None], values, 0)
    columns = shares.columns(torch.from_numpy(indices)).dense().double().numpy()
    whole = float(shares.values.double().numpy()[looked_at[row_ids]].sum())
    numbers = {
        "maximum": masked.max(0, initial=0),
        "sum": masked.sum(0, dtype=np.float64),
        "share": (columns * looked_at[:, None]).sum(0) / whole if whole > 0 else _unknown(indices),
    }
    score = numbers[by] if by in numbers else _against(analyzed, by, indices, numbers["maximum"])
    order = np.lexsort((indices, np.where(np.isnan(score), np.inf, -score)))[:limit]
    return Ranking(
        features=[
            RankedFeature(
                index=int(indices[i]),
                score=_known(score[i]),
                maximum=float(numbers["maximum"][i]),
                position=int(masked[:, i].argmax()),
                sum=float(numbers["sum"][i]),
                share=_known(numbers["share"][i]),
                density=_known(density[i]),
                values=values[:, i],
            )
            for i in order
        ],
        total=len(indices),
        hidden_dense=hidden_dense,
        hidden_special=hidden_special,
    )


def surprise(
    analyzed: AnalyzedFeatures, features: Sequence[int], activations: Sequence[float]
) -> np.ndarray:
    """−log₂ of the share of analyzed tokens on which each was at least so strong, in bits, [n].

    NaN for a feature that the analysis doesn't know.
    """
    share = np.asarray(analyzed.at_least(features, activations), dtype=np.float64)
    return -np.log2(share, out=np.full(len(share), np.nan), where=share > 0)


def _against(
    analyzed: AnalyzedFeatures | None, by: RankBy, indices: np.ndarray, maximum: np.ndarray
) -> np.ndarray:
    """What an analysis says of these maxima, [n]."""
    assert analyzed is not None  # checked above
    features = indices.tolist()
    if by == "relative":
        own = np.asarray(analyzed.maxima(features), dtype=np.float64)
        return np.divide(maximum, own, out=_unknown(indices), where=own > 0)
    return surprise(analyzed, features, maximum.tolist())


def _unknown(indices: np.ndarray) -> np.ndarray:
    return np.full(len(indices), np.nan)


def _known(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)
