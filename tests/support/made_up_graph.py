"""A small attribution graph of known contents, for tests of the database and the server."""

import numpy as np

from lmsaes.database import GraphFacts, GraphTranscoder, ShownGraph
from lmsaes.database.graph_records import ERROR, FEATURE, LOGIT, TOKEN

_AGREEMENT = {"r_per_source": 0.9, "r_pooled": None, "slope": 1.0, "missed": 0.2}
PROOF = {
    "completeness_error": 1e-6,
    "replacement_score": 0.8,
    "completeness_score": 0.9,
    "features_active": 40,
    "features_followed": 40,
    "edges_left": 0.0,
    "verification": {
        "ablations": 4,
        "direct": _AGREEMENT,
        "total": _AGREEMENT,
        "on_targets": _AGREEMENT,
        "frozen_error": 1e-7,
        "let_go": {"everything": _AGREEMENT},
    },
}
IDS = ["0_3_1", "1_5_1", "error_1_1", "E_7_0", "E_9_1", "3_2_1"]


def made_up_graph(sae: str = "demo:topk", sae_hash: str = "5f3a", **facts: object) -> ShownGraph:
    """Two features of `sae` in layer 0 and one of nobody's in layer 1; as edges, rows are
    source, target, weight."""
    rows = [(3, 0, 1.5), (0, 5, 1.0), (4, 0, -0.5), (1, 5, 0.5), (2, 5, -0.25), (0, 1, 0.125)]
    weights = np.array([row[2] for row in rows], np.float32)
    share = np.abs(weights) / np.abs(weights).sum()
    whole = np.array([[row[0], row[1]] for row in rows], np.int32)
    nodes = {
        "kind": np.array([FEATURE, FEATURE, ERROR, TOKEN, TOKEN, LOGIT], np.uint8),
        "layer": np.array([0, 1, 1, -1, -1, 2], np.int16),
        "position": np.array([1, 1, 1, 0, 1, 1], np.int32),
        "index": np.array([3, 5, 0, 7, 9, 2], np.int32),
        "activation": np.array([2, 0.5, 0, 0, 0, 0], np.float32),
        "value": np.array([2, 0.5, 0, 0, 0, 4], np.float32),
        "constant": np.array([1, 0.25, 0, 0, 0, 3], np.float32),
        "influence": np.array([0.5, 0.25, 0.125, 0.5, 0.25, 0], np.float32),
        "cumulative": np.array([0.6, 0.9, 1, 0.3, 0.8, 0], np.float32),
        "probability": np.array([0, 0, 0, 0, 0, 0.75], np.float32),
    }
    fields: dict[str, object] = {
        "prompt": "the river",
        "model": "lmsaes-demo",
        "token_ids": (7, 9),
        "tokens": ("the", " river"),
        "special": (False, False),
        "layers": 2,
        "transcoders": (
            GraphTranscoder(layer=0, sae=sae, sae_hash=sae_hash, path="runs/demo/topk"),
            GraphTranscoder(layer=1, sae="gone:layer-1", sae_hash="77", path="runs/gone/layer-1"),
        ),
        "targets": (" town",),
        "node_threshold": 0.8,
        "edge_threshold": 0.98,
        "features": 2,
        "nodes": 6,
        "edges": len(rows),
        "proof": PROOF,
    }
    return ShownGraph(
        GraphFacts.model_validate({**fields, **facts}),
        nodes,
        {
            "source": whole[:, 0],
            "target": whole[:, 1],
            "weight": weights,
            "cumulative": np.cumsum(share).astype(np.float32),
        },
    )
