"""SAE: the base class of every architecture.

    x [rows, d_in] ──encode──► SparseRows [rows, features] ──decode──► [rows, d_out]

Rows of any float dtype go in (caches hold float16 and bfloat16); they are computed in the dtype of
the SAE's weights, which is what comes out: float32 unless the SAE was moved to another.
`W_enc` is [features, d_in], `W_dec` [features, d_out]: a row per feature. A saved SAE takes and
gives raw activations; while it trains it lives in normalized units, and `fold_normalization` makes
the one of the other.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Self, overload

import torch
from einops import rearrange
from torch import Tensor, nn

from lmsaes.addresses import local_path
from lmsaes.errors import SAEError
from lmsaes.sae.auxiliary_losses import aux_k_loss, ghost_loss
from lmsaes.sae.config import SAEConfig
from lmsaes.sae.origin import Imported, Provenance
from lmsaes.sae.row_norm import NormalizedRows, normalize_rows
from lmsaes.sae.shards import ALONE, Shards
from lmsaes.sae.sparse.ops import (
    column_sums,
    row_norms,
    rows_product,
    sparse_decode,
    sum_of_squares,
)
from lmsaes.sae.sparse.rows import SparseRows


@dataclass(slots=True)
class StepOutput:
    """The result of one batch. `loss` carries the graph; the rest is detached."""

    loss: Tensor  # scalar
    squared_error: Tensor  # scalar: summed over rows and dimensions, in training units
    firings: Tensor  # float32 [features]: rows of the batch on which each feature fired
    sparsity: Tensor  # scalar: the penalty's part of the loss, its weight and warm-up included
    auxiliary: Tensor  # scalar: the auxiliary terms' part of the loss, their weights included
    residual: Tensor | None  # [rows, d_out]: what the whole SAE misses; None of several parts

    @classmethod
    def of(
        cls,
        loss: Tensor,
        residual: Tensor,
        squared_error: Tensor,
        firings: Tensor,
        sparsity: Tensor | float = 0.0,
        auxiliary: Tensor | float = 0.0,
    ) -> StepOutput:
        """Detaches everything but the loss; 0 stands for a term that the loss does not have."""
        penalty, extra = (
            term.detach() if isinstance(term, Tensor) else loss.new_full((), term)
            for term in (sparsity, auxiliary)
        )
        return cls(
            loss, squared_error.detach(), firings.detach(), penalty, extra, residual.detach()
        )

    def weighted(self, share: float) -> StepOutput:
        """As a part of a larger batch, of whose rows it has this share; without graph and rows."""
        return StepOutput(
            share * self.loss.detach(),
            self.squared_error,
            self.firings,
            share * self.sparsity,
            share * self.auxiliary,
            None,
        )


class SAE(nn.Module, ABC):
    """A sparse autoencoder (a transcoder where the target is another hook)."""

    config_type: ClassVar[type[SAEConfig]]
    input_bias: Tensor | None  # [d_in]

    def __init__(self, config: SAEConfig, d_in: int, d_out: int | None = None) -> None:
        super().__init__()
        self.config = config
        self.d_in = d_in
        self.d_out = d_in if d_out is None else d_out
        self.transcodes = config.target is not None
        self.features = config.width(d_in)
        self.provenance: Provenance | None = None
        self.imported: Imported | None = None
        self.W_enc = nn.Parameter(torch.zeros(self.features, self.d_in))
        self.b_enc = nn.Parameter(torch.zeros(self.features))
        self.W_dec = nn.Parameter(torch.zeros(self.features, self.d_out))
        self.b_dec = nn.Parameter(torch.zeros(self.d_out))
        self.W_skip = nn.Parameter(torch.zeros(self.d_out, self.d_in)) if config.skip else None
        self.aux_k = config.aux_k or max(1, min(round(2 * config.active), self.d_in // 2))
        self.aux_weight, self.ghost_weight = config.aux_weight, config.ghost_weight
        self.matmul_dtype = torch.bfloat16 if config.matmul_dtype == "bfloat16" else None
        # Parts of a row that are brought to mean 0 and variance 1, each by itself.
        self.row_norm_parts = max(1, len(config.hooks)) if config.normalize == "layer_norm" else 0
        # Of imported SAEs alone: what is subtracted from inputs. Folded into b_enc, a mean of
        # thousands would cost digits (a product of large numbers, in float32).
        self.register_buffer("input_bias", None)
        self.shards: Shards = ALONE
        self._workspace: Tensor | None = None

    # ── inference ────────────────────────────────────────────────────────────────────────────

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
        """Feature activations of `x` [rows, d_in], in the dtype of the SAE's weights.

        `features` (a slice or int64 ids) encodes these alone; columns of the result then count
        within the chosen ones. `dense` gives [rows, features] instead of SparseRows.
        """
        activations = self.activations(x, features)
        return activations if dense else SparseRows.above(activations, 0.0)

    @abstractmethod
    def activations(self, x: Tensor, features: slice | Tensor | None = None) -> Tensor:
        """All activations of `x` [rows, d_in], zeros included: [rows, features]."""

    def decode(self, features: SparseRows | Tensor, x: Tensor | None = None) -> Tensor:
        """Sum of the active features' directions, [rows, d_out], in the dtype of the SAE's weights.

        Takes SparseRows or a dense [rows, features]. `x` [rows, d_in] are the rows that were
        encoded: with them comes a linear skip, and an SAE trained with layer norm puts each row's
        mean and deviation back. Raises SAEError where that is needed and `x` isn't given.
        """
        if isinstance(features, Tensor):
            out = features.to(self.W_dec.dtype) @ self.W_dec
        else:
            values = features.values.to(self.W_dec.dtype)
            out = rows_product(features.with_values(values), self.W_dec)
        out = self.shards.features.sum(out) + self.b_dec
        if self.W_skip is not None and x is not None:
            out = out + torch.nn.functional.linear(self._normalized(x), self.W_skip)
        if not self.row_norm_parts or self.transcodes:
            return out
        if x is None:
            raise SAEError(
                "this SAE was trained with layer norm: it decodes only beside the rows it encoded",
                "give decode the rows too, or call the SAE itself",
            )
        return self._row_norm(x).restored(out)

    def forward(self, x: Tensor) -> Tensor:
        """The reconstruction of `x` [rows, d_in], a linear skip included; [rows, d_out]."""
        return self.decode(self.encode(x), x)

    def direction_scale(self, x: Tensor) -> Tensor | None:
        """What decoder rows are multiplied by beside rows `x` [rows, d_in], [rows, d_out].

        Each row's deviation where the SAE was trained with layer norm; None stands for 1.
        """
        if not self.row_norm_parts or self.transcodes:
            return None
        width = self.d_out // self.row_norm_parts
        return self._row_norm(x).deviation[..., 0].repeat_interleave(width, 1)

    def residual(self, x: Tensor, target: Tensor | None = None) -> Tensor:
        """What the reconstruction misses of `target` (of `x` itself if None), [rows, d_out]."""
        return (x if target is None else target) - self(x)

    # ── training ─────────────────────────────────────────────────────────────────────────────

    @staticmethod
    def create(
        config: SAEConfig, d_in: int, d_out: int | None = None, directions: Tensor | None = None
    ) -> SAE:
        """A new SAE of the configuration's architecture, its weights drawn by the seed.

        `directions` [r, d_in], orthonormal, are those that features may start in (default: all).
        """
        from lmsaes.sae.architectures import ARCHITECTURES

        sae = ARCHITECTURES[config.architecture](config, d_in, d_out)
        sae.initialize(torch.Generator().manual_seed(config.seed), directions)
        return sae

    def initialize(self, generator: torch.Generator, directions: Tensor | None = None) -> None:
        """Random unit decoder rows with the encoder tied to them.

        A transcoder's encoder is random and its decoder zero, so that it starts as the mean of
        its target (Dunefsky et al. 2024).
        """
        with torch.no_grad():
            self.W_enc.normal_(generator=generator)
            if directions is not None:
                self.W_enc.copy_(self.W_enc[:, : directions.shape[0]] @ directions)
            self.W_enc.div_(row_norms(self.W_enc)[:, None])
            if not self.transcodes:
                self.W_dec.copy_(self.W_enc)

    @torch.no_grad()
    def initialize_bias(self, mean_in: Tensor | None, mean_out: Tensor | None) -> None:
        """Starts from rows around `mean_in` [d_in] and targets around `mean_out` [d_out]: the
        encoder sees what differs from the one, the decoder adds to the other. None is zero.
        """
        if mean_in is not None:
            self.shift_inputs(mean_in)
        if mean_out is not None:
            self.b_dec.copy_(mean_out)

    def training_loss(
        self, x: Tensor, target: Tensor, *, dead: Tensor | None = None, progress: float = 1.0
    ) -> StepOutput:
        """The loss on one batch in training units (x [rows, d_in], target [rows, d_out]).

        `dead` int64 [n] names the features that have long been silent, by their places on this
        rank (None: there are none on any); `progress` in [0, 1] is
        the share of the run that is done, for schedules inside the loss.
        """
        if self.W_skip is not None:
            target = target - torch.nn.functional.linear(x, self.W_skip)
        if self.config.fine_tune is not None:
            return self._reconstruction_loss(x, target)
        return self.loss(x, target, dead, progress)

    def _reconstruction_loss(self, x: Tensor, target: Tensor) -> StepOutput:
        """loss = ‖y − x̂‖²/d, a mean over rows, of the features as they fire after training, which
        have no gradient: their decoder rows learn directions and lengths.

        Against the shrinkage that a sparsity penalty leaves behind (Wright & Sharkey 2024).
        """
        with torch.no_grad():
            fired = self.encode(x)
        decoded = self.shards.features.sum(sparse_decode(fired, self.W_dec))
        residual = target - (decoded + self.b_dec)
        squared_error = sum_of_squares(residual)
        firings = column_sums(fired.indices, (fired.values > 0).float(), self.features)
        loss = squared_error / max(target.numel(), 1)
        return StepOutput.of(loss, residual, squared_error, firings)

    @abstractmethod
    def loss(self, x: Tensor, target: Tensor, dead: Tensor | None, progress: float) -> StepOutput:
        """As `training_loss`, for what is left of the target after a linear skip."""

    def auxiliary_loss(
        self, x: Tensor, residual: Tensor, pre: Tensor, dead: Tensor | None
    ) -> Tensor | float:
        """The auxiliary loss by which `dead` int64 [n] features learn from the residual
        [rows, d_out]: aux_weight · AuxK + ghost_weight · ghost gradients (`auxiliary_losses.py`).

        `pre` [rows, features] are the pre-activations of x.
        """
        loss: Tensor | float = 0.0
        shards = self.shards
        if dead is None or (dead.shape[0] == 0 and shards.features.size == 1):
            return loss
        given, weights = residual.detach(), (self.W_enc, self.b_enc, self.W_dec)
        if self.aux_weight > 0:
            k = self.aux_k
            loss = loss + self.aux_weight * aux_k_loss(x, given, pre, *weights, dead, k, shards)
        if self.ghost_weight > 0:
            loss = loss + self.ghost_weight * ghost_loss(x, given, *weights, dead, shards)
        return loss

    def before_update(self) -> None:
        """Changes gradients before the optimizer sees them."""

    def after_update(self) -> None:
        """Restores what the optimizer may break (unit decoder rows, for example)."""

    def after_load(self) -> None:
        """Brings weights that were read into the form that encoding takes for granted."""

    @torch.no_grad()
    def keep_shard(self, shards: Shards) -> None:
        """Keeps every size-th feature from this rank's number on, where the other ranks have the
        others: so that each has as many of every Matryoshka prefix, too.
        """
        self.shards = shards
        rank, size = shards.features.rank, shards.features.size
        if size == 1:
            return
        for name in self.names_by_feature():
            values = getattr(self, name)[rank::size].clone()
            setattr(self, name, nn.Parameter(values) if name in self._parameters else values)
        self.features = self.W_enc.shape[0]

    def names_by_feature(self) -> list[str]:
        """Names of the parameters and buffers that have a row for each feature."""
        shared = ("b_dec", "W_skip", "input_bias")
        return [n for n, value in self.state_dict().items() if value.dim() and n not in shared]

    def scale_activations(self, factor: Tensor) -> None:
        """Multiplies every activation by `factor` (scalar or [features], positive)."""
        self.W_enc.mul_(factor if factor.dim() == 0 else factor[:, None])
        self.b_enc.mul_(factor)

    def shift_inputs(self, mean: Tensor) -> None:
        """Makes the encoder see x − mean when it is given x; `mean` is [d_in]."""
        self.b_enc.sub_(self.W_enc @ mean)

    def normalize_decoder(self) -> None:
        """Moves each decoder row's norm into the encoder; the reconstruction stays the same."""
        norms = row_norms(self.W_dec)
        norms = torch.where(norms > 0, norms, 1.0)
        self.W_dec.div_(norms[:, None])
        self.scale_activations(norms)

    @torch.no_grad()
    def fold_normalization(
        self, mean_in: Tensor, scale_in: Tensor, mean_out: Tensor, scale_out: Tensor
    ) -> Self:
        """A copy that takes and gives raw activations and has unit decoder rows.

        In training units the input is (x − mean_in)·scale_in and the output
        (y − mean_out)·scale_out. Means are [d_in] and [d_out]; scales are per dimension like them,
        or symmetric matrices.
        """
        copy = type(self)(self.config, self.d_in, self.d_out).to(self.W_enc)
        copy.input_bias = self.input_bias
        copy.load_state_dict(self.state_dict())
        copy.provenance, copy.imported = self.provenance, self.imported
        copy.W_enc.copy_(_scaled(copy.W_enc, scale_in))
        if self.input_bias is None:
            copy.shift_inputs(mean_in)
        else:
            copy.input_bias = mean_in + _unscaled(self.input_bias[None], scale_in)[0]
        copy.W_dec.copy_(_unscaled(copy.W_dec, scale_out))
        copy.b_dec.copy_(_unscaled(copy.b_dec[None], scale_out)[0] + mean_out)
        if copy.W_skip is not None:
            copy.W_skip.copy_(_unscaled(_scaled(copy.W_skip, scale_in).T, scale_out).T)
            copy.b_dec.sub_(copy.W_skip @ mean_in)
        copy.normalize_decoder()
        return copy

    @torch.no_grad()
    def preactivations(self, x: Tensor) -> Tensor:
        """x · W_encᵀ + b_enc without a graph, [rows, features], in memory that is used again.

        A fresh [rows, features] per step costs the CPU a fifth of the product in page faults. In
        bfloat16 where the configuration asks for it: master weights stay as they are.
        """
        rows, dtype = x.shape[0], self.matmul_dtype or x.dtype
        space = self._workspace
        if space is None or space.shape[0] < rows or space.dtype != dtype:
            space = torch.empty(rows, self.features, dtype=dtype, device=x.device)
            self._workspace = space
        W_enc, b_enc = self.W_enc.to(dtype), self.b_enc.to(dtype)
        return torch.addmm(b_enc, x.to(dtype), W_enc.T, out=space[:rows])

    def linear(self, x: Tensor, features: slice | Tensor | None = None) -> Tensor:
        """x · W_encᵀ + b_enc of all or the chosen features, [rows, features]."""
        chosen = slice(None) if features is None else features
        x = self.encoder_input(x)
        return torch.nn.functional.linear(x, self.W_enc[chosen], self.b_enc[chosen])

    def encoder_input(self, x: Tensor) -> Tensor:
        """What the encoder's product takes of rows `x` [rows, d_in]: after layer norm where the SAE
        was trained with it, less the input bias where it has one.
        """
        x = self._normalized(x)
        return x if self.input_bias is None else x - self.input_bias

    def _normalized(self, x: Tensor) -> Tensor:
        return self._row_norm(x).rows if self.row_norm_parts else x.to(self.W_enc.dtype)

    def _row_norm(self, x: Tensor) -> NormalizedRows:
        config, x = self.config, x.to(self.W_enc.dtype)
        return normalize_rows(x, self.row_norm_parts, config.layer_norm_eps, config.layer_norm_ddof)

    def decoder_norms(self) -> Tensor:
        """Norm of each decoder row, [features]; of a crosscoder the sum of its hooks' norms, so
        that a feature pays for each hook it writes to (Lindsey et al. 2024).
        """
        hooks = max(1, len(self.config.hooks))
        return row_norms(
            rearrange(self.W_dec, "features (hooks d) -> features hooks d", hooks=hooks)
        ).sum(1)

    # ── on disk ──────────────────────────────────────────────────────────────────────────────

    def save(self, path: str | Path) -> None:
        """Writes the SAE into the folder `path`; `io.py` says what lies there."""
        from lmsaes.sae.io import save

        save(self, local_path(path))

    @staticmethod
    def load(path: str | Path, device: torch.device | str = "cpu") -> SAE:
        """The SAE saved in the folder `path`, of the class of its architecture.

        Raises SAEError when the folder is missing, incomplete, damaged or not an lmsaes SAE.
        """
        from lmsaes.sae.io import load

        return load(local_path(path), device)


def _scaled(weight: Tensor, scale: Tensor) -> Tensor:
    return weight * scale if scale.dim() == 1 else weight @ scale


def _unscaled(weight: Tensor, scale: Tensor) -> Tensor:
    if scale.dim() == 1:
        return weight / scale
    if weight.device.type == "mps":  # which has no float64
        return _unscaled(weight.cpu(), scale.cpu()).to(weight)
    return torch.linalg.solve(scale.double(), weight.double(), left=False).to(weight)
