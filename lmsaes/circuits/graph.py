"""The graph: the features that matter most for the targets, and every edge among them.

    targets' edges ──► influence ──► the next features' edges ──► influence ──► … up to `nodes`

A feature's influence is what flows through it to the targets: rows of edges, as absolute values
that sum to 1, from target to source, summed over all paths (Ameisen et al. 2025; circuit-tracer's
`compute_influence`). Features are followed in order of the influence that is known so far, so one
that is never reached costs nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lmsaes.circuits.edges import Targets, edges, feature_targets
from lmsaes.circuits.replacement import Replacement
from lmsaes.errors import LmsaesError

BATCH = 256  # targets whose edges are computed together
_BATCHES_BETWEEN = 4  # before influence is asked again
# Edges that don't add up to what they explain are not shown.
COMPLETENESS_LIMIT = 1e-4


@dataclass(frozen=True)
class Graph:
    """Edges from sources to targets and to the features that were followed.

    Nodes are counted as circuit-tracer counts them: followed features (ascending), errors by layer
    and position, tokens, targets.
    """

    replacement: Replacement
    followed: Tensor  # int64 [n]: numbers of features among the replacement's sources
    weights: Tensor  # [targets]: of each target; they sum to at most 1
    edges: Tensor  # [n + targets, n + errors + tokens]: rows are followed features, then targets
    constants: Tensor  # [n + targets]: what biases give each
    values: Tensor  # [n + targets]: what the model has
    completeness_error: float
    left: float
    """Share of the edges into targets and followed features that comes from other features."""

    @property
    def features(self) -> int:
        return len(self.followed)

    @property
    def targets(self) -> int:
        return len(self.weights)


def build_graph(
    replacement: Replacement,
    targets: Targets,
    weights: Tensor,
    nodes: int,
    advance: Callable[[int], None] = lambda _: None,
) -> Graph:
    """Follows up to `nodes` features.

    weights: how much each target counts, as a logit's probability. advance: told how many features
    were followed. Raises LmsaesError where edges and constant don't sum to what the model has.
    """
    count, features = len(targets), replacement.features
    room = min(nodes, features)
    found = targets.gradient.new_zeros(count + room, replacement.sources)
    found[:count] = edges(replacement, targets)
    parts, order = [targets], torch.empty(0, dtype=torch.int64, device=found.device)
    waiting = torch.ones(features, dtype=torch.bool, device=found.device)
    while len(order) < room:
        influence = influence_on_targets(found[: count + len(order)], order, weights, replacement)
        influence = influence[:features] * waiting
        best = influence.topk(min(BATCH * _BATCHES_BETWEEN, room - len(order)))
        chosen = best.indices[best.values > 0]
        if not len(chosen):
            break
        # those that read high and late together: a batch is taken back from the highest of its
        # blocks, over the positions up to its last
        chosen = chosen[(replacement.layer * 10**6 + replacement.position)[chosen].argsort()]
        for some in chosen.split(BATCH):
            batch = feature_targets(replacement, some)
            start = count + len(order)
            found[start : start + len(some)] = edges(replacement, batch)
            parts.append(batch)
            order = torch.cat([order, some])
            waiting[some] = False
            advance(len(some))
    return _assembled(replacement, found[: count + len(order)], order, parts, weights)


def _assembled(
    replacement: Replacement, found: Tensor, order: Tensor, parts: list[Targets], weights: Tensor
) -> Graph:
    count = len(weights)
    values = torch.cat([part.value for part in parts])
    constants = torch.cat([part.constant for part in parts])
    error = _completeness(found, values, constants)
    if not error <= COMPLETENESS_LIMIT:
        raise LmsaesError(
            f"edges miss what they explain by {error:.1e} of its size, more than"
            f" {COMPLETENESS_LIMIT:.0e}: no graph is made",
            "run the model in float32, or report this with the model and the transcoders",
        )
    rows = torch.cat([count + order.argsort(), torch.arange(count, device=order.device)])
    followed = order.sort().values
    beyond = torch.arange(replacement.features, found.shape[1], device=order.device)
    columns = torch.cat([followed, beyond])
    total = found.abs().sum()
    kept = found[rows][:, columns]
    return Graph(
        replacement=replacement,
        followed=followed,
        weights=weights,
        edges=kept,
        constants=constants[rows],
        values=values[rows],
        completeness_error=error,
        left=max(0.0, float(1 - kept.abs().sum() / total)) if total > 0 else 0.0,
    )


def _completeness(found: Tensor, values: Tensor, constants: Tensor) -> float:
    """The largest |Σ edges + constant − value|, relative to the values' root mean square."""
    error = (found.sum(1) + constants - values).abs().max()
    return float(error / values.square().mean().sqrt().clamp(min=1e-30))


def influence_on_targets(
    found: Tensor, order: Tensor, weights: Tensor, replacement: Replacement
) -> Tensor:
    """What flows to the targets through each source, [sources], by the edges that are known.

    found: rows of edges of the targets and then of the features `order`. Features are taken from
    the highest layer down: a layer's influence is complete when all above it have passed theirs on.
    """
    count = len(weights)
    influence = _passed_on(found[:count], weights)
    layers = replacement.layer[order]
    for layer in sorted(set(layers.tolist()), reverse=True):
        here = torch.nonzero(layers == layer)[:, 0]
        influence += _passed_on(found[count + here], influence[order[here]])
    return influence


def _passed_on(rows: Tensor, influence: Tensor) -> Tensor:
    """Each row's influence dealt out over its edges by their size, [sources]."""
    total = torch.zeros_like(rows[0])
    for some, size in zip(rows.split(BATCH), influence.split(BATCH), strict=True):
        magnitude = some.abs()
        total += (size / magnitude.sum(1).clamp(min=1e-10)) @ magnitude
    return total
