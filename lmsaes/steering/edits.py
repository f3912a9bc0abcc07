"""Edits of SAE features: what becomes of an activation, at which positions, on what condition.

    add v         f + v             scale v        f · v
    set v         v                 ablate         0
    orthogonal v  the activation's component along the feature's direction, times v

Values are in units of the feature's activation. An edit adds (f′ − f) times the feature's decoder
direction to the model's activations, so that all else, the SAE's error included, stays as it is.
`orthogonal` reads the model's activations instead of the feature's: (I − P)h + v·P h, with P on
the feature's direction; 0 removes the direction, whether the feature fires or not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, cast

import torch
from torch import Tensor

from lmsaes.errors import ConfigError, SAEError
from lmsaes.model import LanguageModel
from lmsaes.sae import SAE

Where = Literal["all", "prompt", "generated"]


@dataclass(frozen=True)
class When:
    """A condition: an edit acts only where `feature` of `sae` is above `above`.

    Measured on the same tokens in the model without edits.
    """

    sae: SAE
    feature: int
    above: float = 0.0

    def __post_init__(self) -> None:
        _check_feature(self.sae, self.feature)
        if not math.isfinite(self.above):
            raise ConfigError(f"a condition can't be above {self.above}", "give a finite number")


@dataclass(frozen=True)
class Edit:
    """What to do to one feature; exactly one of add, set, scale, ablate and orthogonal.

    positions: all, those of the prompt, those generated, or a list of places in prompt and
    completion together, counted from 0. special: special tokens are edited too. when: a condition.

    Raises ConfigError for an edit that can't be.
    """

    sae: SAE = field(repr=False)
    feature: int
    add: float | None = None
    set: float | None = None
    scale: float | None = None
    ablate: bool = False
    orthogonal: float | None = None
    positions: Where | Sequence[int] = "all"
    special: bool = False
    when: When | None = None

    def __post_init__(self) -> None:
        _check_feature(self.sae, self.feature)
        given = {name: value for name in _METHODS if (value := getattr(self, name)) is not None}
        if (count := len(given) + self.ablate) != 1:
            raise ConfigError(
                f"an edit has one of {', '.join(_METHODS)} and ablate, not {count} of them",
                "give a list of edits to change several things",
            )
        for name, value in given.items():
            if not isinstance(value, int | float) or not math.isfinite(value):
                raise ConfigError(f"a feature can't be edited with {name}={value}", "give a number")
        if isinstance(self.positions, str):
            if self.positions not in ("all", "prompt", "generated"):
                raise ConfigError(
                    f"there are no positions '{self.positions}'",
                    "say all, prompt or generated, or give a list of places",
                )
        elif any(not isinstance(p, int) or p < 0 for p in cast(Sequence[object], self.positions)):
            raise ConfigError("positions are counted from 0", "give whole numbers from 0 on")

    @property
    def needs_activation(self) -> bool:
        """Whether what is added depends on the feature's activation."""
        return self.add is None and self.orthogonal is None

    def difference(self, activations: Tensor) -> Tensor:
        """f′ − f for the feature's activations f, of any shape. Not for `orthogonal`."""
        if self.add is not None:
            return torch.full_like(activations, self.add)
        if self.set is not None:
            return self.set - activations
        factor = 0.0 if self.scale is None else self.scale
        return activations * (factor - 1)

    def chosen(self, positions: Tensor, prompt: int, special: Tensor) -> Tensor:
        """At which of `positions` int64 [n] it may act, bool like `special`, whose last dimension
        they are: true at special tokens. The prompt has `prompt` tokens.
        """
        if self.positions == "all":
            there = torch.ones_like(positions, dtype=torch.bool)
        elif self.positions == "prompt":
            there = positions < prompt
        elif self.positions == "generated":
            there = positions >= prompt
        else:
            there = torch.isin(positions, torch.tensor(self.positions, device=positions.device))
        return there.expand_as(special) if self.special else there & ~special


_METHODS = ("add", "set", "scale", "orthogonal")


@dataclass(frozen=True)
class HooksOf:
    """Where an SAE reads, and where its decoder writes."""

    reads: tuple[str, ...]
    writes: tuple[str, ...]


def hooks_of(sae: SAE) -> HooksOf:
    """The hooks an SAE reads and writes. Raises SAEError where it doesn't say them."""
    for origin in (sae.provenance, sae.imported):
        if origin is not None and origin.hooks:
            return HooksOf(origin.hooks, (origin.target,) if origin.target else origin.hooks)
    if not sae.config.inputs:
        raise SAEError(
            "the SAE does not say which hook it reads", "train it with lmsaes train, or import it"
        )
    return HooksOf(sae.config.inputs, sae.config.outputs)


def check_fits(sae: SAE, lm: LanguageModel) -> HooksOf:
    """Where an SAE reads and writes in this model.

    Raises ConfigError for a hook that the model has not, SAEError where widths differ or the SAE
    expects the model's weights in another form.
    """
    hooks = hooks_of(sae)
    widths = {name: shape.width for name, shape in lm.find_hooks(_all(hooks)).items()}
    for what, width, names in (
        ("reads", sae.d_in, hooks.reads),
        ("gives", sae.d_out, hooks.writes),
    ):
        there = sum(widths[name] for name in names)
        if there != width:
            raise SAEError(
                f"the SAE {what} vectors of {width}, and {', '.join(names)} of {lm.record.name} has"
                f" {there}",
                "give the model that it was trained on",
            )
    expected = sae.imported.weights if sae.imported else None
    if expected is not None and expected != lm.record.weights:
        raise SAEError(
            f"the SAE was trained on the model's {expected} weights, and these are"
            f" {lm.record.weights}",
            f'load the model with weights="{expected}"',
        )
    return hooks


def _all(hooks: HooksOf) -> list[str]:
    return list(dict.fromkeys([*hooks.reads, *hooks.writes]))


def _check_feature(sae: SAE, feature: int) -> None:
    if isinstance(feature, bool) or not 0 <= feature < sae.features:
        raise ConfigError(
            f"the SAE has no feature {feature}", f"it has features 0 to {sae.features - 1}"
        )
