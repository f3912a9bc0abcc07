"""The transcoders of a model's MLPs, each as what it is on a prompt: affine while a feature fires.

An active feature's value is a = w·x + b with x the MLP's input: of ReLU, TopK, BatchTopK and
JumpReLU its pre-activation, of Gated its magnitude. Which features fire is taken as given.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from lmsaes.circuits.frozen import Block, Norm
from lmsaes.circuits.places import layer_written, what_is_read
from lmsaes.errors import SAEError
from lmsaes.sae import SAE, find_saes, sae_name
from lmsaes.sae.gated import Gated
from lmsaes.sae.row_norm import normalize_rows
from lmsaes.sae.sparse.rows import SparseRows

# an encoder that is affine gives its activations back this closely, relative to the largest
_AFFINE = 1e-3


@dataclass(frozen=True)
class Transcoder:
    """A transcoder of one layer's MLP."""

    layer: int
    name: str  # its name in the database
    folder: Path
    sae: SAE
    reads: str  # "normed", "normalized" or "stream": which of the MLP's inputs

    def norm(self, block: Block) -> Norm | None:
        """What stands between the stream after attention and what the transcoder reads."""
        if self.reads == "stream":
            return None
        norm = block.norm_2
        if self.reads == "normed":
            return norm
        return replace(norm, weight=torch.ones_like(norm.weight), bias=None)

    def inputs(self, block: Block, mid: Tensor | None = None) -> Tensor:
        """What it reads [positions, d_model] of a stream after attention (default: the model's)."""
        mid, norm = block.mid if mid is None else mid, self.norm(block)
        return mid if norm is None else norm(mid)


@dataclass(frozen=True)
class ActiveFeatures:
    """The features that fire on a prompt in one layer, by position and then by index."""

    layer: int
    position: Tensor  # int64 [n]
    feature: Tensor  # int64 [n]
    activation: Tensor  # [n]
    encoder: Tensor  # [n, d_model]: w of each, at the MLP's input
    bias: Tensor  # [n]
    decoder: Tensor  # [n, d_model]

    @cached_property
    def written(self) -> Tensor:
        """What each adds to the MLP's output, [n, d_model]."""
        return self.activation[:, None] * self.decoder

    def __len__(self) -> int:
        return self.feature.shape[0]


def load_transcoders(
    paths: Sequence[str | Path], blocks: int, device: torch.device
) -> dict[int, Transcoder]:
    """The transcoders among SAE folders and runs, by layer.

    SAEs that are none are passed over. Raises SAEError for two of one layer, one that reads
    another place than its MLP's input, and where there is none.
    """
    found: dict[int, Transcoder] = {}
    folders = find_saes(paths)
    for folder in folders:
        sae = SAE.load(folder, device)
        layer = layer_written(sae.config.target)
        if layer is None:
            continue
        reads = what_is_read(sae.config.hook, layer)
        if reads is None:
            raise SAEError(
                f"{folder.name} reads {sae.config.hook}, which is not the input of the MLP of block"
                f" {layer}",
                f"train it with --hook blocks.{layer}.mlp.hook_in",
            )
        if layer >= blocks:
            raise SAEError(f"{folder.name} is of block {layer}, but the model has {blocks} blocks")
        if layer in found:
            raise SAEError(
                f"{found[layer].folder.name} and {folder.name} are both transcoders of block"
                f" {layer}",
                "name the folders of those to trace instead of the run",
            )
        if getattr(sae.config, "glu", False):
            raise SAEError(
                f"{folder.name} multiplies two projections, so that no edge into it is exact"
            )
        found[layer] = Transcoder(layer, sae_name(folder), folder, sae.float(), reads)
    if not found:
        raise SAEError(
            f"none of {len(folders)} SAEs is a transcoder of an MLP",
            "train one per layer with: lmsaes train --transcoders",
        )
    return dict(sorted(found.items()))


