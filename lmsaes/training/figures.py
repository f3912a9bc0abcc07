"""What is watched of an SAE between two reports, beside loss, FVU and L0.

gradient_norm         mean over steps of the whole gradient's norm, before it is scaled
loss_reconstruction   the squared error's part of the loss, per row and dimension; the rest of the
                      loss is sparsity and auxiliary terms, and what nested losses add
density_quantiles     of the features' densities (shares of rows on which they fire), at QUANTILES
density_histogram     features by log10 of their density, four bins to a decade from 1e-8 on; those
                      that did not fire are in none
"""

import torch
from torch import Tensor

from lmsaes.evaluation import FeatureSums
from lmsaes.sae import SAE, StepOutput

QUANTILES = (0.01, 0.1, 0.5, 0.9, 0.99)


class Figures:
    """Running sums on the device; `read` waits for it.

    Densities are left out where this process has a part of the features alone.
    """

    def __init__(self, sae: SAE, features: int) -> None:
        device = sae.W_enc.device
        self._sums = torch.zeros(2, device=device)  # of norms, and of errors per dimension
        self._steps = 0
        self._d_out = sae.d_out
        self._features = FeatureSums(features, device) if sae.features == features else None

    def add(self, norm: Tensor, output: StepOutput, rows: int) -> None:
        """Adds a step over `rows` rows, whose gradient had the norm `norm`."""
        error = output.squared_error / (rows * self._d_out)
        self._sums += torch.stack([norm.detach(), error.detach()])
        self._steps += 1
        if self._features is not None:
            self._features.firings += output.firings.long()
            self._features.rows += rows

    def read(self) -> dict[str, float | list[float] | list[int]]:
        """The figures of the steps since the last reading."""
        norm, error = (self._sums / max(self._steps, 1)).tolist()
        found: dict[str, float | list[float] | list[int]] = {
            "gradient_norm": norm,
            "loss_reconstruction": error,
        }
        if self._features is not None:
            places = torch.tensor(QUANTILES, dtype=torch.float64)
            ordered = self._features.density.sort().values
            nearest = (places * (ordered.shape[0] - 1)).round().long()
            found["density_quantiles"] = ordered[nearest].tolist()
            found["density_histogram"] = self._features.histogram()[0]
            self._features.firings.zero_()
            self._features.rows = 0
        self._sums.zero_()
        self._steps = 0
        return found

    def state(self) -> dict[str, Tensor]:
        rows = 0 if self._features is None else self._features.rows
        found = {"sums": self._sums, "counts": torch.tensor([self._steps, rows])}
        if self._features is not None:
            found["firings"] = self._features.firings
        return found

    def load(self, state: dict[str, Tensor]) -> None:
        """Goes on from a `state`; one of a checkpoint from before there was any is empty."""
        if not state:
            return
        self._sums.copy_(state["sums"])
        self._steps = int(state["counts"][0])
        # a checkpoint of ranks that shared the features out has none of them
        if self._features is not None and "firings" in state:
            self._features.rows = int(state["counts"][1])
            self._features.firings.copy_(state["firings"])
