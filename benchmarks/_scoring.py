"""What an SAE does to rows that it was not trained on. Needs nothing but torch."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Encode = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Rows [n, d] to their reconstruction [n, d] and how often each feature fires, [features]."""

_ROWS = 2048


@dataclass(frozen=True)
class Score:
    """fvu: fraction of variance unexplained. silent: share of the features that never fire."""

    fvu: float
    l0: float
    silent: float


def score(encode: Encode, x: Tensor) -> Score:
    """Of rows [n, d], in their own units."""
    lost, firings = 0.0, torch.zeros(())
    with torch.no_grad():
        for part in x.split(_ROWS):
            reconstruction, fired = encode(part)
            lost += float((part - reconstruction).double().square().sum())
            firings = firings + fired
    variance = float((x.double() - x.double().mean(0)).square().sum())
    silent = float((firings == 0).double().mean())
    return Score(lost / variance, float(firings.sum()) / len(x), silent)
