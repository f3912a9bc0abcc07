"""A graph as JSON in circuit-tracer's schema, which its viewer and Neuronpedia's validator read.

    metadata   prompt, tokens, transcoders, thresholds; `proof`: how far to believe it
    nodes      features "LAYER_INDEX_POSITION", errors, tokens, logits
    links      source, target, weight

The schema allows more fields than it has; `proof`, and each feature's `sae` and `index`, are ours.
Errors are "error_LAYER_POSITION": circuit-tracer's "0_LAYER_POSITION" is also a feature of layer 0.
"""

import dataclasses
import json
import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lmsaes.atomic import replace_file
from lmsaes.circuits.trace import Traced
from lmsaes.circuits.verify import Verification

Labels = Mapping[tuple[int, int], str]
"""What features stand for, by layer and index."""


def graph_json(traced: Traced, slug: str, labels: Labels | None = None) -> dict[str, Any]:
    """The pruned graph; floats are finite or None."""
    nodes = _nodes(traced, labels or {})
    kept = traced.pruned.edges.nonzero().tolist()
    weights = traced.graph.edges[traced.pruned.edges].tolist()
    columns = traced.graph.edges.shape[1]
    features = traced.graph.features
    links: list[dict[str, Any]] = []
    for (row, column), weight in zip(kept, weights, strict=True):
        target = row if row < features else columns + row - features
        if column in nodes and target in nodes:
            ends = {"source": nodes[column]["node_id"], "target": nodes[target]["node_id"]}
            links.append({**ends, "weight": weight})
    joined = {link[end] for link in links for end in ("source", "target")}
    always = ("embedding", "logit")
    shown = [
        node
        for node in nodes.values()
        if node["node_id"] in joined or node["feature_type"] in always
    ]
    return {
        "metadata": _metadata(traced, slug),
        "qParams": {
            "pinnedIds": [],
            "supernodes": [],
            "linkType": "both",
            "clickedId": "",
            "sg_pos": "",
        },
        "nodes": shown,
        "links": links,
    }


def write_graph(traced: Traced, file: Path, labels: Labels | None = None) -> None:
    """Writes the graph's JSON."""
    file.parent.mkdir(parents=True, exist_ok=True)
    found = graph_json(traced, slug_of(file.stem), labels)
    replace_file(file, json.dumps(found, allow_nan=False, ensure_ascii=False).encode())


def slug_of(name: str) -> str:
    """A name in the letters that a slug may have."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-") or "graph"


def _metadata(traced: Traced, slug: str) -> dict[str, Any]:
    replacement = traced.replacement
    return {
        "slug": slug,
        "scan": slug_of(Path(replacement.model.name).name),
        "transcoder_list": [each.name for each in replacement.transcoders.values()],
        "prompt_tokens": traced.text.tokens,
        "prompt": traced.prompt,
        "node_threshold": traced.node_threshold,
        "schema_version": 1,
        "info": {"generator": {"name": "lmsaes", "version": version("lmsaes")}},
        "generation_settings": {
            "max_n_logits": len(traced.targets),
            "max_feature_nodes": traced.graph.features,
        },
        "pruning_settings": {
            "node_threshold": traced.node_threshold,
            "edge_threshold": traced.edge_threshold,
        },
        "proof": proof(traced),
    }


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


def _nodes(traced: Traced, labels: Labels) -> dict[int, dict[str, Any]]:
    """The kept nodes by their numbers, in circuit-tracer's order."""
    replacement, graph = traced.replacement, traced.graph
    positions, layers = replacement.model.positions, len(replacement.model.blocks)
    features, columns = graph.features, graph.edges.shape[1]
    cumulative = traced.pruned.cumulative.tolist()
    found: dict[int, dict[str, Any]] = {}
    for number in traced.pruned.nodes.nonzero()[:, 0].tolist():
        influence = {"influence": cumulative[number]}
        if number < features:
            source = int(graph.followed[number])
            node = _feature(traced, source, labels) | influence
        elif number < columns - positions:
            layer, position = divmod(number - features, positions)
            node = {
                "node_id": f"error_{layer}_{position}",
                "feature": -1,
                "layer": str(layer),
                "ctx_idx": position,
                "feature_type": "mlp reconstruction error",
                "jsNodeId": f"error_{layer}_{position}-0",
                "clerp": "",
            } | influence
        elif number < columns:
            position = number - (columns - positions)
            token = replacement.model.token_ids[position]
            node = {
                "node_id": f"E_{token}_{position}",
                "feature": position,
                "layer": "E",
                "ctx_idx": position,
                "feature_type": "embedding",
                "jsNodeId": f"E_{token}-{position}",
                "clerp": "",
            } | influence
        else:
            node = _target(traced, number - columns, layers, labels)
        found[number] = {
            "run_idx": 0,
            "reverse_ctx_idx": 0,
            "is_target_logit": False,
            "token_prob": 0.0,
            "influence": None,
            "activation": None,
            **node,
        }
    return found


def _feature(traced: Traced, source: int, labels: Labels) -> dict[str, Any]:
    replacement = traced.replacement
    layer, index = int(replacement.layer[source]), int(replacement.feature[source])
    position = int(replacement.position[source])
    return {
        "node_id": f"{layer}_{index}_{position}",
        "feature": (layer + index) * (layer + index + 1) // 2 + index,  # Cantor's pairing
        "layer": str(layer),
        "ctx_idx": position,
        "feature_type": "cross layer transcoder",
        "jsNodeId": f"{layer}_{index}-0",
        "clerp": labels.get((layer, index), ""),
        "activation": float(replacement.activation[source]),
        "sae": replacement.transcoders[layer].name,
        "index": index,
    }


def _target(traced: Traced, row: int, layers: int, labels: Labels) -> dict[str, Any]:
    target = traced.targets[row]
    if target.source is not None:
        node = _feature(traced, target.source, labels)
        return {**node, "node_id": f"{node['node_id']}_target", "is_target_logit": True}
    position = traced.replacement.model.positions - 1
    return {
        "node_id": f"{layers + 1}_{target.token_id}_{position}",
        "feature": target.token_id,
        "layer": str(layers + 1),
        "ctx_idx": position,
        "feature_type": "logit",
        "jsNodeId": f"L_{target.token_id}-{position}",
        "clerp": f'Output "{target.name}" (p={target.weight:.3f})',
        "token_prob": target.weight,
        "is_target_logit": row == 0,
    }
