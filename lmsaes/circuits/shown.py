"""What of a graph is shown, as tables: what the database keeps and files are written from."""

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lmsaes.circuits.prune import cumulative
from lmsaes.circuits.targets import Target
from lmsaes.circuits.trace import Traced
from lmsaes.circuits.verify import Verification
from lmsaes.database import (
    ERROR,
    FEATURE,
    LOGIT,
    TARGET,
    TOKEN,
    Database,
    GraphFacts,
    GraphRecord,
    GraphTranscoder,
    ShownGraph,
)
from lmsaes.sae import sae_hash


def keep_graph(database: Database, name: str, traced: Traced, replace: bool = True) -> GraphRecord:
    """Puts what is shown of a graph into the database. Raises as `Graphs.put` does."""
    return database.graphs.put(name, shown_graph(traced), replace)


def shown_graph(traced: Traced) -> ShownGraph:
    """The nodes and edges that pruning kept; nodes without an edge but for tokens and targets are
    left out."""
    graph, pruned = traced.graph, traced.pruned
    features, columns = graph.features, graph.edges.shape[1]
    row, source = pruned.edges.nonzero(as_tuple=True)
    target = torch.where(row < features, row, columns + row - features)
    order = pruned.strength.argsort(descending=True)
    shown = torch.zeros(columns + graph.targets, dtype=torch.bool, device=row.device)
    shown[source], shown[target] = True, True
    shown[columns - traced.replacement.model.positions :] = True
    numbers = shown.nonzero()[:, 0]
    place = torch.full_like(shown, -1, dtype=torch.int32)
    place[numbers] = torch.arange(len(numbers), dtype=torch.int32, device=row.device)
    edges = {
        "source": _array(place[source][order]),
        "target": _array(place[target][order]),
        "weight": _array(graph.edges[pruned.edges][order]),
        "cumulative": _array(pruned.strength[order].cumsum(0, dtype=torch.float64).float()),
    }
    nodes = _nodes(traced, numbers)
    kinds = nodes["kind"]
    facts = GraphFacts(
        prompt=traced.prompt,
        model=traced.replacement.model.name,
        token_ids=tuple(traced.text.token_ids),
        tokens=tuple(traced.text.tokens),
        special=tuple(traced.text.special),
        layers=len(traced.replacement.model.blocks),
        transcoders=tuple(
            GraphTranscoder(
                layer=layer,
                sae=each.name,
                sae_hash=sae_hash(each.folder, each.sae),
                path=str(each.folder),
            )
            for layer, each in traced.replacement.transcoders.items()
        ),
        targets=tuple(each.name for each in traced.targets),
        node_threshold=traced.node_threshold,
        edge_threshold=traced.edge_threshold,
        features=int((kinds == FEATURE).sum()),
        nodes=len(kinds),
        edges=len(order),
        proof=proof(traced),
    )
    return ShownGraph(facts, nodes, edges)


def proof(traced: Traced) -> dict[str, Any]:
    """How far to believe the graph; None where it wasn't measured."""
    return {
        "completeness_error": traced.graph.completeness_error,
        "replacement_score": traced.scores.replacement,
        "completeness_score": traced.scores.completeness,
        "features_active": traced.replacement.features,
        "features_followed": traced.graph.features,
        "edges_left": traced.graph.left,
        "verification": None if traced.verification is None else _checked(traced.verification),
    }


def _checked(found: Verification) -> dict[str, Any]:
    said = dataclasses.asdict(found)
    return {"ablations": len(said.pop("sources")), **said}


def _nodes(traced: Traced, numbers: Tensor) -> dict[str, np.ndarray]:
    """The table of these nodes, counted as in `Graph`."""
    replacement, graph = traced.replacement, traced.graph
    positions, layers = replacement.model.positions, len(replacement.model.blocks)
    features, columns = graph.features, graph.edges.shape[1]
    count = columns + graph.targets
    device = numbers.device
    kind = torch.full((count,), ERROR, dtype=torch.uint8, device=device)
    kind[:features], kind[columns - positions : columns] = FEATURE, TOKEN
    layer = torch.zeros(count, dtype=torch.int16, device=device)
    position = torch.zeros(count, dtype=torch.int32, device=device)
    index, decimals = torch.zeros_like(position), torch.zeros(count, device=device)
    followed = graph.followed
    layer[:features] = replacement.layer[followed].to(layer.dtype)
    position[:features] = replacement.position[followed].to(position.dtype)
    index[:features] = replacement.feature[followed].to(index.dtype)
    of_errors = torch.arange(layers * positions, device=device)
    layer[features : columns - positions] = (of_errors // positions).to(layer.dtype)
    position[features : columns - positions] = (of_errors % positions).to(position.dtype)
    layer[columns - positions : columns] = -1
    places = torch.arange(positions, dtype=torch.int32, device=device)
    position[columns - positions : columns] = places
    ids = torch.tensor(replacement.model.token_ids, dtype=torch.int32, device=device)
    index[columns - positions : columns] = ids
    activation, value, constant = decimals.clone(), decimals.clone(), decimals.clone()
    influence, held, probability = decimals.clone(), decimals.clone(), decimals.clone()
    activation[:features] = replacement.activation[followed]
    value[:features], value[columns:] = graph.values[:features], graph.values[features:]
    constant[:features], constant[columns:] = graph.constants[:features], graph.constants[features:]
    influence[:columns] = traced.pruned.influence[:columns]
    held[:columns] = cumulative(traced.pruned.influence)[:columns]
    for row, target in enumerate(traced.targets, start=columns):
        kind[row], layer[row], position[row], index[row] = _target(traced, target)
        if target.source is None:
            probability[row] = target.weight
        else:
            activation[row] = replacement.activation[target.source]
    table = {
        "kind": kind,
        "layer": layer,
        "position": position,
        "index": index,
        "activation": activation,
        "value": value,
        "constant": constant,
        "influence": influence,
        "cumulative": held,
        "probability": probability,
    }
    return {name: _array(column[numbers]) for name, column in table.items()}


def _target(traced: Traced, target: Target) -> tuple[int, int, int, int]:
    """Kind, layer, position and index of what is explained."""
    replacement = traced.replacement
    if target.source is None:
        assert target.token_id is not None
        model = replacement.model
        return LOGIT, len(model.blocks), model.positions - 1, target.token_id
    own = (replacement.layer, replacement.position, replacement.feature)
    layer, position, feature = (int(each[target.source]) for each in own)
    return TARGET, layer, position, feature


def _array(values: Tensor) -> np.ndarray:
    return values.cpu().numpy()
