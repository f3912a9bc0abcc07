"""What pruning is asked to do: `PruneConfig`."""

from typing import Annotated, ClassVar

from lmsaes.configuration import StageConfig, Text, setting
from lmsaes.units import Count

_MAIN, _WHICH, _HOW = "What to prune", "Which features go", "How"


class PruneConfig(StageConfig, frozen=True):
    """Pruning: which features of an SAE are left out of a copy."""

    stage: ClassVar[str] = "prune"

    sae: Annotated[Text, setting("Folder of the SAE.", _MAIN)]
    cache: Annotated[Text, setting("Cache to measure on: a folder or a URL.", _MAIN)]
    out: Annotated[Text, setting("Folder of the pruned SAE.", _MAIN)]
    tokens: Annotated[Count, setting("Rows of the cache to measure on.", _MAIN, gt=0)] = 10_000_000

    min_density: Annotated[
        float,
        setting(
            "Remove features that fire on no more than this share of rows (0: dead ones alone).",
            _WHICH,
            ge=0,
            lt=1,
        ),
    ] = 0.0
    min_activation: Annotated[
        float | None,
        setting(
            "Remove weak features, whose largest activation is below this (default: none).",
            _WHICH,
            gt=0,
        ),
    ] = None
    min_norm: Annotated[
        float | None,
        setting(
            "Remove features whose decoder row is shorter than this (default: none).", _WHICH, gt=0
        ),
    ] = None

    model: Annotated[
        Text,
        setting(
            "The language model, for cross-entropy before and after: none, auto (where the cache"
            " says), a name or a folder.",
            _HOW,
        ),
    ] = "none"
    seed: Annotated[int, setting("Seed of the rows' order.", _HOW, ge=0, lt=2**63)] = 0
    device: Annotated[
        Text, setting("Device to compute on: auto, cpu, cuda, cuda:1 or mps.", _HOW)
    ] = "auto"
    any_model: Annotated[
        bool, setting("Measure on a cache of another model than the SAE's.", _HOW)
    ] = False
