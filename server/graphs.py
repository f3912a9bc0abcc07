"""Routes of attribution graphs that the database has. Those that ask the model: trace_routes.py."""

import json
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query
from fastapi.responses import Response

from lmsaes.circuits.graph_file import graph_json, slug_of
from lmsaes.database import (
    ERROR,
    FEATURE,
    LOGIT,
    TARGET,
    TOKEN,
    ChangedError,
    GraphRecord,
    Label,
    ShownGraph,
    analyzed_transcoders,
    graph_labels,
)

from .dependencies import CurrentGraph, CurrentSAE, CurrentStore, FixedGraph, check_graph
from .graph_features import UNKNOWN, LayerFeatures, layer_features
from .graph_schemas import (
    FeatureInGraph,
    FeatureInGraphs,
    Graph,
    GraphEdges,
    GraphNode,
    GraphNodes,
    GraphSummary,
    NewGroups,
    NodeEdge,
    NodeEdges,
    NodeKind,
    TracedLayer,
)
from .live_schemas import Index
from .schemas import Problem
from .store import ConflictError, NotFoundError, ReplacedError, Store

router = APIRouter(prefix="/graphs", tags=["graphs"])
of_features_router = APIRouter(prefix="/saes/{name}/features/{index}/graphs", tags=["graphs"])

_KINDS: dict[int, NodeKind] = {
    FEATURE: "feature",
    ERROR: "error",
    TOKEN: "token",
    LOGIT: "logit",
    TARGET: "target",
}
CONFLICT: dict[int | str, dict[str, Any]] = {409: {"model": Problem}}
_LEAVES = (ERROR, TOKEN)


@router.get("")
def graphs(store: CurrentStore) -> list[GraphSummary]:
    """All graphs, newest first."""
    return [_summary(record) for record in store.database.graphs.all()]


@router.get("/{name}")
def graph(record: CurrentGraph, store: CurrentStore) -> Graph:
    """One graph: what it is of, how far to believe it, and its groups."""
    return graph_answer(store, record)


@router.delete("/{name}")
def remove_graph(
    record: CurrentGraph, store: CurrentStore, graph: str | None = None
) -> GraphSummary:
    """Removes a graph and answers what it was; 410 where another one is called so now."""
    if graph is not None:
        check_graph(record, graph)
    store.database.graphs.remove(record.name)
    return _summary(record)


@router.put("/{name}/groups", responses=CONFLICT)
def change_groups(record: CurrentGraph, asked: NewGroups, store: CurrentStore) -> Graph:
    """Puts other groups into a graph; 409 where somebody has changed them since that version."""
    check_graph(record, asked.graph)
    try:
        changed = store.database.graphs.change_groups(record, asked.groups, asked.version)
    except ChangedError as error:
        raise ConflictError(f"{error}: {error.hint}") from None
    return graph_answer(store, changed)


@router.get("/{name}/nodes")
def graph_nodes(record: CurrentGraph, store: CurrentStore) -> GraphNodes:
    """All nodes, labeled with what is said of the features today, or the tokens they fire on."""
    shown = store.shown_graph(record)
    analyzed = analyzed_transcoders(store.database, record)
    labels = graph_labels(store.database, shown, analyzed)
    known = {layer: layer_features(store, sae) for layer, sae in analyzed.items()}
    names = {each.layer: each.sae for each in record.transcoders}
    names |= {layer: each.name for layer, each in analyzed.items()}
    return GraphNodes(
        graph=record.graph,
        nodes=[_node(shown, place, names, labels, known) for place in range(record.nodes)],
    )


@router.get("/{name}/edges")
def graph_edges(
    record: FixedGraph,
    store: CurrentStore,
    threshold: Annotated[
        float, Query(ge=0, le=1, description="Edges that hold this share of the influence")
    ] = 1,
    limit: Annotated[int, Query(ge=1, le=200_000)] = 20_000,
) -> GraphEdges:
    """The strongest edges, by the influence on the targets that flows through them."""
    edges = store.shown_graph(record).edges
    held = edges["cumulative"]
    total = len(held) if threshold == 1 else int(np.searchsorted(held, threshold, side="right"))
    columns = {name: column[: min(total, limit)].tolist() for name, column in edges.items()}
    return GraphEdges(graph=record.graph, total=total, **columns)


@router.get("/{name}/nodes/{id}/edges")
def node_edges(
    record: FixedGraph,
    id: str,
    store: CurrentStore,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 100,
) -> NodeEdges:
    """What a node is made of, and where it goes."""
    shown = store.shown_graph(record)
    node = place_of(shown, id)
    incoming, outgoing = shown.into(node), shown.out_of(node)
    leaf = shown.nodes["kind"][node] in _LEAVES
    constant, value = (float(shown.nodes[name][node]) for name in ("constant", "value"))
    return NodeEdges(
        graph=record.graph,
        node=id,
        constant=None if leaf else constant,
        value=None if leaf else value,
        in_total=len(incoming),
        out_total=len(outgoing),
        incoming=_edges(shown, incoming[:limit], "source"),
        outgoing=_edges(shown, outgoing[:limit], "target"),
    )


