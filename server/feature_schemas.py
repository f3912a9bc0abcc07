"""What the API answers of features."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from .schemas import DensityClass, Measurement


class TokenWeight(BaseModel):
    id: int
    token: str
    weight: Annotated[float, Field(description="Logit weight: W_U · the feature's direction")]


class Histogram(BaseModel):
    """Active tokens by activation, in equal bins of (0, upper]."""

    counts: list[int]
    upper: float


class Snippet(BaseModel):
    """Consecutive tokens of one context with one feature's activation on each."""

    tokens: list[str]
    activations: list[float]
    position: Annotated[int, Field(description="Index, among these tokens, of the largest")]


class FeatureRow(BaseModel):
    """One feature in a table."""

    index: int
    density_class: DensityClass
    firings: int
    density: float
    maximum: float
    mean: Annotated[Measurement, Field(description="When firing; null for a dead feature")]
    histogram: Histogram
    promotes: list[TokenWeight]
    example: Snippet | None


class FeatureTable(BaseModel):
    """A page of the table of features."""

    analysis: str
    total: Annotated[int, Field(description="Features that pass the filter")]
    offset: int
    rows: list[FeatureRow]


class FiresOnToken(BaseModel):
    """A token that a feature fires on."""

    id: int
    token: str
    count: Annotated[int, Field(description="Firings on it")]
    mean: Annotated[float, Field(description="Mean activation when it fires on it")]
    share_of_firings: float
    share_of_token: Annotated[float, Field(description="Of the token's occurrences")]


class PrecedingToken(BaseModel):
    """A token that stands before a feature's firings."""

    id: int
    token: str
    count: int
    share: Annotated[float, Field(description="Of the feature's firings")]
    lift: Annotated[float, Field(description="Its share over that before any token")]


class NearNeighbor(BaseModel):
    feature: int
    cosine: float


class CofiringNeighbor(BaseModel):
    feature: int
    jaccard: float
    pmi: Annotated[float, Field(description="Pointwise mutual information, nats")]
    joint: Annotated[int, Field(description="Sampled rows on which both fire")]


class Neighbors(BaseModel):
    """Features of the same SAE, nearest first: by direction, and by what fires together."""

    decoder: list[NearNeighbor] = []
    encoder: list[NearNeighbor] = []
    jaccard: list[CofiringNeighbor] = []
    pmi: list[CofiringNeighbor] = []


class Twin(BaseModel):
    """The best match in another SAE; feature null: nothing matches."""

    sae: str
    feature: int | None
    cosine: Measurement
    correlation: Measurement
    score: Annotated[Measurement, Field(description="The smaller of the two, at least 0")]
    mutual: Annotated[bool, Field(description="Whether the twin's twin is this feature")]


class Logits(BaseModel):
    """All logit weights of a feature: moments, and tokens by weight from lower to upper."""

    mean: float
    std: float
    skewness: Measurement
    kurtosis: Annotated[Measurement, Field(description="In excess of a normal distribution's")]
    counts: Annotated[list[int], Field(description="Tokens in equal bins")]
    lower: float
    upper: float


class HookEffect(BaseModel):
    """What a crosscoder's feature does at one of its hooks."""

    hook: str
    norm: Annotated[float, Field(description="Of the decoder's row there")]
    promotes: list[TokenWeight]
    suppresses: list[TokenWeight]


class RaisedToken(BaseModel):
    id: int
    token: str
    change: Annotated[float, Field(description="Of its probability, mean over contexts")]


class Output(BaseModel):
    """What adding a feature, at every token of some contexts, does to the next token."""

    value: Annotated[float, Field(description="What was added, in units of its activation")]
    kl: Annotated[float, Field(description="KL divergence in nats, mean over contexts")]
    raises: Annotated[list[RaisedToken], Field(description="Largest change first")]


