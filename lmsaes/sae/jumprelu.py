"""JumpReLU: a threshold per feature, learned through a straight-through estimator.

Rajamanoharan et al. 2024 (arXiv 2407.14435); the target L0 after Gemma Scope 2 (McDougall et al.
2025); the tanh penalty and the pre-activation loss after Anthropic's January 2025 update.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn

from lmsaes.sae.autoencoder import SAE, StepOutput
from lmsaes.sae.config import JumpReLUConfig
from lmsaes.sae.sparse.active_set import DenseActiveSet, SparseActiveSet, select_active
from lmsaes.sae.sparse.ops import sum_of_squares


class JumpReLU(SAE):
    """f = z·1[z > θ] with z = W_enc·x + b_enc,  x̂ = W_decᵀ·f + b_dec."""

    config_type = JumpReLUConfig

    def __init__(self, config: JumpReLUConfig, d_in: int, d_out: int | None = None) -> None:
        super().__init__(config, d_in, d_out)
        self.sparsity, self.target_l0 = config.sparsity, config.l0
        self.weight, self.weight_warmup = config.penalty_weight, config.weight_warmup
        self.bandwidth = config.bandwidth
        self.max_frequency, self.frequency_weight = config.max_frequency, config.frequency_weight
        self.tanh_scale, self.pre_weight = config.tanh_scale, config.pre_weight
        # The threshold itself, not its logarithm: under Adam small logarithms hardly move.
        self.threshold = nn.Parameter(torch.full((self.features,), config.threshold))

    def activations(self, x: Tensor, features: slice | Tensor | None = None) -> Tensor:
        pre = self.linear(x, features)
        return pre * (pre > self.threshold[slice(None) if features is None else features])

    def loss(self, x: Tensor, target: Tensor, dead: Tensor | None, progress: float) -> StepOutput:
        """loss = ‖y − x̂‖²/d + ramp · sparsity, as a mean over rows.

        The derivative of the step at θ is replaced by a rectangle of width ε = `bandwidth` and
        height 1/ε (Rajamanoharan et al. 2024, section 3), so only pre-activations within it move
        a threshold. With the tanh penalty they are moved by it themselves too, as Anthropic does.
        """
        ramp = min(1.0, progress / self.weight_warmup) if self.weight_warmup else 1.0
        pre = self.preactivations(x)
        floor = self.threshold.detach() - self.bandwidth / 2
        entries = select_active(floor, pre, x, self.W_enc, self.b_enc)
        threshold = entries.at(self.threshold).expand_as(entries.values)
        activations = jump(entries.values, threshold, self.bandwidth, self.sparsity == "tanh")
        decoded = self.shards.features.sum(entries.decode(activations, self.W_dec))
        residual = target - (decoded + self.b_dec)
        squared_error = sum_of_squares(residual)
        firing = step(entries.values, threshold, self.bandwidth)
        firings = entries.column_sums(firing)
        sparsity = ramp * self._sparsity(entries, activations, firings, x, target)
        auxiliary = self.auxiliary_loss(x, residual, pre, dead)
        loss = squared_error / max(target.numel(), 1) + sparsity + auxiliary
        return StepOutput.of(loss, residual, squared_error, firings, sparsity, auxiliary)

    def _sparsity(
        self,
        entries: SparseActiveSet | DenseActiveSet,
        activations: Tensor,
        firings: Tensor,
        x: Tensor,
        target: Tensor,
    ) -> Tensor:
        """One of these, plus frequency_weight · Σ relu(frequency − max_frequency):

        target  weight · (2/L0*)·(L0 − L0*)², L0 the mean over the batch
        l0      weight · L0
        tanh    (weight · Σ tanh(c·f·‖d‖) + pre_weight · Σ relu(θ − z)·‖d‖) / d, mean over rows
        """
        rows, shards = max(x.shape[0], 1), self.shards
        l0 = shards.row_mean(shards.features.sum(firings.sum()) / rows)
        if self.sparsity == "target":
            penalty = self.weight * (2 / self.target_l0) * (l0 - self.target_l0).square()
        elif self.sparsity == "l0":
            penalty = self.weight * l0
        else:
            norms = self.decoder_norms()
            scaled = self.tanh_scale * activations * entries.at(norms)
            silent = self._silent(entries, x, norms)
            penalty = shards.features.sum(
                self.weight * scaled.tanh().sum() + self.pre_weight * silent
            ) / max(target.numel(), 1)
        if self.frequency_weight > 0:
            excess = (shards.row_mean(firings / rows) - self.max_frequency).relu().sum()
            penalty = penalty + self.frequency_weight * shards.features.sum(excess)
        return penalty

    def _silent(
        self, entries: SparseActiveSet | DenseActiveSet, x: Tensor, norms: Tensor
    ) -> Tensor:
        """Σ over rows and features of relu(θ − z)·‖d‖, from the few entries that are not silent.

        relu(u) = u + relu(−u), and the sum of u = θ − z over all entries is linear in Σ x.
        """
        rows = x.shape[0]
        everywhere = rows * (self.threshold - self.b_enc) - self.W_enc @ x.sum(0)
        above = entries.column_sums((entries.values - entries.at(self.threshold)).relu())
        return (everywhere + above) @ norms

    def scale_activations(self, factor: Tensor) -> None:
        super().scale_activations(factor)
        self.threshold.mul_(factor)

    @torch.no_grad()
    def after_update(self) -> None:
        self.threshold.clamp_(min=0)

    @torch.no_grad()
    def after_load(self) -> None:
        # Below 0, a negative pre-activation would fire in the dense form and not in the sparse one.
        self.threshold.clamp_(min=0)


def jump(values: Tensor, threshold: Tensor, bandwidth: float, to_values: bool) -> Tensor:
    """values·1[values > threshold], with the rectangle's gradient for the threshold.

    `to_values` gives the values the rectangle's share too, not only that of the identity above.
    """
    return cast(Tensor, _Jump.apply(values, threshold, bandwidth, to_values))  # pyright: ignore[reportUnknownMemberType]


def step(values: Tensor, threshold: Tensor, bandwidth: float) -> Tensor:
    """1[values > threshold], with the rectangle's gradient for the threshold, none for values."""
    return cast(Tensor, _Step.apply(values, threshold, bandwidth))  # pyright: ignore[reportUnknownMemberType]


def _window(values: Tensor, threshold: Tensor, bandwidth: float) -> Tensor:
    return ((values - threshold).abs() < bandwidth / 2) / bandwidth


class _Jump(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, threshold: Tensor, bandwidth: float, to_values: bool):
        ctx.save_for_backward(values, threshold)
        ctx.bandwidth, ctx.to_values = bandwidth, to_values
        return values * (values > threshold)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor):
        values, threshold = ctx.saved_tensors
        at_step = gradients[0] * threshold * _window(values, threshold, ctx.bandwidth)
        through = gradients[0] * (values > threshold)
        return through + at_step if ctx.to_values else through, -at_step, None, None


class _Step(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, threshold: Tensor, bandwidth: float):
        ctx.save_for_backward(values, threshold)
        ctx.bandwidth = bandwidth
        return (values > threshold).to(values.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor):
        values, threshold = ctx.saved_tensors
        return None, -gradients[0] * _window(values, threshold, ctx.bandwidth), None
