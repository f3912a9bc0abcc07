"""Sums that a training step adds to on the device, and the numbers they make."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

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
        self.rows = 0
        self.sums = torch.zeros(3, dtype=torch.float64, device=device)  # loss, error, firings

    def add(self, output: StepOutput, rows: int) -> None:
        self.steps += 1
        self.rows += rows
        self.sums += torch.stack(
            [output.loss.detach(), output.squared_error, output.firings.sum()]
        ).double()

    def averages(self, variance: float) -> Averages:
        """`variance`: expected squared distance of a target row from the mean, training units."""
        loss, squared_error, firings = self.sums.tolist()
        rows = max(self.rows, 1)
        return Averages(
            loss / max(self.steps, 1), squared_error / (rows * variance), firings / rows, self.rows
        )

    def reset(self) -> None:
        self.steps = self.rows = 0
        self.sums.zero_()

    def state(self) -> Tensor:
        """float64 [5]: counts and sums in one tensor."""
        counts = torch.tensor([self.steps, self.rows], dtype=torch.float64)
        return torch.cat([counts, self.sums.cpu()])

    def load_state(self, state: Tensor) -> None:
        self.steps, self.rows = int(state[0]), int(state[1])
        self.sums.copy_(state[2:])
