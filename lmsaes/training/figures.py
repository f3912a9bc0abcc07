"""What is watched of an SAE between two reports, beside loss, FVU and L0.

gradient_norm         mean over steps of the whole gradient's norm, before it is scaled
loss_reconstruction   the squared error's part of the loss, per row and dimension
loss_sparsity         the penalty's part; 0 where k is fixed
loss_auxiliary        the part of AuxK, ghost gradients and of a gated SAE's gate; nested SAEs have
                      a mean of their errors in the loss in place of the whole one's
norm_ratio            mean of ‖ŷ‖ / ‖y‖ over the rows of the last step, in the rows' own units, as
                      in an evaluation; below 1 where the SAE shrinks what it reconstructs
density_quantiles     of the features' densities (shares of rows on which they fire), at QUANTILES
density_histogram     features by log10 of their density, four bins to a decade from 1e-8 on; those
                      that did not fire are in none
"""

import math

import torch
from torch import Tensor

from lmsaes.evaluation import SMALL_NORM, FeatureSums
from lmsaes.parallel import widest_float
from lmsaes.sae import SAE, StepOutput
from lmsaes.training.normalization import Normalization

QUANTILES = (0.01, 0.1, 0.5, 0.9, 0.99)


class Figures:
    """Running sums on the device; `read` waits for it.

    Densities are left out where this process has a part of the features alone.
    """

    def __init__(self, sae: SAE, features: int, outputs: Normalization) -> None:
        device = sae.W_enc.device
        # of norms, errors per dimension, sparsity and auxiliary terms
        self._sums = torch.zeros(4, device=device)
        self._ratios = torch.zeros(2, dtype=widest_float(device), device=device)  # and their count
        self._outputs, self._ranks = outputs, sae.shards.rows
        self._steps = 0
        self._d_out = sae.d_out
        self._features = FeatureSums(features, device) if sae.features == features else None

    def add(self, norm: Tensor, output: StepOutput, rows: int) -> None:
        """Adds a step over `rows` rows, whose gradient had the norm `norm`."""
        error = output.squared_error / (rows * self._d_out)
        self._sums += torch.stack([norm.detach(), error, output.sparsity, output.auxiliary])
        self._steps += 1
        if self._features is not None:
            self._features.firings += output.firings.long()
            self._features.rows += rows

    def measure(self, target: Tensor, residual: Tensor) -> None:
        """Adds rows whose norm ratio is to be reported: what they are, and what is missed of them,
        both [rows, d_out] in training units.
        """
        norms = torch.linalg.vector_norm(self._outputs.undo(target), dim=1)
        found = torch.linalg.vector_norm(self._outputs.undo(target - residual), dim=1)
        ratios = found / torch.where(norms < SMALL_NORM, 1.0, norms)
        self._ratios[0] += ratios.sum()
        self._ratios[1] += ratios.shape[0]

    def read(self) -> dict[str, float | list[float] | list[int] | None]:
        """The figures of the steps since the last reading."""
        norm, error, sparsity, auxiliary = (self._sums / max(self._steps, 1)).tolist()
        ratios, rows = self._ranks.sum(self._ratios).tolist()
        found: dict[str, float | list[float] | list[int] | None] = {
            "gradient_norm": norm,
            "loss_reconstruction": error,
            "loss_sparsity": sparsity,
            "loss_auxiliary": auxiliary,
            "norm_ratio": ratios / rows if rows and math.isfinite(ratios) else None,
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
        self._ratios.zero_()
        self._steps = 0
        return found

    def state(self) -> dict[str, Tensor]:
        rows = 0 if self._features is None else self._features.rows
        found = {"sums": self._sums, "counts": torch.tensor([self._steps, rows])}
        if self._features is not None:
            found["firings"] = self._features.firings
        return found

    def load(self, state: dict[str, Tensor]) -> None:
        """Goes on from a `state`, or anew from one of a checkpoint that had fewer figures."""
        if not state or state["sums"].shape != self._sums.shape:
            return
        self._sums.copy_(state["sums"])
        self._steps = int(state["counts"][0])
        # a checkpoint of ranks that shared the features out has none of them
        if self._features is not None and "firings" in state:
            self._features.rows = int(state["counts"][1])
            self._features.firings.copy_(state["firings"])
