"""What programs that know Neuronpedia's or Language-Model-SAEs' API send, by their names of fields.

What they send besides is let pass, since it has no effect here.
"""

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator

from .live_schemas import Ids, Index, Number, Prose

Answer = dict[str, Any]
Name = Annotated[str, Field(min_length=1, max_length=200)]
SomeText = Annotated[str, Field(min_length=1, max_length=50_000)]
Texts = SomeText | Annotated[list[SomeText], Field(min_length=1, max_length=16)]
AnIndex = Index | Annotated[str, Field(pattern=r"^[0-9]{1,9}$")]


class _Sent(BaseModel):
    model_config = ConfigDict(extra="ignore")


class NeuronpediaFeature(_Sent):
    modelId: Name
    source: Annotated[Name, Field(validation_alias=AliasChoices("source", "layer"))]
    index: AnIndex


class ActivationNew(_Sent):
    """`POST /api/activation/new`"""

    feature: Annotated[
        NeuronpediaFeature, Field(validation_alias=AliasChoices("feature", "neuron"))
    ]
    customText: Texts
    ignoreBos: bool = False


class SearchAll(_Sent):
    """`POST /api/search-all`"""

    modelId: Name
    sourceSet: Annotated[str, Field(max_length=200)] = ""
    text: Texts
    selectedLayers: Annotated[list[Name], Field(max_length=4)] = []
    sortIndexes: Annotated[list[Index], Field(max_length=1024)] = []
    ignoreBos: bool = True
    densityThreshold: Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)] = -1
    numResults: Annotated[int, Field(ge=1, le=100)] = 50


class SteeredFeature(_Sent):
    modelId: Name
    layer: Name
    index: AnIndex
    strength: Number


class NeuronpediaSteer(_Sent):
    """`POST /api/steer`. freq_penalty has no effect, there as here."""

    prompt: Prose
    modelId: Name
    features: Annotated[list[SteeredFeature], Field(min_length=1, max_length=32)]
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.5
    n_tokens: Annotated[int, Field(ge=1, le=256)] = 48
    seed: Annotated[int, Field(ge=-100_000_000, le=100_000_000)] = 16
    strength_multiplier: Annotated[float, Field(ge=0, le=100)] = 1.0
    steer_method: Literal["SIMPLE_ADDITIVE", "ORTHOGONAL_DECOMP"] = "SIMPLE_ADDITIVE"
    n_logprobs: Annotated[int, Field(ge=0, le=10)] = 5
    stream: Annotated[Literal[False], Field(description="It is answered when it is done")] = False


class Steering(_Sent):
    sae: Name
    feature_index: Index
    steering_type: Literal["times", "add", "set", "ablate"]
    steering_value: Number | None = None

    @model_validator(mode="after")
    def _a_value_where_one_is_needed(self) -> "Steering":
        if self.steering_value is None and self.steering_type != "ablate":
            raise ValueError("every type but ablate has a steering_value")
        return self


class Generate(_Sent):
    """`POST /model/generate`. top_k has no effect here; temperature and seed had none there."""

    input_text: Prose | Ids
    max_new_tokens: Annotated[int, Field(ge=0, le=256)] = 128
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.95
    return_logits_top_k: Annotated[int, Field(ge=1, le=100)] = 5
    temperature: Annotated[float, Field(ge=0, le=100)] = 1.0
    seed: Annotated[int, Field(ge=0, lt=2**53)] = 0
    saes: Annotated[list[Name], Field(max_length=4)] = []
    steerings: Annotated[list[Steering], Field(max_length=32)] = []
