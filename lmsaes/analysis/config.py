"""What an analysis is asked to be: `AnalyzeConfig`, stage three's configuration."""

from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, model_validator

from lmsaes.configuration import LocalPath, StageConfig, Text, Texts, setting
from lmsaes.errors import ConfigError
from lmsaes.units import Count, parse_range

_MAIN, _HOW = "What to analyze", "How"


def _as_range(value: Any) -> Any:
    if isinstance(value, slice):
        start, stop = ("" if end is None else end for end in (value.start, value.stop))
        return f"{start}:{stop}"
    return value


class AnalyzeConfig(StageConfig, frozen=True):
    """An analysis: which SAEs are looked at over which cache, and what is kept of them."""

    stage: ClassVar[str] = "analyze"
    singular: ClassVar[dict[str, str]] = {"sae": "saes"}

    saes: Annotated[Texts, setting("SAE folders, or runs that hold some.", _MAIN)] = ()
    cache: Annotated[Text, setting("Cache to look through: a folder or a URL.", _MAIN)]
    features: Annotated[
        str | None,
        BeforeValidator(_as_range),
        setting("A range of features, such as 0:512 (default: all).", _MAIN, metavar="RANGE"),
    ] = None
    db: Annotated[
        str | None,
        setting(
            "MongoDB address (default: $LMSAES_DB, or the embedded server).", _MAIN, metavar="URI"
        ),
    ] = None
    name: Annotated[
        str | None,
        setting("Name of a single SAE in the database (default: run:sae).", _MAIN),
    ] = None

    top: Annotated[Count, setting("Strongest contexts kept per feature.", _HOW, gt=0)] = 40
    samples: Annotated[
        Count,
        setting(
            "Contexts sampled from each fifth of a feature's maximum, at random, and without it.",
            _HOW,
            gt=0,
        ),
    ] = 10
    sample_rows: Annotated[
        Count, setting("Tokens on which co-firing and twins are counted.", _HOW, gt=0)
    ] = 1 << 17
    token_rows: Annotated[
        Count, setting("Tokens over which the tokens of a feature are counted.", _HOW, gt=0)
    ] = 16_000_000
    output_scores: Annotated[
        Count,
        setting(
            "Features, drawn among those that fire, whose effect on the next token is measured by"
            " running the model with each of them added.",
            _HOW,
            ge=0,
        ),
    ] = 0
    seed: Annotated[int, setting("Seed of the samples.", _HOW, ge=0)] = 0
    scratch: Annotated[
        LocalPath | None,
        setting("Folder for what is kept while it runs (default: the user's cache folder).", _HOW),
    ] = None
    model: Annotated[
        Text | None,
        setting("Where the language model is (default: where the cache says).", _HOW),
    ] = None
    device: Annotated[
        Text, setting("Device to compute on: auto, cpu, cuda, cuda:1 or mps.", _HOW)
    ] = "auto"
    any_model: Annotated[
        bool,
        setting("Analyze SAEs that were trained on another model than the cache's.", _HOW),
    ] = False

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.saes:
            raise ConfigError("no SAE was given", "name an SAE folder or a run")
        if self.features is not None:
            parse_range(self.features, "features")
        return self

    @property
    def feature_slice(self) -> slice | None:
        """The range of features; None means all."""
        return None if self.features is None else parse_range(self.features, "features")
