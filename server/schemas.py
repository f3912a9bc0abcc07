"""What the API answers. The viewer's types are generated from these."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

Kind = Literal["ordinary", "dense", "dead"]
"""How often a feature fires: dense on more than a tenth of the tokens analyzed, dead on none."""

Filter = Literal["all", "ordinary", "dense", "dead"]
Sort = Literal["index", "density", "maximum", "mean"]
Order = Literal["ascending", "descending"]


class Problem(BaseModel):
    """What every error answers."""

    detail: Annotated[str, Field(description="What is wrong, in one line")]


class About(BaseModel):
    version: Annotated[str, Field(description="Version of lmsaes")]
    schema_version: Annotated[int, Field(description="Version of the database's documents")]
    database: Annotated[str, Field(description="Where the data are, without credentials")]


class DictionarySummary(BaseModel):
    """One SAE in the list."""

    name: str
    run: str
    architecture: str
    features: int
    d_model: int
    model: str
    hook: str
    dataset: str
    l0: Annotated[float, Field(description="Mean number of active features per token")]
    fvu: Annotated[float, Field(description="Fraction of variance unexplained")]
    dead_fraction: float
    ce_recovered: float | None
    tokens_trained: int
    tokens_analyzed: int
    created: Annotated[str, Field(description="When the analysis was made, ISO 8601")]


class DensityHistogram(BaseModel):
    """Features by the logarithm of their density; dead ones are counted apart."""

    log10_edges: Annotated[list[float], Field(description="One more than there are counts")]
    counts: list[int]
    dense_from: Annotated[float, Field(description="The density from which a feature is dense")]


class KindCounts(BaseModel):
    """How many features are of each kind."""

    ordinary: int
    dense: int
    dead: int


class Dictionary(DictionarySummary):
    """One SAE in full."""

    context_size: int
    sae_path: str
    cache_path: str
    config: Annotated[dict[str, Any], Field(description="What it was trained with")]
    first_feature: Annotated[int, Field(description="Index of the first feature analyzed")]
    features_analyzed: int
    kinds: KindCounts
    density: DensityHistogram


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
    kind: Kind
    firings: int
    density: float
    maximum: float
    mean: float
    histogram: Histogram
    promotes: list[TokenWeight]
    example: Snippet | None


class FeatureTable(BaseModel):
    total: Annotated[int, Field(description="Features that pass the filter")]
    offset: int
    rows: list[FeatureRow]


class Feature(BaseModel):
    """One feature in full, but for its contexts."""

    dictionary: str
    index: int
    kind: Kind
    firings: Annotated[int, Field(description="Tokens on which it was active")]
    density: Annotated[float, Field(description="Share of the tokens analyzed")]
    maximum: float
    mean: Annotated[float, Field(description="Over the tokens on which it was active")]
    tokens_analyzed: int
    histogram: Histogram
    promotes: list[TokenWeight]
    suppresses: list[TokenWeight]
    groups: Annotated[list[str], Field(description="Groups of contexts to ask for")]
    previous: int | None
    next: int | None


class Context(Snippet):
    """A whole context."""

    context: Annotated[int, Field(description="Its number in the cache")]
    maximum: float


class ContextPage(BaseModel):
    group: str
    total: int
    offset: int
    contexts: list[Context]
