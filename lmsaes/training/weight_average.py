"""A running mean of an SAE's weights: what `ema` saves in place of the last ones."""

import copy

import torch
from torch import Tensor

from lmsaes.sae import SAE


class WeightAverage:
    """mean ← d · mean + (1 − d) · weights after each step, d = min(decay, (1 + n) / (10 + n)).

    n counts the steps: the first weights would otherwise stay in a short run's mean. Buffers, such
    as BatchTopK's threshold, are running means already and are taken as they are.
    """

    def __init__(self, sae: SAE, decay: float) -> None:
        self.decay = decay
        self.means = {name: p.detach().clone() for name, p in sae.named_parameters()}

    @torch.no_grad()
    def update(self, sae: SAE, steps: int) -> None:
        """Takes in the weights after step `steps`, counted from 1."""
        share = 1 - min(self.decay, (1 + steps) / (10 + steps))
        weights = [parameter.detach() for _, parameter in sae.named_parameters()]
        for mean, weight in zip(self.means.values(), weights, strict=True):
            mean.lerp_(weight, share)

    @torch.no_grad()
    def averaged(self, sae: SAE) -> SAE:
        """A copy of the SAE with the mean weights."""
        average = copy.deepcopy(sae)
        for name, parameter in average.named_parameters():
            parameter.copy_(self.means[name])
        return average

    def load(self, means: dict[str, Tensor]) -> None:
        """Goes on from `means` by name."""
        for name, mean in self.means.items():
            mean.copy_(means[name])