class WiredHead(BaseModel):
    """An attention head that writes into a feature or reads it."""

    layer: int
    head: int
    heads: Annotated[
        int, Field(description="How many heads, from this one on, share these keys or values")
    ]
    by: Literal["output", "query", "key", "value"]
    weight: Annotated[float, Field(description="Length of the head's matrix times the direction")]
    ratio: Annotated[float, Field(description="Over its root mean square over all features")]


class WiredNeuron(BaseModel):
    """An MLP neuron that writes into a feature or reads it."""

    layer: int
    neuron: int
    by: Literal["output", "in", "gate"]
    weight: Annotated[float, Field(description="The neuron's weights times the direction")]
    ratio: Annotated[
        float, Field(description="Its size over its root mean square over all features")
    ]


class WiringSide(BaseModel):
    """Parts of the model on one side of a feature, largest ratio first."""

    heads: list[WiredHead]
    neurons: list[WiredNeuron]


class Wiring(BaseModel):
    """Which heads and neurons write into a feature and which read it, from the weights."""

    writers: WiringSide | None
    readers: WiringSide | None
    missing: Annotated[str | None, Field(description="Why one of them is null")]


class Group(BaseModel):
    """A group of contexts: of how many it was drawn, and between which maxima, (lower, upper]."""

    name: str
    available: Annotated[int | None, Field(description="Null where it is not known")]
    lower: Measurement
    upper: Measurement


class Feature(BaseModel):
    """One feature in full, but for its contexts."""

    sae: str
    analysis: str
    index: int
    density_class: DensityClass
    firings: Annotated[int, Field(description="Tokens on which it was active")]
    density: Annotated[float, Field(description="Share of the tokens analyzed")]
    maximum: float
    mean: Annotated[Measurement, Field(description="When firing; null for a dead feature")]
    tokens_analyzed: int
    contexts: Annotated[
        int | None, Field(description="In which it fires; null where it is not known")
    ] = None
    label: Annotated[
        str | None, Field(description="From the tokens it fires on; null for a dead feature")
    ] = None
    histogram: Histogram
    fires_on: Annotated[list[FiresOnToken], Field(description="Largest sum first")] = []
    preceded_by: list[PrecedingToken] = []
    promotes: list[TokenWeight]
    suppresses: list[TokenWeight]
    logits: Annotated[
        Logits | None, Field(description="Null where the hook is not in the residual stream")
    ] = None
    hooks: Annotated[list[HookEffect], Field(description="Of crosscoders")] = []
    wiring: Annotated[
        Wiring | None, Field(description="Null in an analysis of a former version")
    ] = None
    output: Annotated[
        Output | None, Field(description="Null where it was not measured (--output-scores)")
    ] = None
    neighbors: Neighbors = Neighbors()
    twins: list[Twin] = []
    stability: Annotated[
        Measurement, Field(description="Mean score of the twins; null without other SAEs")
    ] = None
    groups: Annotated[list[Group], Field(description="Groups of contexts")]
    previous: int | None
    next: int | None


class ContextsAbout(BaseModel):
    """What a file of contexts says of itself."""

    sae: str
    analysis: str
    feature: int
    group: Annotated[str | None, Field(description="Null where one context was asked for")]
    available: Annotated[
        int | None, Field(description="Of how many these were drawn; null where it is not known")
    ]
    lower: Annotated[Measurement, Field(description="The maxima are above this; null: no bound")]
    upper: Annotated[Measurement, Field(description="The maxima are up to this; null: no bound")]
    stored: Annotated[int, Field(description="How many the database has of the group")]
    offset: Annotated[int, Field(description="How many of these stand before the first here")]
    scale: Annotated[float, Field(description="Activations are float16 times this")]
    maximum: Annotated[float, Field(description="The feature's, over all contexts")]
    vocabulary: Annotated[str, Field(description="Whose token ids these are")]
    page: Annotated[
        Feature | None, Field(description="The feature itself, where that was asked for")
    ] = None
