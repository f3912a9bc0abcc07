"""Response and request models of attribution graphs."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, model_validator

from lmsaes.database import GraphGroup

from .live_schemas import Asked, Prose, SAEName
from .schemas import Measurement

NodeKind = Literal["feature", "error", "token", "logit", "target"]
"""A target is a feature that is explained."""


class GraphSummary(BaseModel):
    """One graph in the list."""

    name: str
    graph: Annotated[str, Field(description="Its id: another one when it is traced again")]
    prompt: str
    model: str
    created: Annotated[str, Field(description="ISO 8601")]
    tokens: int
    features: Annotated[int, Field(description="Feature nodes that are shown")]
    edges: int
    targets: list[str]
    replacement_score: float
    completeness_score: float
    r_per_source: Annotated[
        Measurement,
        Field(description="Predicted against real changes; null where it was not verified"),
    ]


class Agreement(BaseModel):
    """Predicted against real changes; null where there is nothing to compare."""

    r_per_source: Annotated[
        Measurement, Field(description="Median over ablated features of Pearson's r")
    ]
    r_pooled: Measurement
    slope: Annotated[Measurement, Field(description="Of real on predicted changes")]
    missed: Annotated[
        Measurement, Field(description="Share of the squared real change that was not predicted")
    ]


class GraphVerification(BaseModel):
    """Ablations in the real model beside what the graph predicts."""

    ablations: int
    frozen_error: Annotated[float, Field(description="With everything held, of the edges' rms")]
    direct: Agreement
    total: Annotated[Agreement, Field(description="Along all paths")]
    on_targets: Agreement
    let_go: Annotated[
        dict[str, Agreement], Field(description="Direct, with one thing let go at a time")
    ]


class GraphProof(BaseModel):
    """How far to believe a graph."""

    completeness_error: Annotated[
        float, Field(description="What edges miss what they explain by, of its rms")
    ]
    replacement_score: float
    completeness_score: float
    features_active: int
    features_followed: int
    edges_left: Annotated[
        float, Field(description="Share of the edges that comes from features not followed")
    ]
    verification: GraphVerification | None


class TracedLayer(BaseModel):
    layer: int
    sae: Annotated[str | None, Field(description="Null: the MLP's whole output is an error")]
    analyzed: Annotated[bool, Field(description="Whether its features have pages")]


class Graph(BaseModel):
    """One graph, without its nodes and edges."""

    name: str
    graph: str
    prompt: str
    model: str
    created: str
    tokens: list[str]
    token_ids: list[int]
    special: list[bool]
    layers: int
    transcoders: list[TracedLayer]
    node_threshold: float
    edge_threshold: float
    nodes: int
    edges: int
    proof: GraphProof
    version: Annotated[int, Field(description="Of the groups")]
    groups: list[GraphGroup]


class GraphNode(BaseModel):
    id: str
    kind: NodeKind
    layer: Annotated[int, Field(description="−1: tokens; the number of blocks: logits")]
    position: int
    sae: str | None
    index: Annotated[int | None, Field(description="The feature's, or the token's or logit's id")]
    label: str | None
    explained: Annotated[bool, Field(description="Whether a person or a model said it")]
    label_tokens: Annotated[
        list[str], Field(description="The tokens that most of a feature's firings are on")
    ]
    maximum: Annotated[
        Measurement, Field(description="Of the feature, on the tokens analyzed; null without them")
    ]
    density: Measurement
    activation: Measurement
    value: Annotated[
        Measurement,
        Field(description="What edges explain: an activation, or a logit less the mean"),
    ]
    influence: Annotated[Measurement, Field(description="On the targets")]
    cumulative: Annotated[
        Measurement,
        Field(description="Share of all influence up to and with this node, strongest first"),
    ]
    probability: Annotated[Measurement, Field(description="Of a logit")]


class GraphNodes(BaseModel):
    """A node's number in edges is its place here: features, errors, tokens, targets."""

    graph: str
    nodes: list[GraphNode]


class GraphEdges(BaseModel):
    """Edges as columns, strongest first by their share of the influence."""

    graph: str
    total: Annotated[int, Field(description="How many pass the threshold")]
    source: list[int]
    target: list[int]
    weight: list[float]
    cumulative: list[float]


