"""How far to believe a graph: its predictions beside what the real model does.

Sources are taken out of the MLP's output in the real model, one at a time; every feature above
that fires, and every target, is read again. A graph predicts the change as minus its edge (direct),
or through the features between as well (total). Then one thing that the graph holds is let go at a
time: attention patterns, the norms' denominators, the other MLPs' answers.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lmsaes.circuits.edges import Targets, feature_targets
from lmsaes.circuits.frozen import Norm
from lmsaes.circuits.graph import Graph
from lmsaes.circuits.prune import node_influence
from lmsaes.circuits.replacement import Replacement
from lmsaes.model import LanguageModel

TOGETHER = 16  # ablations that run as one batch of contexts


@dataclass(frozen=True)
class Freed:
    """Which of the things that a graph holds the model may change."""

    patterns: bool = False
    norms: bool = False
    mlps: bool = False


LET_GO = {
    "patterns": Freed(patterns=True),
    "norms": Freed(norms=True),
    "patterns and norms": Freed(patterns=True, norms=True),
    "MLPs": Freed(mlps=True),
    "everything": Freed(patterns=True, norms=True, mlps=True),
}
"""What is let go in turn, by what it is called."""


@dataclass(frozen=True)
class Agreement:
    """Predicted against real changes. None where there is nothing to compare."""

    r_per_source: float | None  # median over sources of Pearson's r over what they reach
    r_pooled: float | None  # over all pairs of a source and what it reaches
    slope: float | None  # of real on predicted, through the origin, pooled
    missed: float | None  # share of the squared real change that was not predicted


@dataclass(frozen=True)
class Verification:
    """A graph's predictions beside the real model's changes."""

    sources: list[int]  # those that were ablated: numbers among the replacement's sources
    direct: Agreement
    total: Agreement
    on_targets: Agreement  # the targets alone, total
    frozen_error: float
    """With everything held: largest |change + edge| of a few sources, of the edges' rms; ~0."""
    let_go: dict[str, Agreement]  # direct, with one thing let go at a time


def verify(
    lm: LanguageModel,
    graph: Graph,
    targets: Targets,
    count: int,
    seed: int = 0,
    advance: Callable[[int], None] = lambda _: None,
) -> Verification:
    """Ablates `count` of the followed features: half the most influential, half at random."""
    replacement = graph.replacement
    chosen = _sources(graph, count, seed)
    rows = torch.arange(graph.features, device=chosen.device)
    readers = feature_targets(replacement, graph.followed)
    direct = -graph.edges[:, chosen].T  # [sources, features + targets]
    total = _through_features(graph, chosen)
    layer = torch.cat([replacement.layer[graph.followed], targets.layer])
    at = torch.cat([replacement.position[graph.followed], targets.position])
    here = graph.followed[chosen]
    reached = (layer > replacement.layer[here][:, None]) & (
        at >= replacement.position[here][:, None]
    )
    real: dict[str, Tensor] = {}
    for name, freed in {"nothing": Freed(), **LET_GO}.items():
        parts: list[Tensor] = []
        # that the hooks hold what they are to hold shows in a few
        for some in here.split(TOGETHER)[: 1 if name == "nothing" else None]:
            parts.append(_changes(lm, replacement, some.tolist(), readers, targets, freed))
            advance(len(some))
        real[name] = torch.cat(parts)
    everything = real["everything"]
    on_targets = reached.clone()
    on_targets[:, rows] = False
    size = direct[reached].square().mean().sqrt().clamp(min=1e-30)
    few = slice(len(real["nothing"]))
    held = (real["nothing"] - direct[few])[reached[few]].abs()
    return Verification(
        sources=here.tolist(),
        direct=_agreement(direct, everything, reached),
        total=_agreement(total, everything, reached),
        on_targets=_agreement(total, everything, on_targets),
        frozen_error=float(held.max() / size) if len(held) else 0.0,
        let_go={name: _agreement(direct, real[name], reached) for name in LET_GO},
    )


