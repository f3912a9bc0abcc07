"""Edges: what each feature, error and token adds to features and logits, by an explicit adjoint.

A target's value is affine in the sources. Its gradient is put where it reads the stream and taken
back through the frozen maps, block by block; at each MLP's output a source's edge is the product of
what it writes there and the gradient. Nothing is recorded for autograd and the prompt isn't copied:
a batch costs [targets, positions, d_model] a few times over.
"""

from dataclasses import dataclass, fields

import torch
from einops import einsum
from torch import Tensor

from lmsaes.circuits.replacement import Replacement
from lmsaes.circuits.transcoders import ActiveFeatures


@dataclass(frozen=True)
class Targets:
    """What is explained: where each reads the stream, and with which direction.

    `layer` is the block whose stream after attention it reads; the number of blocks stands for
    what enters the final norm.
    """

    layer: Tensor  # int64 [n]
    position: Tensor  # int64 [n]
    direction: Tensor  # [n, d_model]: what it takes of the stream after the norm there
    gradient: Tensor  # [n, d_model]: the same before the norm
    value: Tensor  # [n]: what the model has there
    constant: Tensor  # [n]: what biases alone would give

    def __len__(self) -> int:
        return len(self.layer)

    def __getitem__(self, chosen: Tensor) -> "Targets":
        return Targets(*(getattr(self, field.name)[chosen] for field in fields(self)))


def feature_targets(replacement: Replacement, chosen: Tensor) -> Targets:
    """Features by their numbers among sources, int64 [n]."""
    mids, _ = replacement.constants()
    gradient = replacement.model.embeddings.new_empty(len(chosen), replacement.model.d_model)
    direction, constant = torch.empty_like(gradient), gradient.new_empty(len(chosen))
    for each in replacement.active:
        first = replacement.first(each.layer)
        rows = torch.nonzero((chosen >= first) & (chosen < first + len(each)))[:, 0]
        here = chosen[rows] - first
        transcoder = replacement.transcoders[each.layer]
        block = replacement.model.blocks[each.layer]
        norm, positions, encoder = transcoder.norm(block), each.position[here], each.encoder[here]
        direction[rows] = encoder
        gradient[rows] = encoder if norm is None else norm.back(encoder, positions)
        x = transcoder.inputs(block, mids[each.layer])[positions]
        constant[rows] = (encoder * x).sum(1) + each.bias[here]
    return Targets(
        layer=replacement.layer[chosen],
        position=replacement.position[chosen],
        direction=direction,
        gradient=gradient,
        value=replacement.activation[chosen],
        constant=constant,
    )


def logit_targets(replacement: Replacement, token_ids: Tensor) -> Targets:
    """Logits of tokens at the last position less their mean over the vocabulary, int64 [n]."""
    model = replacement.model
    _, last = replacement.constants()
    at = model.positions - 1
    W_U = (model.W_U[:, token_ids] - model.W_U.mean(1, keepdim=True)).T
    b_U = model.b_U[token_ids] - model.b_U.mean()
    count = torch.full_like(token_ids, at)
    return Targets(
        layer=torch.full_like(token_ids, len(model.blocks)),
        position=count,
        direction=W_U,
        gradient=model.norm.back(W_U, count),
        value=model.logits[at, token_ids] - model.logits[at].mean(),
        constant=W_U @ model.norm(last)[at] + b_U,
    )


def edges(replacement: Replacement, targets: Targets) -> Tensor:
    """What every source adds to each target, [targets, sources].

    Rows of `edges` and `Targets.constant` sum to `Targets.value`, up to rounding.
    """
    model, blocks = replacement.model, replacement.model.blocks
    found = model.embeddings.new_zeros(len(targets), replacement.sources)
    # those that read highest first: the rows that a block reaches are then the first few
    order = torch.argsort(targets.layer, descending=True, stable=True)
    layers = targets.layer[order].tolist()
    positions = int(targets.position.max()) + 1
    gradient = model.embeddings.new_zeros(len(targets), positions, model.d_model)
    active = {each.layer: each for each in replacement.active}

    def put(layer: int) -> None:
        here = [row for row, each in enumerate(layers) if each == layer]
        if here:
            rows = torch.tensor(here, device=order.device)
            chosen = order[rows]
            gradient[rows, targets.position[chosen]] += targets.gradient[chosen]

    put(len(blocks))
    for layer in reversed(range(min(layers[0] + 1, len(blocks)))):
        above = sum(each > layer for each in layers)
        reading, rows = gradient[:above], order[:above]
        if above:
            errors = einsum(reading, replacement.errors[layer, :positions], "b p d, p d -> b p")
            first = replacement.error(layer, 0)
            found[rows, first : first + positions] = errors
            if layer in active:
                first = replacement.first(layer)
                _read(found, rows, reading, active[layer], first)
            if layer in replacement.skips:
                reading += replacement.skips[layer].back(reading)
        put(layer)
        reached = sum(each >= layer for each in layers)
        gradient[:reached] = blocks[layer].attention_back(gradient[:reached])
    tokens = einsum(gradient, model.embeddings[:positions], "b p d, p d -> b p")
    found[order, replacement.token(0) : replacement.token(0) + positions] = tokens
    return found


def _read(
    found: Tensor, rows: Tensor, gradient: Tensor, active: ActiveFeatures, first: int
) -> None:
    """Edges from one layer's features, position by position."""
    counts = torch.bincount(active.position, minlength=gradient.shape[1]).tolist()
    start = 0
    for position, count in enumerate(counts[: gradient.shape[1]]):
        if count:
            here = gradient[:, position] @ active.written[start : start + count].T
            found[rows, first + start : first + start + count] = here
        start += count
