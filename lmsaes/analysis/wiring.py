"""Which attention heads and MLP neurons write into a feature, and which read it, from the weights.

    head writes     |W_O d|              neuron writes     w_out · d
    head reads      |W_Qᵀ d|, |W_Kᵀ d|, |W_Vᵀ d|            neuron reads      w_in · d, w_gate · d

d is the encoder's row for what writes and the decoder's for what reads, of length one, carried
through the gains of the norms in between; what a norm divides by is left out, as it depends on the
text. `ratio` is the weight's size over its root mean square over all features of the SAE, so that
a head that writes much into everything does not lead every list (Elhage et al. 2021, "A
Mathematical Framework for Transformer Circuits", on virtual weights; Gurnee et al. 2024, arXiv
2401.12181, on neurons).

Along the stream, a part that reads or writes at `time` meets the features of a hook at another:

    block l enters 2l ─ attention writes ─ middle 2l + 1 ─ MLP writes ─ leaves 2l + 2
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lmsaes.analysis.neighbors import unit_rows
from lmsaes.analysis.strongest_parts import MetDirections, StrongestParts
from lmsaes.database import WiringFacts, WiringSide
from lmsaes.model import BlockParts, LanguageModel, block_parts

_IN_A_BLOCK = re.compile(r"blocks\.(\d+)\.(.+)")
_OUTPUT, _QUERY, _KEY, _VALUE, _IN, _GATE = range(6)  # as in lmsaes.database.WIRED_BY


@dataclass(frozen=True, slots=True)
class _InStream:
    """Features' directions [features, d_model] in the stream, from a time on or up to it."""

    time: int
    directions: Tensor


@dataclass(frozen=True, slots=True)
class _Inside:
    """Features' directions [features, width] inside one block, beside one of its parts."""

    layer: int
    part: str  # heads or neurons
    directions: Tensor
    behind_norm: bool = False  # the one between the part and the stream
    own_basis: bool = False  # a direction has an entry for each output of the part


_Placed = _InStream | _Inside
_Side = tuple[StrongestParts, StrongestParts]  # heads and neurons


class Wiring:
    """The strongest parts of each feature that was asked for."""

    def __init__(
        self,
        writers: _Side | None,
        readers: _Side | None,
        missing: str | None,
    ) -> None:
        self.writers, self.readers, self.missing = writers, readers, missing

    def of(self, feature: int) -> WiringFacts:
        """What is kept of a feature, counted from the first that was asked for."""
        writers, readers = (
            side and WiringSide(side[0].heads(feature), side[1].neurons(feature))
            for side in (self.writers, self.readers)
        )
        return WiringFacts(writers, readers, self.missing)


def find_wiring(
    lm: LanguageModel,
    encoder: Tensor,
    decoder: Tensor,
    hooks: Sequence[str],
    targets: Sequence[str],
    features: slice = slice(None),
) -> Wiring:
    """The wiring of some features of an SAE.

    encoder: [features, width of all `hooks`], what it reads; decoder: [features, width of all
    `targets`], what it gives. features: those asked for; the baseline is over all.
    """
    blocks = list(block_parts(lm, [*hooks, *targets]))
    if not any(block.heads or block.neurons for block in blocks):
        return Wiring(None, None, f"{lm.record.name} has no heads and neurons of known weights")
    with torch.inference_mode():
        reads, unread = _placed(blocks, encoder, hooks, _read_at)
        gives, ungiven = _placed(blocks, decoder, targets, _given_at)
        missing = "; ".join(dict.fromkeys(each for each in (unread, ungiven) if each))
        return Wiring(
            None if unread else _writers(blocks, reads, features),
            None if ungiven else _readers(blocks, gives, features),
            missing or None,
        )


# ── where features meet the model ────────────────────────────────────────────────────────────────


