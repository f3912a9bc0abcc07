"""Response models of the API. The viewer's types are generated from these."""

from math import isfinite
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field

DensityClass = Literal["regular", "dense", "dead"]
"""How often a feature fires: dense on more than a tenth of the tokens analyzed, dead on none."""

Filter = Literal["all", "regular", "dense", "dead"]
Sort = Literal["index", "density", "maximum", "mean"]
Order = Literal["ascending", "descending"]


def _finite_or_none(value: float | None) -> float | None:
    return value if value is not None and isfinite(value) else None


Measurement = Annotated[float | None, AfterValidator(_finite_or_none)]
"""A number, or null where nothing was measured. JSON has no NaN and no infinity."""


class Problem(BaseModel):
    """The body of every error."""

    detail: Annotated[str, Field(description="What is wrong, in one line")]


class About(BaseModel):
    version: Annotated[str, Field(description="Version of lmsaes")]
    schema_version: Annotated[int, Field(description="Version of the database's documents")]
    database: Annotated[str, Field(description="Where the data are, without credentials")]
    database_uri: Annotated[
        str | None,
        Field(description="`--db` of this database without credentials; null where embedded"),
    ]
    database_folder: Annotated[
        str | None,
        Field(description="The embedded server's `LMSAES_DB_FOLDER`; null for the default one"),
    ]
    asks_model: Annotated[bool, Field(description="Whether own text and steering are served")]
    model: Annotated[
        str | None, Field(description="The language model in memory; null until it is needed")
    ]


class SAESummary(BaseModel):
    """One SAE in the list."""

    name: str
    run: str
    architecture: str
    features: int
    d_model: int
    model: str
    hook: str
    dataset: str
    l0: Annotated[Measurement, Field(description="Mean number of active features per token")]
    fvu: Annotated[Measurement, Field(description="Fraction of variance unexplained")]
    dead_fraction: Annotated[Measurement, Field(description="Share of features that never fired")]
    ce_recovered: Annotated[Measurement, Field(description="Share of cross-entropy recovered")]
    tokens_trained: Annotated[int | None, Field(description="Null where it is not known")]
    tokens_analyzed: int
    created: Annotated[str, Field(description="When the analysis was made, ISO 8601")]


class UnreadableSAE(BaseModel):
    """An SAE whose record this version can't read."""

    name: str
    problem: Annotated[str, Field(description="Another schema, or what is damaged")]
    hint: Annotated[str, Field(description="What to do about it")]


class DensityHistogram(BaseModel):
    """Features by the logarithm of their density; dead ones are counted apart."""

    log10_edges: Annotated[list[float], Field(description="One more than there are counts")]
    counts: list[int]
    dense_from: Annotated[float, Field(description="The density from which a feature is dense")]


class DensityClassCounts(BaseModel):
    """How many features are of each density class."""

    regular: int
    dense: int
    dead: int


class SAE(SAESummary):
    """One SAE in full."""

    context_size: int
    sae_path: str
    cache_path: str
    config: Annotated[dict[str, Any], Field(description="What it was trained with")]
    first_feature: Annotated[int, Field(description="Index of the first feature analyzed")]
    features_analyzed: int
    density_classes: DensityClassCounts
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
    density_class: DensityClass
    firings: int
    density: float
    maximum: float
    mean: Annotated[Measurement, Field(description="When firing; null for a dead feature")]
    histogram: Histogram
    promotes: list[TokenWeight]
    example: Snippet | None


class FeatureTable(BaseModel):
    total: Annotated[int, Field(description="Features that pass the filter")]
    offset: int
    rows: list[FeatureRow]


class Feature(BaseModel):
    """One feature in full, but for its contexts."""

    sae: str
    index: int
    density_class: DensityClass
    firings: Annotated[int, Field(description="Tokens on which it was active")]
    density: Annotated[float, Field(description="Share of the tokens analyzed")]
    maximum: float
    mean: Annotated[Measurement, Field(description="When firing; null for a dead feature")]
    tokens_analyzed: int
    histogram: Histogram
    promotes: list[TokenWeight]
    suppresses: list[TokenWeight]
    groups: Annotated[list[str], Field(description="Groups of contexts that it has")]
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
