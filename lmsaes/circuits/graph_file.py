"""A graph as JSON in circuit-tracer's schema, which its viewer and Neuronpedia's validator read.

    metadata   prompt, tokens, transcoders, thresholds; `proof`: how far to believe it
    nodes      features "LAYER_INDEX_POSITION", errors, tokens, logits
    links      source, target, weight

The schema allows more fields than it has; `proof`, and each feature's `sae` and `index`, are ours.
Errors are "error_LAYER_POSITION": circuit-tracer's "0_LAYER_POSITION" is also a feature of layer 0.
"""

import json
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lmsaes.atomic import replace_file
from lmsaes.database import ERROR, FEATURE, LOGIT, TARGET, TOKEN, GraphGroup, ShownGraph

Labels = Mapping[tuple[int, int], str]
"""What features stand for, by layer and index."""


def graph_json(
    graph: ShownGraph,
    slug: str,
    labels: Labels | None = None,
    scan: str | None = None,
    groups: Sequence[GraphGroup] = (),
) -> dict[str, Any]:
    """The graph; floats are finite or None.

    labels: what is written on features. scan: where a viewer finds their pages (default: the
    model's name). groups: nodes that are read as one.
    """
    nodes = [_node(graph, place, labels or {}) for place in range(graph.facts.nodes)]
    ends = zip(graph.edges["source"].tolist(), graph.edges["target"].tolist(), strict=True)
    links = [
        {"source": graph.ids[source], "target": graph.ids[target], "weight": weight}
        for (source, target), weight in zip(ends, graph.edges["weight"].tolist(), strict=True)
    ]
    return {
        "metadata": _metadata(graph, slug, scan),
        "qParams": {
            "pinnedIds": [],
            "supernodes": [[group.name, *group.nodes] for group in groups],
            "linkType": "both",
            "clickedId": "",
            "sg_pos": "",
        },
        "nodes": nodes,
        "links": links,
    }


def write_graph(graph: ShownGraph, file: Path, labels: Labels | None = None, **more: Any) -> None:
    """Writes the graph's JSON; more: as `graph_json` takes it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    found = graph_json(graph, slug_of(file.stem), labels, **more)
    replace_file(file, json.dumps(found, allow_nan=False, ensure_ascii=False).encode())


def slug_of(name: str) -> str:
    """A name in the letters that a slug may have."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-") or "graph"


def cantor(layer: int, index: int) -> int:
    """The one number that a viewer knows a feature by (Cantor's pairing)."""
    return (layer + index) * (layer + index + 1) // 2 + index


def _metadata(graph: ShownGraph, slug: str, scan: str | None) -> dict[str, Any]:
    facts = graph.facts
    return {
        "slug": slug,
        "scan": scan or slug_of(Path(facts.model).name),
        "transcoder_list": [each.sae for each in facts.transcoders],
        "prompt_tokens": list(facts.tokens),
        "prompt": facts.prompt,
        "node_threshold": facts.node_threshold,
        "schema_version": 1,
        "info": {"generator": {"name": "lmsaes", "version": version("lmsaes")}},
        "generation_settings": {
            "max_n_logits": len(facts.targets),
            "max_feature_nodes": facts.proof["features_followed"],
        },
        "pruning_settings": {
            "node_threshold": facts.node_threshold,
            "edge_threshold": facts.edge_threshold,
        },
        "proof": facts.proof,
    }


def _node(graph: ShownGraph, place: int, labels: Labels) -> dict[str, Any]:
    facts = graph.facts
    row = {name: column[place].item() for name, column in graph.nodes.items()}
    kind, layer, position, index = (row[key] for key in ("kind", "layer", "position", "index"))
    node: dict[str, Any] = {
        "node_id": graph.ids[place],
        "feature": index,
        "layer": str(layer),
        "ctx_idx": position,
        "feature_type": _TYPES[kind],
        "token_prob": 0.0,
        "is_target_logit": False,
        "run_idx": 0,
        "reverse_ctx_idx": 0,
        "jsNodeId": "",
        "clerp": "",
        "influence": row["cumulative"],
        "activation": None,
    }
    if kind in (FEATURE, TARGET):
        names = {each.layer: each.sae for each in facts.transcoders}
        node |= {
            "feature": cantor(layer, index),
            "jsNodeId": f"{layer}_{index}-0",
            "clerp": labels.get((layer, index), ""),
            "activation": row["activation"],
            "sae": names[layer],
            "index": index,
        }
    elif kind == ERROR:
        node |= {"feature": -1, "jsNodeId": f"error_{layer}_{position}-0"}
    elif kind == TOKEN:
        node |= {"feature": position, "layer": "E", "jsNodeId": f"E_{index}-{position}"}
    which = place - (facts.nodes - len(facts.targets))  # of the targets, the last nodes
    if kind in (LOGIT, TARGET):
        node |= {"influence": None, "is_target_logit": kind == TARGET or which == 0}
    if kind == LOGIT:
        name, chance = facts.targets[which], row["probability"]
        node |= {
            "layer": str(layer + 1),
            "jsNodeId": f"L_{index}-{position}",
            "clerp": f'Output "{name}" (p={chance:.3f})',
            "token_prob": chance,
        }
    return node


_TYPES = {
    FEATURE: "cross layer transcoder",
    TARGET: "cross layer transcoder",
    ERROR: "mlp reconstruction error",
    TOKEN: "embedding",
    LOGIT: "logit",
}
