"""Attribution graphs as they are kept: a record, a table of nodes and a table of edges.

Nodes stand in this order: features (by layer, position, index), errors, tokens, targets. A node's
number in edges is its place there. Edges are the strongest first by their share of the influence.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from lmsaes.database.details import Table
from lmsaes.database.names import Name
from lmsaes.database.records import AnalysisId, Text

FEATURE, ERROR, TOKEN, LOGIT, TARGET = range(5)
"""Kinds of nodes; a TARGET is a feature that is explained."""
MOST_GROUPS = 200


class GraphTranscoder(BaseModel):
    """The transcoder of one layer's MLP."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    layer: int
    sae: Text  # as it is called in the database, if it is there
    sae_hash: str
    path: Text


class GraphGroup(BaseModel):
    """Nodes that are read as one, under a name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
    nodes: Annotated[tuple[str, ...], Field(min_length=1, max_length=10_000)]


class GraphFacts(BaseModel):
    """What a graph is of, and how far to believe it."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    prompt: Text
    model: Text
    token_ids: tuple[int, ...]
    tokens: tuple[Text, ...]
    special: tuple[bool, ...]
    layers: int
    transcoders: tuple[GraphTranscoder, ...]
    targets: tuple[Text, ...]  # what is explained, in the order of the nodes
    node_threshold: float
    edge_threshold: float
    features: int
    nodes: int
    edges: int
    proof: dict[str, Any]


class GraphRecord(GraphFacts):
    """A graph in the database."""

    name: Name
    graph: AnalysisId  # another one each time that a graph of this name is made
    created: str  # ISO 8601
    version: int = 1  # of the groups
    groups: tuple[GraphGroup, ...] = ()
    schema_version: int


@dataclass(frozen=True)
class ShownGraph:
    """A graph as far as it is shown: what the database and files hold.

    nodes: `kind` uint8, `layer` int16 (−1: tokens; the number of blocks: logits), `position`,
    `index` int32 (a feature's, a token's or logit's id; 0 of an error), `activation`, `value`,
    `constant`, `influence`, `cumulative`, `probability` float32, 0 where a kind has none.
    edges: `source`, `target` int32, `weight`, `cumulative` float32.
    """

    facts: GraphFacts
    nodes: Table
    edges: Table

    @cached_property
    def ids(self) -> list[str]:
        """Of each node, as files and addresses name it."""
        columns = (self.nodes[name].tolist() for name in ("kind", "layer", "position", "index"))
        return [node_id(*row) for row in zip(*columns, strict=True)]

    @cached_property
    def places(self) -> dict[str, int]:
        """Each node's number by its id."""
        return {each: place for place, each in enumerate(self.ids)}

    def place(self, id: str) -> int | None:
        """A node's number; None where the graph has no such node."""
        return self.places.get(id)

    def into(self, node: int) -> np.ndarray:
        """Numbers of the edges into a node, the largest first."""
        return self._largest(np.flatnonzero(self.edges["target"] == node))

    def out_of(self, node: int) -> np.ndarray:
        """Numbers of the edges out of a node, the largest first."""
        return self._largest(np.flatnonzero(self.edges["source"] == node))

    def of_layer(self, layer: int) -> np.ndarray:
        """Indices of the transcoder's features that nodes of a layer are of, ascending."""
        kind = self.nodes["kind"]
        here = (kind == FEATURE) | (kind == TARGET)
        return np.unique(self.nodes["index"][here & (self.nodes["layer"] == layer)])

    def _largest(self, chosen: np.ndarray) -> np.ndarray:
        return chosen[np.argsort(-np.abs(self.edges["weight"][chosen]), kind="stable")]


def node_id(kind: int, layer: int, position: int, index: int) -> str:
    """circuit-tracer's ids but for errors, whose "0_LAYER_POSITION" is a feature's of layer 0."""
    if kind == ERROR:
        return f"error_{layer}_{position}"
    if kind == TOKEN:
        return f"E_{index}_{position}"
    if kind == LOGIT:
        return f"{layer + 1}_{index}_{position}"
    return f"{layer}_{index}_{position}" + ("_target" if kind == TARGET else "")


def wrong_groups(groups: Sequence[GraphGroup], ids: Sequence[str]) -> str | None:
    """What is wrong with groups of a graph whose nodes are called so; None where nothing is."""
    if len(groups) > MOST_GROUPS:
        return f"{len(groups)} groups are more than {MOST_GROUPS}"
    known, names, taken = set(ids), set[str](), set[str]()
    for group in groups:
        if group.name in names:
            return f"two groups are called '{group.name}'"
        names.add(group.name)
        for node in group.nodes:
            if node not in known:
                return f"the graph has no node '{node}'"
            if node in taken:
                return f"node '{node}' is in two groups, or twice in one"
            taken.add(node)
    return None
