"""What `lmsaes steer` is asked for."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import model_validator

from lmsaes.configuration import Floats, StageConfig, Text, setting
from lmsaes.errors import ConfigError
from lmsaes.units import Count

_EDIT, _COMPLETION, _MODEL = "Edit (one kind)", "Completion", "Model"


RankBy = Literal["maximum", "sum", "share", "relative", "surprise"]
"""What the features of a text are ranked by; `ranking.py` says what each is."""


class SteerConfig(StageConfig, frozen=True):
    """A prompt, a feature, and what to do to it."""

    stage: ClassVar[str] = "steer"

    sae: Annotated[Text, setting("SAE folder.", _EDIT)]
    feature: Annotated[int, setting("Index of the feature.", _EDIT, ge=0)]
    prompt: Annotated[str, setting("Text to complete.", _COMPLETION)]
    add: Annotated[
        Floats, setting("Add to the feature's activation; several make a grid.", _EDIT)
    ] = ()
    set: Annotated[
        Floats, setting("Set the activation to this, where it fires and where not.", _EDIT)
    ] = ()
    scale: Annotated[Floats, setting("Multiply the activation.", _EDIT)] = ()
    ablate: Annotated[bool, setting("Take the feature out.", _EDIT)] = False
    orthogonal: Annotated[
        Floats,
        setting(
            "Multiply the model's component along the feature's direction; 0 removes it.", _EDIT
        ),
    ] = ()
    positions: Annotated[
        Literal["all", "prompt", "generated"], setting("Which tokens are edited.", _EDIT)
    ] = "all"
    special: Annotated[bool, setting("Edit special tokens too.", _EDIT)] = False

    tokens: Annotated[Count, setting("Tokens to generate at most.", _COMPLETION, gt=0)] = 40
    temperature: Annotated[
        float, setting("Of sampling; 0 takes the likeliest token.", _COMPLETION, ge=0)
    ] = 1.0
    top_p: Annotated[
        float,
        setting(
            "Sample among the likeliest tokens with this probability.", _COMPLETION, gt=0, le=1
        ),
    ] = 1.0
    seed: Annotated[
        int, setting("Of sampling; completions share their random numbers.", _COMPLETION, ge=0)
    ] = 0

    model: Annotated[
        str | None,
        setting("Name or folder of the language model (default: the SAE's own records).", _MODEL),
    ] = None
    bos: Annotated[
        bool | None,
        setting(
            "Begin with the beginning-of-text token (default: where the tokenizer has one).",
            _MODEL,
        ),
    ] = None
    device: Annotated[
        Text, setting("Device that the model runs on: auto, cpu, cuda, cuda:1 or mps.", _MODEL)
    ] = "auto"

    @model_validator(mode="after")
    def _one_kind_of_edit(self) -> Self:
        kinds = [name for name in _VALUES if getattr(self, name)] + ["ablate"] * self.ablate
        if len(kinds) != 1:
            raise ConfigError(
                "no edit was given"
                if not kinds
                else f"--{kinds[0]} and --{kinds[1]} don't go together",
                "give one of --add, --set, --scale, --orthogonal and --ablate",
            )
        return self

    def edits(self) -> dict[str, dict[str, Any]]:
        """What to do, by how it is called on a screen."""
        if self.ablate:
            return {"ablate": {"ablate": True}}
        return {
            f"{name} {value:g}": {name: value} for name in _VALUES for value in getattr(self, name)
        }


_VALUES = ("add", "set", "scale", "orthogonal")
