"""What of a graph is shown, and the two scores that the field gives it.

Influence, thresholds and scores are circuit-tracer's (its `graph.py`): rows of edges as absolute
values that sum to 1; nodes that hold 80 % of the influence on the targets, tokens and targets
always; edges among them that hold 98 %; then, again and again, features and errors without an edge
out and features without an edge in are taken away.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from lmsaes.circuits.graph import Graph


@dataclass(frozen=True)
class Pruned:
    """Which nodes and edges of a graph are kept. Nodes are counted as in `Graph`."""

    nodes: Tensor  # bool [features + errors + tokens + targets]
    edges: Tensor  # bool, of the shape of Graph.edges
    influence: Tensor  # [nodes]: of each on the targets
    cumulative: Tensor  # [nodes]: share of all influence up to and with this node, strongest first
    strength: Tensor  # of each kept edge in the order of edges.nonzero(): share of the influence


@dataclass(frozen=True)
class Scores:
    """How much of what flows to the targets goes through features, not errors."""

    replacement: float  # tokens' influence / (tokens' + errors')
    completeness: (
        float  # share of edges that don't come from errors, by influence of what they reach
    )


def influence(rows: Tensor, features: int, weights: Tensor) -> Tensor:
    """Influence of each column on the targets, [columns]: Σ over k of weights · Mᵏ.

    rows: of features and then targets, absolute values that sum to 1 (or 0).
    """
    current = weights @ rows[features:]
    total = current.clone()
    while (through := current[:features]).any():
        current = through @ rows[:features]
        total += current
    return total


def node_influence(graph: Graph) -> Tensor:
    """Influence of each feature, error and token on the targets."""
    return influence(_normalized(graph.edges), graph.features, graph.weights)


def _normalized(edges: Tensor) -> Tensor:
    magnitude = edges.abs()
    return magnitude / magnitude.sum(1, keepdim=True).clamp(min=1e-10)


def prune(graph: Graph, node_threshold: float = 0.8, edge_threshold: float = 0.98) -> Pruned:
    """Keeps nodes and edges that hold these shares of the influence on the targets."""
    features, targets = graph.features, graph.targets
    columns, tokens = graph.edges.shape[1], graph.replacement.model.positions
    reached = node_influence(graph)
    # targets are no columns: nothing flows through them
    score = torch.cat([reached, reached.new_zeros(targets)])
    nodes = score >= _threshold(score, node_threshold)
    nodes[columns - tokens :] = True

    kept = graph.edges * _row_mask(nodes, features, columns)[:, None] * nodes[:columns]
    rows = _normalized(kept)
    through = influence(rows, features, graph.weights)
    of_row = torch.cat([through[:features], graph.weights])
    of_edge = rows * of_row[:, None]
    edges = (of_edge >= _threshold(of_edge.flatten(), edge_threshold)) & (of_edge > 0)

    prunable = columns - tokens
    before = None
    while before is None or not torch.equal(before, nodes):
        before = nodes.clone()
        nodes[:prunable] &= edges[:, :prunable].any(0)
        nodes[:features] &= edges[:features].any(1)
        edges &= _row_mask(nodes, features, columns)[:, None] & nodes[:columns]
    strength = of_edge[edges] / of_edge.sum(dtype=torch.float64).clamp(min=1e-30)
    return Pruned(nodes, edges, score, cumulative(score), strength.to(score.dtype))


def scores(graph: Graph) -> Scores:
    """Replacement and completeness score of the whole graph, as circuit-tracer defines them."""
    features, tokens = graph.features, graph.replacement.model.positions
    rows = _normalized(graph.edges)
    reached = influence(rows, features, graph.weights)
    from_tokens, from_errors = reached[-tokens:].sum(), reached[features:-tokens].sum()
    # errors and tokens have no edges into them, so they count as explained
    explained = 1 - rows[:, features:-tokens].sum(1)
    of_row = torch.cat([reached[:features], graph.weights])
    leaves = reached[features:].sum()
    return Scores(
        replacement=float(from_tokens / (from_tokens + from_errors).clamp(min=1e-30)),
        completeness=float(
            ((explained * of_row).sum() + leaves) / (of_row.sum() + leaves).clamp(min=1e-30)
        ),
    )


def _row_mask(nodes: Tensor, features: int, columns: int) -> Tensor:
    """Which rows belong to kept nodes, bool [features + targets]."""
    return torch.cat([nodes[:features], nodes[columns:]])


def _threshold(scores: Tensor, share: float) -> Tensor:
    """The score down to which the strongest hold `share` of the sum."""
    ordered = scores.sort(descending=True).values
    total = ordered.sum(dtype=torch.float64)
    held = ordered.cumsum(0, dtype=torch.float64) / total.clamp(min=1e-30)
    place = int(torch.searchsorted(held, torch.tensor(share, dtype=held.dtype, device=held.device)))
    return ordered[min(place, len(ordered) - 1)]


def cumulative(scores: Tensor) -> Tensor:
    """Of each score, the share of their sum that those up to it hold, the largest first."""
    ordered, order = scores.sort(descending=True)
    held = torch.empty_like(scores)
    held[order] = ordered.cumsum(0) / ordered.sum().clamp(min=1e-30)
    return held