def _sources(graph: Graph, count: int, seed: int) -> Tensor:
    """Followed features, by their rows: the most influential ones, and others drawn by seed."""
    order = node_influence(graph)[: graph.features].argsort(descending=True).cpu()
    strongest, others = order[: count // 2], order[count // 2 :]
    generator = torch.Generator().manual_seed(seed)
    drawn = others[torch.randperm(len(others), generator=generator)[: count - len(strongest)]]
    return torch.cat([strongest, drawn]).to(graph.edges.device)


def _through_features(graph: Graph, chosen: Tensor) -> Tensor:
    """What taking out each chosen feature does along all paths, [sources, features + targets].

    Active features are taken to answer in proportion: Δ = −edge + Σ over features between of
    edge per activation · Δ.
    """
    n = graph.features
    activation = graph.values[:n]
    per_unit = graph.edges[:, :n] / torch.where(activation != 0, activation, 1.0)
    delta = -graph.edges[:, chosen]  # [rows, sources]
    total = delta.clone()
    while (through := delta[:n]).any():
        delta = per_unit @ through
        total += delta
    return total.T


def _changes(
    lm: LanguageModel,
    replacement: Replacement,
    sources: Sequence[int],
    readers: Targets,
    targets: Targets,
    freed: Freed,
) -> Tensor:
    """How the real model's values at features and targets change, [sources, features + targets].

    A feature's value is read as the affine function that it is on the prompt, whether or not it
    would still fire.
    """
    model = replacement.model
    written = [replacement.written(source) for source in sources]
    tokens = torch.tensor([model.token_ids] * len(sources), device=lm.device)
    states: dict[int, Tensor] = {}
    edits: list[tuple[str, Callable[..., Any]]] = []

    def held_norm(norm: Norm) -> tuple[Callable[..., None], Callable[..., Tensor]]:
        entering: list[Tensor] = []

        def note(value: Tensor, hook: Any) -> None:
            entering[:] = [value]

        def hold(value: Tensor, hook: Any) -> Tensor:
            return norm(entering[0].float()).to(value.dtype)

        return note, hold

    def pattern(held: Tensor) -> Callable[..., Tensor]:
        return lambda value, hook: held.to(value.dtype).expand_as(value)

    def see(layer: int) -> Callable[..., None]:
        def keep(value: Tensor, hook: Any) -> None:
            states[layer] = value.float()

        return keep

    def written_by_mlp(layer: int) -> Callable[..., Tensor]:
        def edit(value: Tensor, hook: Any) -> Tensor:
            found = value.float()
            if not freed.mlps:
                found = model.blocks[layer].mlp_out.expand_as(found)
                skip = replacement.skips.get(layer)
                if skip is not None:
                    found = found + skip.linear(states[layer] - model.blocks[layer].mid)
            found = found.clone()
            for row, (at, position, vector) in enumerate(written):
                if at == layer:
                    found[row, position] -= vector
            return found.to(value.dtype)

        return edit

    for layer, block in enumerate(model.blocks):
        name = f"blocks.{layer}"
        if not freed.norms:
            for part, norm in (("ln1", block.norm_1), ("ln2", block.norm_2)):
                note, hold = held_norm(norm)
                edits += [(f"{name}.{part}.hook_in", note), (f"{name}.{part}.hook_out", hold)]
        if not freed.patterns:
            edits.append((f"{name}.attn.hook_pattern", pattern(block.attention.pattern)))
        edits.append((f"{name}.ln2.hook_in", see(layer)))
        edits.append((f"{name}.hook_mlp_out", written_by_mlp(layer)))

    def end(value: Tensor, hook: Any) -> None:
        states[len(model.blocks)] = value.float()
        raise _AllSeen

    edits.append(("ln_final.hook_in", end))
    with torch.no_grad(), contextlib.suppress(_AllSeen):
        lm.bridge.run_with_hooks(tokens, return_type=None, fwd_hooks=edits)
    read = (_read(replacement, states, each, freed) for each in (readers, targets))
    return torch.cat([*read], 1)


class _AllSeen(Exception):
    """Ends a forward pass before its logits, which are read off what enters the final norm."""


def _read(
    replacement: Replacement, states: dict[int, Tensor], readers: Targets, freed: Freed
) -> Tensor:
    """How far readers' values are from the model's own, [sources, readers]."""
    model = replacement.model
    found = readers.value.new_empty(len(states[0]), len(readers))
    for layer in readers.layer.unique().tolist():
        here = readers.layer == layer
        if layer == len(model.blocks):
            norm, before = model.norm, model.last
        else:
            norm = replacement.transcoders[layer].norm(model.blocks[layer])
            before = model.blocks[layer].mid
        after = states[layer]
        if norm is not None:
            before, after = norm(before), norm.let_go(after) if freed.norms else norm(after)
        change = (after - before)[:, readers.position[here]]
        found[:, here] = (change * readers.direction[here]).sum(-1)
    return found


def _agreement(predicted: Tensor, real: Tensor, where: Tensor) -> Agreement:
    """Compares [sources, reached] where `where` holds."""
    each = [_pearson(p[w], r[w]) for p, r, w in zip(predicted, real, where, strict=True)]
    known = torch.tensor([r for r in each if r is not None], dtype=torch.float64)
    p, r = predicted[where].double(), real[where].double()
    squared = float(r.square().sum())
    own = float(p.square().sum())
    return Agreement(
        r_per_source=float(known.median()) if len(known) else None,
        r_pooled=_pearson(p, r),
        slope=float((p * r).sum()) / own if own > 0 else None,
        missed=float((r - p).square().sum()) / squared if squared > 0 else None,
    )


def _pearson(a: Tensor, b: Tensor) -> float | None:
    """Pearson's r; None of fewer than three pairs, or where one side doesn't vary."""
    if len(a) < 3:
        return None
    a, b = a.double() - a.double().mean(), b.double() - b.double().mean()
    size = float(a.norm() * b.norm())
    return float(a @ b) / size if size > 0 else None
