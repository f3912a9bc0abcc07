"""Gated: which features fire and how strongly are two questions (Rajamanoharan et al. 2024a)."""

import torch
from torch import Tensor, nn

from lmsaes.sae.autoencoder import SAE, StepOutput
from lmsaes.sae.config import GatedConfig
from lmsaes.sae.sparse.active_set import select_active
from lmsaes.sae.sparse.ops import row_norms, sum_of_squares


class Gated(SAE):
    """π = W_enc·x + b_enc,  f = 1[π > 0] · relu(exp(r_mag) ∘ (W_enc·x) + b_mag),

    x̂ = W_decᵀ·f + b_dec with unit decoder rows. `b_enc` is the gate's bias.
    """

    config_type = GatedConfig

    def __init__(self, config: GatedConfig, d_in: int, d_out: int | None = None) -> None:
        super().__init__(config, d_in, d_out)
        self.l1, self.l1_warmup = config.l1, config.l1_warmup
        self.r_mag = nn.Parameter(torch.zeros(self.features))
        self.b_mag = nn.Parameter(torch.zeros(self.features))

    def activations(self, x: Tensor, features: slice | Tensor | None = None) -> Tensor:
        chosen = slice(None) if features is None else features
        gate = self.linear(x, features)
        magnitude = (gate - self.b_enc[chosen]) * self.r_mag[chosen].exp() + self.b_mag[chosen]
        return magnitude.relu() * (gate > 0)

    def loss(self, x: Tensor, target: Tensor, dead: Tensor | None, progress: float) -> StepOutput:
        """loss = (‖y − x̂‖² + l1 · Σ relu(π)·‖d‖ + ‖y − x̂(relu(π))‖²) / d, as a mean over rows.

        The last term teaches the gate, whose step has no gradient; its decoder is taken as given
        (section 3.2 of the paper).
        """
        ramp = min(1.0, progress / self.l1_warmup) if self.l1_warmup else 1.0
        pre = self.preactivations(x)
        entries = select_active(0.0, pre, x, self.W_enc, self.b_enc)
        gate = entries.values.relu()
        projected = entries.values - entries.at(self.b_enc)
        magnitude = projected * entries.at(self.r_mag.exp()) + entries.at(self.b_mag)
        activations = magnitude.relu() * (entries.values.detach() > 0)
        everywhere = self.shards.features
        decoded = everywhere.sum(entries.decode(activations, self.W_dec))
        residual = target - (decoded + self.b_dec)
        by_gate = everywhere.sum(entries.decode(gate, self.W_dec.detach())) + self.b_dec.detach()
        squared_error = sum_of_squares(residual)
        penalty = everywhere.sum(entries.column_sums(gate) @ self.decoder_norms())
        sparsity, gate_error = self.l1 * ramp * penalty, sum_of_squares(target - by_gate)
        numbers = max(target.numel(), 1)
        auxiliary = self.auxiliary_loss(x, residual, pre, dead)
        loss = (squared_error + sparsity + gate_error) / numbers + auxiliary
        firings = entries.column_sums((activations.detach() > 0).float())
        sparsity, auxiliary = sparsity.detach() / numbers, gate_error.detach() / numbers + auxiliary
        return StepOutput.of(loss, residual, squared_error, firings, sparsity, auxiliary)

    def scale_activations(self, factor: Tensor) -> None:
        super().scale_activations(factor)
        self.b_mag.mul_(factor)

    def shift_inputs(self, mean: Tensor) -> None:
        shift = self.W_enc @ mean
        self.b_enc.sub_(shift)
        self.b_mag.sub_(self.r_mag.exp() * shift)

    @torch.no_grad()
    def after_update(self) -> None:
        if not self.transcodes:
            self.W_dec.div_(row_norms(self.W_dec)[:, None])
