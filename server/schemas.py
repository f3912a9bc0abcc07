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
StandardError = Annotated[
    Measurement, Field(description="Standard error over contexts; null before `lmsaes eval`")
]
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
    explainer: Annotated[
        str | None, Field(description="The model that labels can be asked of; null for none")
    ]


class Health(BaseModel):
    status: Literal["ok"]


class SAESummary(BaseModel):
    """One SAE in the list."""

    name: str
    run: str
    architecture: str
    features: int
    d_model: int
    model: str
    hook: str
    target: Annotated[
        str | None, Field(description="The hook whose activations a transcoder gives")
    ]
    dataset: str
    analysis: Annotated[str, Field(description="Id of the analysis that is shown")]
    vocabulary: Annotated[str, Field(description="Hash of its vocabulary")]
    l0: Annotated[Measurement, Field(description="Mean number of active features per token")]
    l0_error: StandardError
    fvu: Annotated[Measurement, Field(description="Fraction of variance unexplained")]
    fvu_error: StandardError
    dead_fraction: Annotated[Measurement, Field(description="Share of features that never fired")]
    ce_recovered: Annotated[Measurement, Field(description="Share of cross-entropy recovered")]
    ce_recovered_error: StandardError
    tokens_trained: Annotated[int | None, Field(description="Null where it is not known")]
    tokens_analyzed: int
    created: Annotated[str, Field(description="When the analysis was made, ISO 8601")]
    first_feature: Annotated[int, Field(description="Index of the first feature analyzed")]
    features_analyzed: Annotated[
        int,
        Field(description="From the first on; fewer than `features` where the analysis is partial"),
    ]


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
    density_classes: DensityClassCounts
    density: DensityHistogram


class ColumnsAbout(BaseModel):
    """What a file of columns says of itself."""

    sae: str
    analysis: str
    first_feature: Annotated[int, Field(description="Index of the feature in the first row")]
    features_analyzed: Annotated[int, Field(description="Rows of every column")]
    features: Annotated[int, Field(description="Of the SAE, analyzed or not")]
    tokens_analyzed: Annotated[int, Field(description="Density is firings over these")]
    vocabulary: Annotated[str, Field(description="Whose token ids these are")]
    kinds: Annotated[list[DensityClass], Field(description="What the numbers in `kind` stand for")]
    dense_from: Annotated[float, Field(description="The density from which a feature is dense")]
    twin_saes: Annotated[list[str], Field(description="What the numbers in `twin_sae` stand for")]