@router.get(
    "/{name}/export",
    response_class=Response,
    responses={200: {"content": {"application/json": {"schema": {"type": "object"}}}}},
)
def export_graph(record: CurrentGraph, store: CurrentStore) -> Response:
    """A graph as a file in circuit-tracer's format, labels and groups in it."""
    shown = store.shown_graph(record)
    analyzed = analyzed_transcoders(store.database, record)
    labels = graph_labels(store.database, shown, analyzed)
    texts = {feature: label.text for feature, label in labels.items()}
    found = graph_json(shown, slug_of(record.name), texts, groups=record.groups)
    return Response(
        json.dumps(found, allow_nan=False, ensure_ascii=False).encode(errors="replace"),
        media_type="application/json",
        headers={"Content-Disposition": f'attachment; filename="{slug_of(record.name)}.json"'},
    )


@of_features_router.get("")
def graphs_of_feature(
    index: Index, record: CurrentSAE, store: CurrentStore
) -> list[FeatureInGraphs]:
    """The graphs that a feature is in, newest first."""
    store.features(record).check(index)
    found: list[FeatureInGraphs] = []
    for each in store.database.graphs.all():
        layers = [t.layer for t in each.transcoders if t.sae_hash == record.sae_hash]
        if not layers:
            continue
        try:
            shown = store.shown_graph(each)
        except ReplacedError:  # it went away since the list was read
            continue
        nodes = _nodes_of(shown, layers[0], index)
        if nodes:
            found.append(
                FeatureInGraphs(name=each.name, graph=each.graph, prompt=each.prompt, nodes=nodes)
            )
    return found


def graph_answer(store: Store, record: GraphRecord) -> Graph:
    """A graph in full, but for nodes and edges."""
    analyzed = analyzed_transcoders(store.database, record)
    own = {each.layer: each.sae for each in record.transcoders}
    own |= {layer: each.name for layer, each in analyzed.items()}
    fields = record.model_dump(exclude={"transcoders"})
    return Graph(
        **{name: value for name, value in fields.items() if name in Graph.model_fields},
        transcoders=[
            TracedLayer(layer=layer, sae=own.get(layer), analyzed=layer in analyzed)
            for layer in range(record.layers)
        ],
    )


def place_of(shown: ShownGraph, id: str) -> int:
    """A node's number. Raises NotFoundError."""
    node = shown.place(id)
    if node is None:
        raise NotFoundError(f"the graph has no node '{id}'")
    return node


def _summary(record: GraphRecord) -> GraphSummary:
    verified = record.proof["verification"]
    return GraphSummary(
        name=record.name,
        graph=record.graph,
        prompt=record.prompt,
        model=record.model,
        created=record.created,
        tokens=len(record.tokens),
        features=record.features,
        edges=record.edges,
        targets=list(record.targets),
        replacement_score=record.proof["replacement_score"],
        completeness_score=record.proof["completeness_score"],
        r_per_source=verified and verified["direct"]["r_per_source"],
    )


def _node(
    shown: ShownGraph,
    place: int,
    names: dict[int, str],
    labels: dict[tuple[int, int], Label],
    known: dict[int, LayerFeatures],
) -> GraphNode:
    row: dict[str, Any] = {name: column[place].item() for name, column in shown.nodes.items()}
    kind, layer, position, index = (row[key] for key in ("kind", "layer", "position", "index"))
    is_feature, is_target = kind in (FEATURE, TARGET), kind in (LOGIT, TARGET)
    label = labels.get((layer, index)) if is_feature else None
    facts = known[layer].of(index) if is_feature and layer in known else UNKNOWN
    text = label and label.text
    if kind == TOKEN:
        text = shown.facts.tokens[position]
    elif kind == LOGIT:
        text = shown.facts.targets[place - (shown.facts.nodes - len(shown.facts.targets))]
    elif kind == ERROR:
        text = "error"
    return GraphNode(
        id=shown.ids[place],
        kind=_KINDS[kind],
        layer=layer,
        position=position,
        sae=names.get(layer) if is_feature else None,
        index=None if kind == ERROR else index,
        label=text,
        explained=label is not None and label.explained,
        label_tokens=list(facts.tokens),
        maximum=facts.maximum,
        density=facts.density,
        activation=row["activation"] if is_feature else None,
        value=None if kind in _LEAVES else row["value"],
        influence=None if is_target else row["influence"],
        cumulative=None if is_target else row["cumulative"],
        probability=row["probability"] if kind == LOGIT else None,
    )


def _edges(shown: ShownGraph, chosen: np.ndarray, end: str) -> list[NodeEdge]:
    edges, size = shown.edges, np.abs(shown.edges["weight"])
    into = np.bincount(edges["target"], size, minlength=shown.facts.nodes)
    return [
        NodeEdge(
            node=shown.ids[int(edges[end][edge])],
            weight=float(edges["weight"][edge]),
            share=float(size[edge] / max(into[edges["target"][edge]], 1e-30)),
        )
        for edge in chosen.tolist()
    ]


def _nodes_of(shown: ShownGraph, layer: int, index: int) -> list[FeatureInGraph]:
    nodes = shown.nodes
    own = np.isin(nodes["kind"], (FEATURE, TARGET))
    here = np.flatnonzero(own & (nodes["layer"] == layer) & (nodes["index"] == index))
    return [
        FeatureInGraph(
            id=shown.ids[place],
            position=int(nodes["position"][place]),
            token=shown.facts.tokens[int(nodes["position"][place])],
            activation=float(nodes["activation"][place]),
            influence=float(nodes["influence"][place]),
        )
        for place in here.tolist()
    ]
