"""What TopK, BatchTopK and their kin share: the largest pre-activations fire, whoever selects them.

TopKFamily ─┬─ TopK       of each row       ── HierarchicalTopK
            └─ BatchTopK  of the batch      ── Matryoshka
"""

from abc import abstractmethod

import torch
from torch import Tensor

from lmsaes.errors import ConfigError
from lmsaes.sae.autoencoder import SAE, StepOutput
from lmsaes.sae.config import TopKFamilyConfig
from lmsaes.sae.sparse.ops import column_sums, linear_at, row_norms, sparse_decode, sum_of_squares
from lmsaes.sae.sparse.rows import SparseRows

# Of the decoder's rows, which the encoder starts from: the k largest features overlap, and together
# would say more than there is (docs/notes/experiments.md).
_FIRST_ENCODER = 0.8
_K_ANNEAL = 0.2


class TopKFamily(SAE):
    """x̂ = W_decᵀ·f + b_dec with decoder rows of unit norm, f the selected pre-activations' ReLU."""

    def __init__(self, config: TopKFamilyConfig, d_in: int, d_out: int | None = None) -> None:
        super().__init__(config, d_in, d_out)
        if config.k > self.features:
            raise ConfigError(
                f"k = {config.k} is more than the {self.features} features", "choose a smaller k"
            )
        if (config.k_start or 0) > self.features:
            raise ConfigError(
                f"k_start = {config.k_start} is more than the {self.features} features",
                "choose a smaller k_start",
            )
        self.k = self.k_end = config.k
        self.k_start = config.k_start or config.k
        self.k_anneal = config.k_anneal or _K_ANNEAL

    def initialize(self, generator: torch.Generator, directions: Tensor | None = None) -> None:
        super().initialize(generator, directions)
        with torch.no_grad():
            self.W_enc.mul_(_FIRST_ENCODER)

    @abstractmethod
    def select(self, pre: Tensor) -> SparseRows:
        """The entries of `pre` [rows, features] that fire in training; negative ones give 0."""

    def error_of(self, fired: SparseRows, target: Tensor) -> tuple[Tensor, Tensor]:
        """The squared error, summed over rows and dimensions and averaged over the levels that the
        loss compares with the target, and what the whole SAE misses: [rows, d_out], no graph.
        """
        decoded = self.shards.features.sum(sparse_decode(fired, self.W_dec))
        residual = target - (decoded + self.b_dec)
        return sum_of_squares(residual), residual.detach()

    def k_at(self, progress: float) -> int:
        """k at a share of the run: from `k_start` in a line to k, and k from then on."""
        left = max(0.0, 1 - progress / self.k_anneal)
        return self.k_end + round((self.k_start - self.k_end) * left)

    def loss(self, x: Tensor, target: Tensor, dead: Tensor | None, progress: float) -> StepOutput:
        """loss = ‖y − x̂‖²/d, averaged over levels, + aux_weight · aux-k; means over rows."""
        self.k = self.k_at(progress)
        pre = self.preactivations(x)
        entries = self.select(pre).ordered()
        values = linear_at(entries, x, self.W_enc, self.b_enc).relu()
        error, residual = self.error_of(entries.with_values(values), target)
        auxiliary = self.auxiliary_loss(x, residual, pre, dead)
        loss = error / max(target.numel(), 1) + auxiliary
        firings = column_sums(entries.indices, (values.detach() > 0).float(), self.features)
        squared_error = sum_of_squares(residual)
        return StepOutput.of(loss, residual, squared_error, firings, auxiliary=auxiliary)

    def normalize_decoder(self) -> None:
        # One factor for all rows: a factor of its own per row would change which k are largest.
        # The rows are of one length unless the target's dimensions were scaled differently.
        factor = row_norms(self.W_dec).square().mean().sqrt()
        factor = torch.where(factor > 0, factor, 1.0)  # a transcoder's decoder starts as zero
        self.W_dec.div_(factor)
        self.scale_activations(factor)

    @torch.no_grad()
    def after_update(self) -> None:
        """Unit decoder rows: otherwise a feature's norm, not its fit, could win it a place.

        A transcoder's rows are free: they say how much of the target a feature stands for.
        """
        if not self.transcodes:
            self.W_dec.div_(row_norms(self.W_dec)[:, None])