class NodeEdge(BaseModel):
    node: str
    weight: float
    share: Annotated[float, Field(description="Of |weight| over all shown edges into the target")]


class NodeEdges(BaseModel):
    """What a node is made of and where it goes, largest first."""

    graph: str
    node: str
    constant: Annotated[Measurement, Field(description="What biases give; null of leaves")]
    value: Measurement
    in_total: int
    out_total: int
    incoming: list[NodeEdge]
    outgoing: list[NodeEdge]


class NewGroups(Asked):
    """All of a graph's groups; `version` is the one that was changed."""

    graph: str
    version: Annotated[int, Field(ge=1)]
    groups: list[GraphGroup]


class FeatureInGraph(BaseModel):
    id: str
    position: int
    token: str
    activation: float
    influence: float


class FeatureInGraphs(BaseModel):
    """A graph that a feature is in."""

    name: str
    graph: str
    prompt: str
    nodes: list[FeatureInGraph]


class TranscoderSet(BaseModel):
    """Transcoders of one run, which a prompt can be traced with."""

    run: str
    model: str
    saes: list[str]
    layers: list[int]


class TraceRequest(Asked):
    """A prompt and the transcoders to trace it with."""

    saes: Annotated[list[SAEName], Field(min_length=1, max_length=512)]
    prompt: Prose
    name: Annotated[str | None, Field(max_length=120)] = None
    targets: list[str] = Field(
        default=[], max_length=100, description="Tokens, or LAYER:INDEX@POSITION"
    )
    nodes: Annotated[int, Field(ge=1, le=50_000)] = 7500
    node_threshold: Annotated[float, Field(gt=0, le=1)] = 0.8
    edge_threshold: Annotated[float, Field(gt=0, le=1)] = 0.98
    verify: Annotated[int, Field(ge=0, le=1000)] = 0
    seed: Annotated[int, Field(ge=0, lt=2**53)] = 0
    bos: bool | None = None


class TraceProgress(BaseModel):
    event: Literal["progress"] = "progress"
    what: str
    done: int
    total: int
    unit: str


class TraceDone(BaseModel):
    event: Literal["graph"] = "graph"
    name: str
    graph: str


class BlockSplit(BaseModel):
    layer: int
    heads: list[float]
    stream: Annotated[float, Field(description="What passes the block's attention by")]


class EdgeSplit(BaseModel):
    """An edge divided up at each block between its ends; each block's parts sum to `weight`."""

    graph: str
    source: str
    target: str
    weight: float
    blocks: list[BlockSplit]


class AskedFactor(Asked):
    """A node, or all nodes of a group, and what their activations are multiplied by."""

    node: Annotated[str | None, Field(max_length=100)] = None
    group: Annotated[str | None, Field(max_length=200)] = None
    factor: Annotated[float, Field(ge=-10, le=10, description="0 ablates, 1 changes nothing")]

    @model_validator(mode="after")
    def _one_of_them(self) -> "AskedFactor":
        if (self.node is None) == (self.group is None):
            raise ValueError("give either node or group")
        return self


class InterventionRequest(Asked):
    graph: str
    edits: Annotated[list[AskedFactor], Field(min_length=1, max_length=1000)]
    limit: Annotated[int, Field(ge=0, le=1000)] = 50


class NodeFactor(BaseModel):
    node: str
    factor: float


class NodeChange(BaseModel):
    """What a node had, and its changes: in the real model and as predicted."""

    node: str
    before: float
    real: float
    direct: float
    total: float


class NextToken(BaseModel):
    id: int
    token: str
    before: Annotated[float, Field(description="Probability")]
    after: float


class InterventionAgreement(BaseModel):
    direct: Agreement
    total: Agreement
    on_targets: Agreement


class Intervention(BaseModel):
    """Nodes ablated or scaled in the real model, beside what the graph predicts."""

    graph: str
    edits: list[NodeFactor]
    targets: list[NodeChange]
    features: Annotated[list[NodeChange], Field(description="Reached, largest real change first")]
    agreement: InterventionAgreement
    next_tokens: Annotated[
        list[NextToken], Field(description="The likeliest before or after, the likeliest first")
    ]
