"""What is asked of the language model over HTTP, and what it answers."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lmsaes.steering import RankBy

from .schemas import Measurement

Number = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
Index = Annotated[int, Field(ge=0, lt=2**31)]
SAEName = Annotated[str, Field(min_length=1, max_length=120)]
Ids = Annotated[list[Index], Field(min_length=1, max_length=4096)]
Prose = Annotated[str, Field(max_length=50_000)]


class Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class AskedText(Asked):
    """A text, or token ids that are taken as they are."""

    text: Prose | None = None
    token_ids: Ids | None = None
    bos: Annotated[
        bool | None,
        Field(description="Begin with the beginning-of-text token; null: where there is one"),
    ] = None

    @model_validator(mode="after")
    def _one_of_them(self) -> "AskedText":
        if (self.text is None) == (self.token_ids is None):
            raise ValueError("give either text or token_ids")
        return self


class TokenizeRequest(AskedText):
    sae: SAEName


class ActivationsRequest(AskedText):
    rank: RankBy = "maximum"
    limit: Annotated[int, Field(ge=1, le=100)] = 50
    features: Annotated[
        list[Index], Field(max_length=100, description="Show these too, whatever their rank")
    ] = []
    positions: Annotated[list[Index] | None, Field(max_length=4096)] = None
    ignore_special: bool = True
    density_max: Annotated[float | None, Field(ge=0, le=1)] = None
    per_token: Annotated[
        int, Field(ge=0, le=20, description="How many features to name at each token")
    ] = 5


class CompareRequest(Asked):
    """Some SAEs of one model on one or two texts."""

    saes: Annotated[list[SAEName], Field(min_length=1, max_length=4)]
    texts: Annotated[list[Prose], Field(min_length=1, max_length=2)]
    rank: RankBy = "maximum"
    limit: Annotated[int, Field(ge=1, le=100)] = 50
    ignore_special: bool = True
    density_max: Annotated[float | None, Field(ge=0, le=1)] = None


class TextToken(BaseModel):
    id: int
    token: str
    start: Annotated[int | None, Field(description="Where it stands in the text, in characters")]
    end: int | None
    special: bool
    log_probability: Annotated[
        Measurement, Field(description="After the tokens before it, in nats; null at the first")
    ] = None


class Tokens(BaseModel):
    tokens: list[TextToken]
    bos_added: bool


class TextFeature(BaseModel):
    """A feature over a text."""

    index: int
    score: Annotated[Measurement, Field(description="What it is ranked by")]
    maximum: float
    position: int
    sum: float
    share: Annotated[Measurement, Field(description="Of the reconstruction")]
    surprise: Annotated[
        Measurement,
        Field(description="−log₂ of the share of tokens analyzed with an activation so high"),
    ]
    density: Annotated[Measurement, Field(description="Over the tokens analyzed")]
    values: Annotated[list[float], Field(description="Token by token")]


class FeatureAtToken(BaseModel):
    index: int
    activation: float


class Hidden(BaseModel):
    """Features that fire and are not in the ranking."""

    dense: int
    special: Annotated[int, Field(description="They fire on special tokens alone")]


class Activations(Tokens):
    """What an SAE makes of a text."""

    sae: str
    analysis: str
    total: Annotated[int, Field(description="Features that were ranked")]
    hidden: Hidden
    features: list[TextFeature]
    chosen: Annotated[list[TextFeature], Field(description="Those that were asked for by index")]
    per_token: Annotated[list[list[FeatureAtToken]], Field(description="Strongest first")]
    active: Annotated[list[int], Field(description="How many features fire, token by token")]
    variance_explained: list[Measurement]


class Comparison(BaseModel):
    results: Annotated[list[list[Activations]], Field(description="By text, then by SAE")]


class AskedCondition(Asked):
    sae: SAEName
    feature: Index
    above: Number = 0.0


class AskedEdit(Asked):
    sae: SAEName
    feature: Index
    method: Literal["add", "set", "scale", "ablate", "orthogonal"]
    value: Annotated[
        Number | None, Field(description="In units of the feature's activation; not for ablate")
    ] = None
    positions: (
        Literal["all", "prompt", "generated"] | Annotated[list[Index], Field(max_length=4096)]
    ) = "all"
    special: bool = False
    when: AskedCondition | None = None

    @model_validator(mode="after")
    def _a_value_where_one_is_needed(self) -> "AskedEdit":
        if (self.value is None) != (self.method == "ablate"):
            raise ValueError("every method but ablate has a value")
        return self


class SteerRequest(Asked):
    """A prompt, and sets of edits: a completion for each beside the model's own."""

    prompt: Annotated[Prose | Ids, Field(description="A text, or token ids")]
    edits: Annotated[
        list[Annotated[list[AskedEdit], Field(min_length=1, max_length=32)]],
        Field(min_length=1, max_length=40),
    ]
    tokens: Annotated[int, Field(ge=1, le=256)] = 40
    temperature: Annotated[float, Field(ge=0, le=100)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    seed: Annotated[int, Field(ge=0, lt=2**53)] = 0
    bos: bool | None = None
    log_probabilities: Annotated[
        int, Field(ge=0, le=10, description="Likeliest tokens to give at each place")
    ] = 0


class LikelyToken(BaseModel):
    id: int
    token: str
    log_probability: float


class TokenEvent(BaseModel):
    """A new token; `set` null is the model's own completion."""

    event: Literal["token"] = "token"
    set: int | None
    place: int
    id: int
    text: str
    log_probability: float
    likeliest: list[LikelyToken]


class CompletionEvent(BaseModel):
    """A completion that is done."""

    event: Literal["completion"] = "completion"
    set: int | None
    text: str
    token_ids: list[int]
    kl: Annotated[list[float], Field(description="KL(this ‖ default) in nats, token by token")]


class ErrorEvent(BaseModel):
    """Why a stream ends before its time."""

    event: Literal["error"] = "error"
    detail: str


class LossEffectRequest(Asked):
    contexts: Annotated[
        list[Annotated[int, Field(ge=0, lt=2**53)]],
        Field(min_length=1, max_length=20, description="Contexts by number, such as those shown"),
    ]
    analysis: Annotated[
        str | None,
        Field(description="The analysis that is meant; 410 where it is no longer the SAE's"),
    ] = None


class ContextLossEffect(BaseModel):
    context: int
    changes: Annotated[
        list[Measurement],
        Field(
            description="At each token of the context, the change of the log-probability of the "
            "token after it when the feature is ablated, in nats: below 0 where the feature "
            "helped; null at the last token"
        ),
    ]


class LossEffect(BaseModel):
    """What taking a feature out does to the model's next tokens."""

    sae: str
    analysis: str
    feature: int
    contexts: Annotated[list[ContextLossEffect], Field(description="In the order asked")]


class NewExplanation(Asked):
    text: Annotated[
        str, Field(max_length=2000, description="An empty one takes back what was said")
    ]
    author: Annotated[str, Field(min_length=1, max_length=120)]


class ExplanationVersion(BaseModel):
    text: str
    author: str
    by_model: bool
    created: datetime


class FeatureExplanations(BaseModel):
    """What is said of a feature, the newest last."""

    current: str | None
    versions: list[ExplanationVersion]


class ExplainRequest(Asked):
    start: Annotated[Index, Field(description="The first feature")]
    stop: Annotated[int, Field(ge=1, le=2**31, description="The one after the last feature")]
    score: Annotated[bool, Field(description="Score the labels too")] = False
    max_requests: Annotated[
        int | None,
        Field(ge=1, le=2**53, description="Null: as many as the server was started with"),
    ] = None


JobState = Literal["waiting", "running", "done", "failed", "cancelled"]


class Job(BaseModel):
    """Labels that a language model writes while nobody waits for them."""

    id: str
    sae: str
    explainer: Annotated[str, Field(description="The model that writes the labels")]
    start: int
    stop: int
    score: bool
    max_requests: int
    state: JobState = "waiting"
    what: Annotated[
        Literal["labels", "scores"] | None, Field(description="What it is doing now")
    ] = None
    done: Annotated[int, Field(description="Features, of `total`, that `what` is done for")] = 0
    total: int = 0
    written: Annotated[int, Field(description="Labels and scores; 0 until it has ended")] = 0
    failed: Annotated[int, Field(description="Features that no label could be made for")] = 0
    unfinished: Annotated[
        int, Field(description="Features left, as the budget was spent or the job cancelled")
    ] = 0
    requests: Annotated[int, Field(description="That were sent; 0 until it has ended")] = 0
    detail: Annotated[str | None, Field(description="Why it failed, in one line")] = None
    created: datetime
    ended: datetime | None = None


class SaidOfFeature(BaseModel):
    feature: int
    text: str
    author: str
    by_model: bool


class SAEExplanations(BaseModel):
    """What is said now, by feature."""

    explanations: list[SaidOfFeature]
