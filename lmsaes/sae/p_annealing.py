"""P-annealing: the penalty's exponent falls from 1 toward L0 (Karvonen et al. 2024)."""

import torch
from torch import Tensor

from lmsaes.sae.config import PAnnealingConfig
from lmsaes.sae.relu import ReLU
from lmsaes.sae.sparse.active_set import DenseActiveSet, SparseActiveSet

# Keeps the gradient of f^p finite at f = 0; in training units an activation is of order 1.
_SMALL = 1e-3


class PAnnealing(ReLU):
    """As ReLU, with the penalty l1 · c · Σ (f·‖d‖)^p, p falling linearly."""

    config_type = PAnnealingConfig

    def __init__(self, config: PAnnealingConfig, d_in: int, d_out: int | None = None) -> None:
        super().__init__(config, d_in, d_out)
        self.p_start, self.p_end = config.p_start, config.p_end
        self.anneal_from = config.anneal_from

    def exponent(self, progress: float) -> float:
        """p at a share of the run."""
        annealed = max(0.0, (progress - self.anneal_from) / (1 - self.anneal_from))
        return self.p_start + (self.p_end - self.p_start) * annealed

    def penalty(
        self, entries: SparseActiveSet | DenseActiveSet, activations: Tensor, progress: float
    ) -> Tensor:
        """c · Σ ((f·‖d‖ + ε)^p − ε^p), where c makes the sum as large as Σ f·‖d‖.

        The paper rescales l1 whenever p changes so that the penalty stays as large as it was;
        doing so on every batch needs no queue of old activations.
        """
        weighted = activations * entries.at(self.decoder_norms())
        p = self.exponent(progress)
        if p == 1.0:
            return weighted.sum()
        powers = ((weighted + _SMALL) ** p - _SMALL**p).sum()
        sums = self.shards.row_sum(torch.stack([weighted.sum(), powers]))
        sums = self.shards.features.sum(sums)  # over the whole batch and all features
        return sums[0] / sums[1].clamp(min=_SMALL) * powers
