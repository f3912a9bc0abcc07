"""ReLU with an L1 penalty (Bricken et al. 2023; Conerly et al. 2024)."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from lmsaes.sae.autoencoder import SAE, StepOutput
from lmsaes.sae.config import SAEConfig
from lmsaes.sae.sparse_ops import column_sums, linear_at, row_norms, sparse_decode
from lmsaes.sae.sparse_rows import SparseRows


class ReLUConfig(SAEConfig, frozen=True):
    """Sparsity by an L1 penalty on the activations, weighted by the decoder rows' norms."""

    architecture: Literal["relu"] = "relu"
    l1: Annotated[float, Field(ge=0, description="weight of the sparsity penalty")] = 5.0
    l1_warmup: Annotated[
        float, Field(ge=0, le=1, description="share of the run over which l1 grows from zero")
    ] = 0.05
    sparse_below: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="share of active features under which a step multiplies by them alone",
        ),
    ] = 1 / 16

    def _default_label(self) -> str:
        return f"relu-{self.l1:g}"


class ReLU(SAE, architecture="relu"):
    """f = relu(W_enc·x + b_enc),  x̂ = W_decᵀ·f + b_dec."""

    config_type = ReLUConfig

    def __init__(self, config: ReLUConfig, d_in: int, d_out: int | None = None) -> None:
        super().__init__(config, d_in, d_out)
        self.l1, self.l1_warmup = config.l1, config.l1_warmup
        self.sparse_below = config.sparse_below

    def activations(self, x: Tensor, features: slice | Tensor | None = None) -> Tensor:
        W_enc, b_enc = self.W_enc, self.b_enc
        if features is not None:
            W_enc, b_enc = W_enc[features], b_enc[features]
        return torch.nn.functional.linear(x, W_enc, b_enc).relu()

    @torch.no_grad()
    def initialize(self, generator: torch.Generator) -> None:
        super().initialize(generator)
        # Decoder rows start short, so that early, arbitrary activations do little harm
        # (Conerly et al. 2024 use norms of 0.05 to 1).
        self.W_dec.mul_(0.1)
        self.W_enc.mul_(0.1)

    def step(
        self, x: Tensor, target: Tensor, *, dead: Tensor | None = None, progress: float = 1.0
    ) -> StepOutput:
        """loss = (‖y − x̂‖² + l1 · Σ f·‖d‖) / d, as a mean over rows.

        The decoder's norm is part of the penalty, so rescaling a feature can't cheat it
        (Conerly et al. 2024). With inputs of unit mean square l1 has the size it has there.
        """
        ramp = min(1.0, progress / self.l1_warmup) if self.l1_warmup else 1.0
        norms = row_norms(self.W_dec)
        pre = self.preactivations(x)
        active = pre > 0
        if int(active.count_nonzero()) <= self.sparse_below * active.numel():
            entries = SparseRows.from_mask(pre, active)
            values = linear_at(entries, x, self.W_enc, self.b_enc)
            fired = SparseRows(entries.offsets, entries.indices, values, self.features)
            reconstruction = sparse_decode(fired, self.W_dec)
            penalty = (values * norms[entries.indices]).sum()
            firings = column_sums(entries.indices, torch.ones_like(values), self.features)
        else:
            activations = torch.nn.functional.linear(x, self.W_enc, self.b_enc).relu()
            reconstruction = activations @ self.W_dec
            penalty = activations.sum(0) @ norms
            firings = active.sum(0).float()
        squared_error = (target - reconstruction - self.b_dec).square().sum()
        loss = (squared_error + self.l1 * ramp * penalty) / target.numel()
        return StepOutput(loss, squared_error.detach(), firings)
