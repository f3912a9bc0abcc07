"""How far to believe a graph: its predictions beside what the real model does.

Sources are taken out of the MLP's output in the real model, one at a time; every feature above
that fires, and every target, is read again. A graph predicts the change as minus its edge (direct),
or through the features between as well (total). Then one thing that the graph holds is let go at a
time: attention patterns, the norms' denominators, the other MLPs' answers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lmsaes.circuits.edges import Targets, feature_targets
from lmsaes.circuits.graph import Graph
from lmsaes.circuits.passes import Freed, entering, read, run_from
from lmsaes.circuits.prune import node_influence
from lmsaes.circuits.replacement import Replacement
from lmsaes.model import LanguageModel

TOGETHER = 16  # ablations that run as one batch of contexts
FROZEN = 20  # of them that are run with everything held, too


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
        # that the hooks hold what they are to hold shows in a few
        some = here[:FROZEN] if name == "nothing" else here
        real[name] = direct.new_zeros(len(some), direct.shape[1])
        for batch in _of_one_layer(replacement.layer[some]):
            sources = some[batch].tolist()
            real[name][batch] = _changes(lm, replacement, sources, readers, targets, freed)
            advance(len(batch))
    everything = real["everything"]
    on_targets = reached.clone()
    on_targets[:, rows] = False
    size = direct[reached].square().mean().sqrt().clamp(min=1e-30)
    few = slice(len(real["nothing"]))
    held = (real["nothing"] - direct[few])[reached[few]].abs()
    return Verification(
        sources=here.tolist(),
        direct=agreement(direct, everything, reached),
        total=agreement(total, everything, reached),
        on_targets=agreement(total, everything, on_targets),
        frozen_error=float(held.max() / size) if len(held) else 0.0,
        let_go={name: agreement(direct, real[name], reached) for name in LET_GO},
    )


def _of_one_layer(layers: Tensor) -> list[Tensor]:
    """Batches of sources that write to one layer, by their places."""
    return [
        batch
        for layer in layers.unique().tolist()
        for batch in torch.nonzero(layers == layer)[:, 0].split(TOGETHER)
    ]


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
    """How the real model's values at features and targets change without sources of one layer,
    each taken out alone, [sources, features + targets]."""
    written = [replacement.written(source) for source in sources]
    above = written[0][0] + 1
    stream = entering(replacement, above).repeat(len(sources), 1, 1)
    for row, (_, position, vector) in enumerate(written):
        stream[row, position] -= vector
    states = run_from(lm, replacement, above, stream, freed)
    return torch.cat([read(replacement, states, each, freed) for each in (readers, targets)], 1)


def agreement(predicted: Tensor, real: Tensor, where: Tensor) -> Agreement:
    """Compares changes [sources, reached] where `where` holds."""
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
