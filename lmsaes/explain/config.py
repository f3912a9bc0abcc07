"""What `lmsaes explain` is asked for when a language model is to write the labels."""

from typing import Annotated, ClassVar, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, model_validator

from lmsaes.addresses import check_without_keys, shown_address
from lmsaes.configuration import StageConfig, setting
from lmsaes.errors import ConfigError
from lmsaes.units import Count, parse_range

KEY_VARIABLE = "OPENAI_API_KEY"
_ASK, _SCORE = "Labels by a language model", "Score"


def _address(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        parts = urlsplit(value)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        valid = False
    if not valid:
        raise ValueError(
            f"'{shown_address(value)}' is no address of a server: write it as "
            "http://localhost:8080/v1"
        )
    check_without_keys(value, f"put the key into the environment as {KEY_VARIABLE}")
    return value.rstrip("/").removesuffix("/chat/completions")


class ExplainConfig(StageConfig, frozen=True):
    """Which features a language model is to explain, where it is, and how much it may be asked."""

    stage: ClassVar[str] = "explain"

    sae: Annotated[str, setting("Name of an SAE in the database.", _ASK)]
    endpoint: Annotated[
        Annotated[str, BeforeValidator(_address)] | None,
        setting(
            "Ask the OpenAI-compatible server at this address, such as http://localhost:8080/v1 "
            f"(llama.cpp, Ollama, vLLM, a hosted one); its key is read from {KEY_VARIABLE} "
            "(default: nothing is sent anywhere).",
            _ASK,
            metavar="URL",
        ),
    ] = None
    explainer: Annotated[
        Annotated[str, Field(min_length=1)] | None,
        setting("The server's model that writes the labels (default: none).", _ASK, metavar="NAME"),
    ] = None
    features: Annotated[
        str | None,
        setting(
            "A range of features, such as 0:100 (default: all that fire).", _ASK, metavar="RANGE"
        ),
    ] = None
    max_requests: Annotated[
        Count, setting("Requests that may be sent, repeated ones included.", _ASK, gt=0)
    ] = 1000
    parallel: Annotated[
        Count, setting("Requests that are under way at once.", _ASK, gt=0, le=256)
    ] = 4
    timeout: Annotated[float, setting("Seconds to wait for an answer.", _ASK, gt=0)] = 60.0
    answer_tokens: Annotated[
        Count, setting("Longest answer; models that reason first need more.", _ASK, gt=0)
    ] = 400
    window: Annotated[
        Count, setting("Tokens of a context that the model is shown.", _ASK, gt=1)
    ] = 32
    score: Annotated[
        bool,
        setting(
            "Score the labels: whether the model can tell by them where features fire.", _SCORE
        ),
    ] = False
    scorer: Annotated[
        str | None,
        setting("The server's model that judges (default: the explainer).", _SCORE, metavar="NAME"),
    ] = None
    per_interval: Annotated[
        Count,
        setting(
            "Firing contexts to judge from each fifth of the feature's maximum; as many of them as "
            "there are, there are contexts without it.",
            _SCORE,
            gt=0,
        ),
    ] = 5

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.endpoint is None) != (self.explainer is None):
            missing, there = ("endpoint", "explainer")[:: 1 if self.endpoint is None else -1]
            raise ConfigError(
                f"--{there} needs --{missing}",
                "give the address of a server and the name of its model",
            )
        if self.score and self.endpoint is None:
            raise ConfigError("--score needs --endpoint and --explainer", "a model is to judge")
        if self.features is not None:
            parse_range(self.features, "features")
        return self
