"""A prompt's replacement: the frozen model with each MLP's output written as transcoder features.

    MLP output = Σ activation · decoder row (+ skip) + b_dec + error

The error is what the transcoder misses, and the whole output where there is none: in layers without
a transcoder and at special tokens, which transcoders aren't trained on. So nothing is left out, and
every later activation and logit is a sum over features, errors and tokens, plus a constant.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from lmsaes.circuits.frozen import FrozenModel
from lmsaes.circuits.transcoders import (
    ActiveFeatures,
    Skip,
    Transcoder,
    active_features,
    skip_of,
)


@dataclass(frozen=True)
class Replacement:
    """Features, errors and tokens of one prompt, and the maps between them.

    Sources are counted features first (by layer, position, index), then errors (by layer and
    position), then tokens: those are the columns of all edges.
    """

    model: FrozenModel
    transcoders: Mapping[int, Transcoder]
    skipped: Tensor  # bool [positions]: special tokens, whose MLP outputs are errors whole
    active: list[ActiveFeatures]  # of the layers with a transcoder, ascending
    skips: Mapping[int, Skip]
    biases: Mapping[int, Tensor]  # [positions, d_model]: b_dec where features count
    errors: Tensor  # [layers, positions, d_model]

    @cached_property
    def layer(self) -> Tensor:
        """Of each feature, int64 [features]."""
        return torch.cat([torch.full_like(each.feature, each.layer) for each in self.active])

    @cached_property
    def position(self) -> Tensor:
        return torch.cat([each.position for each in self.active])

    @cached_property
    def feature(self) -> Tensor:
        return torch.cat([each.feature for each in self.active])

    @cached_property
    def activation(self) -> Tensor:
        return torch.cat([each.activation for each in self.active])

    @property
    def features(self) -> int:
        """How many features fire, counted at each position."""
        return len(self.layer)

    @property
    def sources(self) -> int:
        return self.features + self.errors.shape[0] * self.model.positions + self.model.positions

    def error(self, layer: int, position: int) -> int:
        """The number of an error among sources."""
        return self.features + layer * self.model.positions + position

    def token(self, position: int) -> int:
        """The number of a token among sources."""
        return self.sources - self.model.positions + position

    def first(self, layer: int) -> int:
        """The number of a layer's first feature, or where it would stand."""
        return sum(len(each) for each in self.active if each.layer < layer)

    def written(self, source: int) -> tuple[int, int, Tensor]:
        """What a source writes: into which block's output (−1: the embeddings), at which position,
        and the vector [d_model]."""
        positions, layers = self.model.positions, len(self.model.blocks)
        if source >= self.features + layers * positions:
            position = source - self.features - layers * positions
            return -1, position, self.model.embeddings[position]
        if source >= self.features:
            layer, position = divmod(source - self.features, positions)
            return layer, position, self.errors[layer, position]
        for each in self.active:
            if source < len(each):
                return each.layer, int(each.position[source]), each.written[source]
            source -= len(each)
        raise IndexError(source)

    def constants(self) -> tuple[list[Tensor], Tensor]:
        """What flows where every source is zero, from biases alone: for each block what stands
        after attention, and what enters the final norm; [positions, d_model] each."""
        x = torch.zeros_like(self.model.embeddings)
        mids: list[Tensor] = []
        for layer, block in enumerate(self.model.blocks):
            mid = block.after_attention(x)
            mids.append(mid)
            x = mid
            if layer in self.biases:
                x = x + self.biases[layer]
            if layer in self.skips:
                x = x + self.skips[layer](mid)
        return mids, x


def replace_mlps(
    model: FrozenModel, transcoders: Mapping[int, Transcoder], special: Sequence[bool]
) -> Replacement:
    """Writes every MLP's output on the prompt as features and an error."""
    skipped = torch.tensor(list(special), device=model.embeddings.device)
    active: list[ActiveFeatures] = []
    skips: dict[int, Skip] = {}
    biases: dict[int, Tensor] = {}
    errors = torch.stack([block.mlp_out for block in model.blocks])
    with torch.no_grad():
        for layer, transcoder in transcoders.items():
            block = model.blocks[layer]
            found = active_features(transcoder, block, skipped)
            active.append(found)
            biases[layer] = transcoder.sae.b_dec.detach() * (~skipped)[:, None]
            errors[layer] -= biases[layer]
            errors[layer].index_add_(0, found.position, -found.written)
            skip = skip_of(transcoder, block, skipped)
            if skip is not None:
                skips[layer] = skip
                errors[layer] -= skip(block.mid)
    return Replacement(model, transcoders, skipped, active, skips, biases, errors)