def active_features(transcoder: Transcoder, block: Block, skipped: Tensor) -> ActiveFeatures:
    """What fires on the prompt, apart from positions that are `skipped`, bool [positions].

    Raises SAEError where an activation is not the affine function that edges explain.
    """
    sae, x = transcoder.sae, transcoder.inputs(block)
    with torch.no_grad():
        rows: SparseRows = sae.encode(x)
        keep = ~skipped[rows.row_ids()]
        position, feature = rows.row_ids()[keep], rows.indices[keep]
        activation = rows.values[keep]
        order = (position * sae.features + feature).argsort()
        position, feature, activation = position[order], feature[order], activation[order]
        encoder, bias = _affine(sae, x, position, feature)
        again = (encoder * x[position]).sum(1) + bias
        if len(again):
            error = (again - activation).abs().max()
            if error > _AFFINE * activation.abs().max():
                raise SAEError(
                    f"{transcoder.folder.name} is not affine where its features fire, so that no"
                    " edge into it is exact"
                )
        decoder = sae.W_dec[feature].detach()
    return ActiveFeatures(transcoder.layer, position, feature, activation, encoder, bias, decoder)


def _affine(sae: SAE, x: Tensor, position: Tensor, feature: Tensor) -> tuple[Tensor, Tensor]:
    """w [n, d_model] and b [n] of each active feature, by position and feature."""
    weight, bias = sae.W_enc[feature], sae.b_enc[feature]
    if isinstance(sae, Gated):
        weight = weight * sae.r_mag[feature].exp()[:, None]
        bias = sae.b_mag[feature]
    if sae.input_bias is not None:
        bias = bias - weight @ sae.input_bias
    if sae.row_norm_parts:
        weight = _through_row_norm(sae, x, weight, position)
    return weight.detach(), bias.detach()


def _through_row_norm(sae: SAE, x: Tensor, weight: Tensor, position: Tensor) -> Tensor:
    """Directions after the SAE's own layer norm as directions before it, its deviations held."""
    return (weight - weight.mean(1, keepdim=True)) / _deviation(sae, x)[position]


def _deviation(sae: SAE, x: Tensor) -> Tensor:
    """What the SAE's layer norm divides rows `x` by, [positions, 1]."""
    eps, ddof = sae.config.layer_norm_eps, sae.config.layer_norm_ddof
    return normalize_rows(x, 1, eps, ddof).deviation[:, 0] + eps


def skip_of(transcoder: Transcoder, block: Block, skipped: Tensor) -> "Skip | None":
    """The transcoder's linear skip on the prompt; None where it has none."""
    sae = transcoder.sae
    if sae.W_skip is None:
        return None
    x = transcoder.inputs(block)
    scale = (~skipped).to(x.dtype)[:, None]
    if sae.row_norm_parts:
        scale = scale / _deviation(sae, x)
    return Skip(sae.W_skip.detach(), scale, bool(sae.row_norm_parts), transcoder.norm(block))


@dataclass(frozen=True)
class Skip:
    """A transcoder's linear path around its features, from the stream after attention."""

    weight: Tensor  # [d_model, d_model]
    scale: Tensor  # [positions, 1]: 0 where it doesn't count
    centered: bool
    norm: Norm | None

    def linear(self, mid: Tensor) -> Tensor:
        """What it adds to the MLP's output, without constants, of mid [..., positions, d_model]."""
        return self._after_norm(mid if self.norm is None else self.norm.linear(mid))

    def __call__(self, mid: Tensor) -> Tensor:
        """The same with the norm's bias."""
        return self._after_norm(mid if self.norm is None else self.norm(mid))

    def _after_norm(self, x: Tensor) -> Tensor:
        if self.centered:
            x = x - x.mean(-1, keepdim=True)
        return (x * self.scale[: x.shape[-2]]) @ self.weight.T

    def back(self, gradient: Tensor) -> Tensor:
        """The transpose of `linear`, of [..., positions, d_model]."""
        positions = gradient.shape[-2]
        gradient = (gradient @ self.weight) * self.scale[:positions]
        if self.centered:
            gradient = gradient - gradient.mean(-1, keepdim=True)
        return gradient if self.norm is None else self.norm.back(gradient, slice(positions))