def _placed(
    blocks: Sequence[BlockParts],
    rows: Tensor,
    hooks: Sequence[str],
    place: Callable[[BlockParts, int, str, Tensor], _Placed | None],
) -> tuple[list[_Placed], str | None]:
    """Each hook's part of unit rows where it is, or a sentence for one that is nowhere."""
    found: list[_Placed] = []
    parts = unit_rows(rows.detach()).split(rows.shape[1] // len(hooks), 1)
    for hook, part in zip(hooks, parts, strict=True):
        named = _IN_A_BLOCK.fullmatch(hook)
        layer = int(named[1]) if named else len(blocks)
        at = None
        if named and layer < len(blocks):
            at = place(blocks[layer], layer, named[2], part)
        if at is None:
            return [], f"{hook} is neither in the residual stream nor beside heads or neurons"
        found.append(at)
    return found, None


def _read_at(block: BlockParts, layer: int, hook: str, rows: Tensor) -> _Placed | None:
    """Where in the model an encoder's rows meet what parts have written."""
    heads, neurons = block.heads, block.neurons
    match block.places.get(hook):
        case "entering" | "middle" | "leaving" as place:
            return _InStream(_time(layer, place), rows)
        case "attention_in" if heads:
            return _InStream(2 * layer, heads.before.back(rows))
        case "mlp_in" if neurons:
            return _InStream(_mlp_reads(block, layer), neurons.before.back(rows))
        case "attention_normalized" if heads:
            return _InStream(2 * layer, heads.before.ungained.back(rows))
        case "mlp_normalized" if neurons:
            return _InStream(_mlp_reads(block, layer), neurons.before.ungained.back(rows))
        case "attention":
            return _Inside(layer, "heads", rows, behind_norm=True)
        case "attention_out":
            return _Inside(layer, "heads", rows)
        case "heads":
            return _Inside(layer, "heads", rows, own_basis=True)
        case "mlp":
            return _Inside(layer, "neurons", rows, behind_norm=True)
        case "mlp_out":
            return _Inside(layer, "neurons", rows)
        case "neurons":
            return _Inside(layer, "neurons", rows, own_basis=True)
        case _:
            return None


def _given_at(block: BlockParts, layer: int, hook: str, rows: Tensor) -> _Placed | None:
    """Where in the model a decoder's rows come to be read."""
    heads, neurons = block.heads, block.neurons
    match block.places.get(hook):
        case "entering" | "middle" | "leaving" as place:
            return _InStream(_time(layer, place), rows)
        case "attention_in":
            return _Inside(layer, "heads", rows)
        case "mlp_in":
            return _Inside(layer, "neurons", rows)
        case "attention_normalized" if heads and heads.before.weight is not None:
            return _Inside(layer, "heads", rows * heads.before.weight.to(rows))
        case "mlp_normalized" if neurons and neurons.before.weight is not None:
            return _Inside(layer, "neurons", rows * neurons.before.weight.to(rows))
        case "attention":
            return _InStream(_attention_writes(block, layer), rows)
        case "attention_out" if heads:
            return _InStream(_attention_writes(block, layer), heads.after.forward(rows))
        case "heads" if heads:
            written = rows @ heads.W_O.flatten(0, 1).to(rows)
            return _InStream(_attention_writes(block, layer), heads.after.forward(written))
        case "mlp":
            return _InStream(2 * layer + 2, rows)
        case "mlp_out" if neurons:
            return _InStream(2 * layer + 2, neurons.after.forward(rows))
        case "neurons" if neurons:
            return _InStream(2 * layer + 2, neurons.after.forward(rows @ neurons.W_out.to(rows)))
        case _:
            return None


def _time(layer: int, place: str) -> int:
    return 2 * layer + ("entering", "middle", "leaving").index(place)


def _attention_writes(block: BlockParts, layer: int) -> int:
    return 2 * layer + (2 if block.parallel else 1)


def _mlp_reads(block: BlockParts, layer: int) -> int:
    return 2 * layer + (0 if block.parallel else 1)


# ── parts, block by block ────────────────────────────────────────────────────────────────────────


def _writers(blocks: Sequence[BlockParts], reads: Sequence[_Placed], features: slice) -> _Side:
    heads, neurons = StrongestParts(features), StrongestParts(features)
    for layer, block in enumerate(blocks):
        if own := block.heads:
            at = _attention_writes(block, layer)
            if met := _met(reads, layer, "heads", own.after.back, lambda t, at=at: t >= at):
                heads.add_heads(met, own.W_O.mT, layer, _OUTPUT)
        if own := block.neurons:
            at = 2 * layer + 2
            if met := _met(reads, layer, "neurons", own.after.back, lambda t, at=at: t >= at):
                neurons.add_neurons(met, own.W_out.mT, layer, _OUTPUT)
    return heads, neurons


def _readers(blocks: Sequence[BlockParts], gives: Sequence[_Placed], features: slice) -> _Side:
    heads, neurons = StrongestParts(features), StrongestParts(features)
    times = sorted({each.time for each in gives if isinstance(each, _InStream)}, reverse=True)

    def latest(at: int) -> Callable[[int], bool]:
        # of a crosscoder's hooks the last one before the part: there it stands for the stream
        found = next((time for time in times if time <= at), None)
        return lambda time: time == found

    for layer, block in enumerate(blocks):
        if own := block.heads:
            met = _met(gives, layer, "heads", own.before.forward, latest(2 * layer))
            for by, weights in ((_QUERY, own.W_Q), (_KEY, own.W_K), (_VALUE, own.W_V)):
                if met:
                    heads.add_heads(met, weights, layer, by, len(own.W_Q) // len(weights))
        if own := block.neurons:
            met = _met(
                gives, layer, "neurons", own.before.forward, latest(_mlp_reads(block, layer))
            )
            for by, weights in ((_IN, own.W_in), (_GATE, own.W_gate)):
                if met and weights is not None:
                    neurons.add_neurons(met, weights, layer, by)
    return heads, neurons


def _met(
    placed: Sequence[_Placed],
    layer: int,
    part: str,
    through: Callable[[Tensor], Tensor],
    meets: Callable[[int], bool],
) -> MetDirections | None:
    """Features' directions as a part sees them.

    In the stream those of all times that it meets are added: what a head writes stays there, so
    that every later hook of a crosscoder sees it.
    """
    for each in placed:
        if isinstance(each, _Inside) and (each.layer, each.part) == (layer, part):
            rows = through(each.directions) if each.behind_norm else each.directions
            return MetDirections(rows, each.own_basis)
    rows = [each.directions for each in placed if isinstance(each, _InStream) and meets(each.time)]
    return MetDirections(through(torch.stack(rows).sum(0))) if rows else None
