"""ReLU with an L1 penalty (Bricken et al. 2023; Conerly et al. 2024)."""

import torch
from torch import Tensor

from lmsaes.sae.autoencoder import SAE, StepOutput
from lmsaes.sae.config import ReLUConfig
from lmsaes.sae.sparse.active_set import DenseActiveSet, SparseActiveSet, select_active
from lmsaes.sae.sparse.ops import row_norms, sum_of_squares


class ReLU(SAE):
    """f = relu(W_enc·x + b_enc),  x̂ = W_decᵀ·f + b_dec."""

    config_type = ReLUConfig

    def __init__(self, config: ReLUConfig, d_in: int, d_out: int | None = None) -> None:
        super().__init__(config, d_in, d_out)
        self.l1, self.l1_warmup = config.l1, config.l1_warmup
        self.unit_rows = config.decoder == "unit" and not self.transcodes

    def activations(self, x: Tensor, features: slice | Tensor | None = None) -> Tensor:
        return self.linear(x, features).relu()

    @torch.no_grad()
    def initialize(self, generator: torch.Generator, directions: Tensor | None = None) -> None:
        super().initialize(generator, directions)
        if not self.unit_rows:
            # Decoder rows start short, so that early, arbitrary activations do little harm
            # (Conerly et al. 2024 use norms of 0.05 to 1).
            self.W_dec.mul_(0.1)
            self.W_enc.mul_(0.1)

    def loss(self, x: Tensor, target: Tensor, dead: Tensor | None, progress: float) -> StepOutput:
        """loss = (‖y − x̂‖² + l1 · Σ f·‖d‖) / d, as a mean over rows.

        The decoder's norm is part of the penalty, so rescaling a feature can't cheat it
        (Conerly et al. 2024); with unit rows this is the penalty of Bricken et al. 2023. With
        inputs of unit mean square l1 has the size it has there.
        """
        ramp = min(1.0, progress / self.l1_warmup) if self.l1_warmup else 1.0
        pre = self.preactivations(x)
        entries = select_active(0.0, pre, x, self.W_enc, self.b_enc)
        activations = entries.values.relu()
        decoded = self.shards.features.sum(entries.decode(activations, self.W_dec))
        residual = target - (decoded + self.b_dec)
        squared_error = sum_of_squares(residual)
        penalty = self.shards.features.sum(self.penalty(entries, activations, progress))
        numbers, sparsity = max(target.numel(), 1), self.l1 * ramp * penalty
        auxiliary = self.auxiliary_loss(x, residual, pre, dead)
        loss = (squared_error + sparsity) / numbers + auxiliary
        firings = entries.column_sums((activations.detach() > 0).float())
        sparsity = sparsity.detach() / numbers
        return StepOutput.of(loss, residual, squared_error, firings, sparsity, auxiliary)

    def penalty(
        self, entries: SparseActiveSet | DenseActiveSet, activations: Tensor, progress: float
    ) -> Tensor:
        """Σ over rows and features of f·‖d‖."""
        return entries.column_sums(activations) @ self.decoder_norms()

    @torch.no_grad()
    def before_update(self) -> None:
        """Takes out of the decoder's gradient what would only lengthen its rows."""
        if self.unit_rows and self.W_dec.grad is not None:
            along = (self.W_dec.grad * self.W_dec).sum(1, keepdim=True)
            self.W_dec.grad.addcmul_(along, self.W_dec, value=-1)

    @torch.no_grad()
    def after_update(self) -> None:
        if self.unit_rows:
            self.W_dec.div_(row_norms(self.W_dec)[:, None])
