"""What training measures of an SAE between two reports: loss, FVU and L0 as means over steps."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lmsaes.errors import ConfigError
from lmsaes.evaluation import ReconstructionSums
from lmsaes.sae import StepOutput


@dataclass(frozen=True)
class Averages:
    """Means over a stretch of steps."""

    loss: float
    fvu: float
    l0: float
    rows: int


class MetricSums:
    """Running sums over steps; reading them is the only thing that waits for the device."""

    def __init__(self, device: torch.device) -> None:
        self.steps = 0
        self.reconstruction = ReconstructionSums(device)
        self.loss = torch.zeros_like(self.reconstruction.sums[0])

    def add(self, output: StepOutput, rows: int) -> None:
        self.steps += 1
        self.loss += output.loss.detach()
        self.reconstruction.add(output.squared_error, output.firings, rows)

    def averages(self, variance: float) -> Averages:
        """Means over the steps so far.

        `variance` is the expected squared distance of a target row from the mean, in training
        units. Raises ConfigError when no step has been added.
        """
        fvu, l0 = self.reconstruction.fvu(variance), self.reconstruction.l0
        if fvu is None or l0 is None:
            raise ConfigError("no step has been measured yet", "train to the end of the run first")
        return Averages(float(self.loss) / self.steps, fvu, l0, self.reconstruction.rows)

    def reset(self) -> None:
        self.steps = 0
        self.loss.zero_()
        self.reconstruction.reset()

    def state(self) -> Tensor:
        """float64 [5]: counts and sums in one tensor."""
        counts = torch.tensor([self.steps, self.reconstruction.rows], dtype=torch.float64)
        sums = torch.stack([self.loss, *self.reconstruction.sums])
        return torch.cat([counts, sums.cpu().double()])

    def load_state(self, state: Tensor) -> None:
        self.steps, self.reconstruction.rows = int(state[0]), int(state[1])
        self.loss.copy_(state[2])
        self.reconstruction.sums.copy_(state[3:])
