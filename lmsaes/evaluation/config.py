"""What an evaluation is asked to be: `EvalConfig`."""

from typing import Annotated, ClassVar, Self

from pydantic import model_validator

from lmsaes.configuration import LocalPath, StageConfig, Text, Texts, setting
from lmsaes.errors import ConfigError
from lmsaes.units import Count

_MAIN, _HOW, _RESULT = "What to evaluate", "How", "Where it goes"


class EvalConfig(StageConfig, frozen=True):
    """An evaluation: which SAEs are measured on which rows of a cache, and through which model."""

    stage: ClassVar[str] = "eval"
    singular: ClassVar[dict[str, str]] = {"sae": "saes"}

    saes: Annotated[Texts, setting("SAE folders, or runs that hold some.", _MAIN)] = ()
    cache: Annotated[Text, setting("Cache to measure on: a folder or a URL.", _MAIN)]
    model: Annotated[
        Text,
        setting(
            "The language model, for cross-entropy and KL: auto (where the cache says), none, a"
            " name or a folder.",
            _MAIN,
        ),
    ] = "auto"
    tokens: Annotated[
        Count, setting("Tokens of the cache to measure on, evenly spaced.", _MAIN, gt=0)
    ] = 1_000_000
    heldout: Annotated[
        float | None,
        setting(
            "Measure on this last share of the cache's contexts (default: those that training left"
            " out, or all where it left out none).",
            _MAIN,
            gt=0,
            le=1,
        ),
    ] = None
    probe: Annotated[
        LocalPath | None,
        setting(
            "Labeled texts for k-sparse probing: lines of JSON with text and label"
            " (default: none).",
            _MAIN,
            metavar="FILE",
        ),
    ] = None

    batch_size: Annotated[
        Count | None,
        setting("Contexts per forward pass (default: what fits in memory).", _HOW, gt=0),
    ] = None
    device: Annotated[
        Text, setting("Device to compute on: auto, cpu, cuda, cuda:1 or mps.", _HOW)
    ] = "auto"
    any_model: Annotated[
        bool,
        setting("Evaluate SAEs that were trained on another model than the cache's.", _HOW),
    ] = False

    plot: Annotated[
        LocalPath | None,
        setting(
            "Picture of the figures against L0, with error bars: .png, .svg or .pdf"
            " (default: none).",
            _RESULT,
            metavar="FILE",
        ),
    ] = None
    db: Annotated[
        str | None,
        setting(
            "Database whose records of these SAEs get the CE recovered: a MongoDB address, or"
            " default for the one that `lmsaes analyze` takes (default: none).",
            _RESULT,
            metavar="URI",
        ),
    ] = None
    write: Annotated[
        bool, setting("Write what was found into each SAE's config.json.", _RESULT)
    ] = True

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.saes:
            raise ConfigError("no SAE was given", "name an SAE folder or a run")
        if self.probe is not None and self.model == "none":
            raise ConfigError(
                "--probe needs the language model: its texts are not in the cache",
                "leave out --model none",
            )
        return self

    @property
    def model_name(self) -> str | None:
        """Where the model is; None where the cache says."""
        return None if self.model == "auto" else self.model
