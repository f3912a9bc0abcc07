"""What is answered of SAEs beside each other."""

from typing import Annotated

from pydantic import BaseModel, Field

from .schemas import Measurement


class Matches(BaseModel):
    """The features of one SAE that have a twin in another, as columns of one length."""

    feature: list[int]
    partner: Annotated[list[int], Field(description="The feature of the other SAE")]
    cosine: Annotated[list[Measurement], Field(description="Of the decoder directions")]
    correlation: Annotated[list[Measurement], Field(description="Of the activations, on a sample")]
    mutual: Annotated[list[bool], Field(description="The twin's twin is the feature itself")]


class MatchedSAEs(BaseModel):
    """Two SAEs' features and their twins; null for a side whose twins are not known."""

    analysis_a: str
    analysis_b: str
    a_in_b: Matches | None
    b_in_a: Matches | None


class Metrics(BaseModel):
    """How a training went; every series is as long as `step`."""

    analysis: str
    step: Annotated[list[int], Field(description="Optimizer steps, ascending")]
    series: dict[str, list[Measurement]]
