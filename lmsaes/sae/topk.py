"""TopK: the k largest pre-activations of each row fire (Gao et al. 2024, arXiv 2406.04093)."""

from typing import Annotated, ClassVar, Literal, overload

import torch
from pydantic import Field
from torch import Tensor

from lmsaes.errors import ConfigError
from lmsaes.sae.autoencoder import SAE, StepOutput
from lmsaes.sae.config import SAEConfig
from lmsaes.sae.sparse_ops import column_sums, linear_at, row_norms, sparse_decode, sum_of_squares
from lmsaes.sae.sparse_rows import SparseRows

# Of the decoder's rows, which the encoder starts from: the k largest features overlap, and together
# would say more than there is (docs/experiments.md).
_FIRST_ENCODER = 0.8


class TopKConfig(SAEConfig, frozen=True):
    """k features per row; dead ones are revived by an auxiliary loss."""

    highest_lr: ClassVar[float] = 1.6e-2

    architecture: Literal["topk"] = "topk"
    k: Annotated[int, Field(gt=0, description="active features per row")] = 32
    weight_decay: Annotated[
        float, Field(ge=0, description="decoupled decay of the encoder, times the learning rate")
    ] = 0.3
    aux_weight: Annotated[
        float, Field(ge=0, description="weight of the auxiliary loss that revives dead features")
    ] = 0.1

    @property
    def active(self) -> float:
        return self.k

    def _default_label(self) -> str:
        return f"{self.architecture}-{self.k}"


class TopK(SAE, architecture="topk"):
    """f = relu(topk(W_enc·x + b_enc)),  x̂ = W_decᵀ·f + b_dec, decoder rows of unit norm."""

    config_type = TopKConfig

    def __init__(self, config: TopKConfig, d_in: int, d_out: int | None = None) -> None:
        super().__init__(config, d_in, d_out)
        if config.k > self.features:
            raise ConfigError(
                f"k = {config.k} is more than the {self.features} features", "choose a smaller k"
            )
        self.k = config.k

    def initialize(self, generator: torch.Generator, directions: Tensor | None = None) -> None:
        super().initialize(generator, directions)
        with torch.no_grad():
            self.W_enc.mul_(_FIRST_ENCODER)

    def activations(self, x: Tensor, features: slice | Tensor | None = None) -> Tensor:
        return self.encode(x, features).dense()

    @overload
    def encode(
        self, x: Tensor, features: slice | Tensor | None = None, *, dense: Literal[False] = False
    ) -> SparseRows: ...
    @overload
    def encode(
        self, x: Tensor, features: slice | Tensor | None = None, *, dense: Literal[True]
    ) -> Tensor: ...
    def encode(
        self, x: Tensor, features: slice | Tensor | None = None, *, dense: bool = False
    ) -> SparseRows | Tensor:
        """As in `SAE.encode`. Which features fire depends on all of them, so a subset costs as
        much as the whole.
        """
        values, indices = top_of_rows(self.linear(x), self.k)
        indices, order = indices.sort(dim=1)
        rows = SparseRows.from_topk(values.gather(1, order), indices, self.features)
        rows = rows.where(rows.values > 0)
        if features is not None:
            rows = rows.columns(features)
        return rows.dense() if dense else rows

    def select(self, pre: Tensor) -> SparseRows:
        """The entries of `pre` [rows, features] that fire; some may be negative, they give 0."""
        return SparseRows.from_topk(*top_of_rows(pre, self.k), self.features)

    def error_of(self, fired: SparseRows, target: Tensor) -> tuple[Tensor, Tensor]:
        """The squared error, summed over rows and dimensions and averaged over the levels that the
        loss compares with the target, and what the whole SAE misses: [rows, d_out], no graph.
        """
        residual = target - (sparse_decode(fired, self.W_dec) + self.b_dec)
        return sum_of_squares(residual), residual.detach()

    def loss(self, x: Tensor, target: Tensor, dead: Tensor | None, progress: float) -> StepOutput:
        """loss = ‖y − x̂‖²/d, averaged over levels, + aux_weight · aux-k; means over rows."""
        pre = self.preactivations(x)
        entries = self.select(pre).ordered()
        values = linear_at(entries, x, self.W_enc, self.b_enc).relu()
        error, residual = self.error_of(entries.with_values(values), target)
        loss = error / target.numel() + self.auxiliary_loss(x, residual, pre, dead)
        firings = column_sums(entries.indices, (values.detach() > 0).float(), self.features)
        return StepOutput(loss, sum_of_squares(residual), firings)

    def unit_decoder(self) -> None:
        # One factor for all rows: a factor of its own per row would change which k are largest.
        # The rows are of one length unless the target's dimensions were scaled differently.
        factor = row_norms(self.W_dec).square().mean().sqrt()
        self.W_dec.div_(factor)
        self.scale_activations(factor)

    @torch.no_grad()
    def after_update(self) -> None:
        """Unit decoder rows: otherwise a feature's norm, not its fit, could win it a place.

        A transcoder's rows are free: they say how much of the target a feature stands for.
        """
        if not self.transcodes:
            self.W_dec.div_(row_norms(self.W_dec)[:, None])


def top_of_rows(pre: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest values of each row and their columns, both [rows, k], in no order.

    On a CPU torch's selection copies every entry, which takes an eighth of the encoder's time.
    Columns g, g + n, g + 2n, … form group g of n. The k groups with the largest maxima hold the k
    largest entries: whatever else a group would offer lies below k maxima. So a selection among
    the maxima and one among these groups' entries do, and again in the same way.
    """
    rows, features = pre.shape
    size = 1
    while 8 * size * size * k <= features and features % (2 * size) == 0:  # as measured
        size *= 2
    if pre.is_cuda or size < 4:
        values, indices = pre.topk(k, dim=1, sorted=False)
        return values, indices
    groups = pre.view(rows, size, features // size)
    _, best = top_of_rows(groups.amax(1), k)
    candidates = groups.gather(2, best[:, None].expand(rows, size, k)).reshape(rows, size * k)
    values, places = top_of_rows(candidates, k)
    return values, places // k * groups.shape[2] + best.gather(1, places % k)
