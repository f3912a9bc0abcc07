"""Through which attention head an edge goes.

At each block between a source and a target, what the source sends either stays in the stream or is
moved by a head. So for every block the edge is a sum over its heads and the stream, exactly.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from lmsaes.circuits.edges import Targets
from lmsaes.circuits.replacement import Replacement


@dataclass(frozen=True)
class HeadSplit:
    """One edge, divided up at each block that it passes."""

    layers: list[int]
    heads: Tensor  # [blocks, heads]: what of the edge each head carries
    stream: Tensor  # [blocks]: what passes the block's attention by


def split_by_head(replacement: Replacement, target: Targets, source: int) -> HeadSplit:
    """Divides the edge from a source (its number) to a target (one) at each block between them."""
    blocks = replacement.model.blocks
    written_in, position, vector = replacement.written(source)
    goal = int(target.layer[0])
    layers = list(range(written_in + 1, min(goal + 1, len(blocks))))
    if not layers:
        zero = vector.new_zeros(0)
        return HeadSplit([], vector.new_zeros(0, len(blocks[0].attention.pattern)), zero)
    sent = torch.zeros_like(replacement.model.embeddings)
    sent[position] = vector
    entering: list[Tensor] = []
    for layer in layers:
        entering.append(sent)
        mid = blocks[layer].attention_tangent(sent)
        skip = replacement.skips.get(layer)
        sent = mid if skip is None else mid + skip.linear(mid)
    gradient = torch.zeros_like(sent)
    at = int(target.position[0])
    if goal == len(blocks):
        gradient[at] = target.gradient[0]
    heads: list[Tensor] = []
    stream: list[Tensor] = []
    for layer, x in zip(reversed(layers), reversed(entering), strict=True):
        block = blocks[layer]
        if goal > layer and layer in replacement.skips:
            gradient = gradient + replacement.skips[layer].back(gradient)
        if layer == goal:
            gradient = gradient.clone()
            gradient[at] += target.gradient[0]
        by_head = block.norm_1.back(block.attention.back_by_head(gradient))
        heads.append((by_head * x).sum((1, 2)))
        stream.append((gradient * x).sum())
        gradient = gradient + by_head.sum(0)
    return HeadSplit(layers, torch.stack(heads[::-1]), torch.stack(stream[::-1]))
