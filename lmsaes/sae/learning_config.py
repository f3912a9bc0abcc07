"""How an SAE learns: its optimizer and learning rate, from where, which part, by which schedule.

Fields that came later are None where nothing is said, so that the settings of an SAE from before
them are what they were. Nothing here needs torch.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator

from lmsaes.units import Count

Part = Literal["encoder", "decoder", "bias"]


class LearningConfig(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True):
    """Settings that every architecture's configuration has, beside `SAEConfig`'s own."""

    lr: Annotated[
        float | None,
        Field(
            gt=0, description="Peak learning rate (default: by the width and length of the run)."
        ),
    ] = None
    optimizer: Annotated[
        Literal["adam", "muon", "schedule-free", "signum", "adam-8bit"],
        Field(description="Optimizer; muon updates encoder and decoder, adam the vectors."),
    ] = "adam"
    beta1: Annotated[float, Field(ge=0, lt=1, description="Decay of Adam's first moment.")] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1, description="Decay of Adam's second moment.")] = 0.97
    weight_decay: Annotated[
        float,
        Field(ge=0, description="Decoupled decay of the encoder, times the learning rate."),
    ] = 0.0
    warmup: Annotated[
        Count | None,
        Field(
            ge=0,
            description="Steps until the peak learning rate (default: an eighth of the run, at"
            " most 1000).",
        ),
    ] = None
    lr_decay_fraction: Annotated[
        float,
        Field(ge=0, le=1, description="Last share of the run, over which lr falls to zero."),
    ] = 0.5
    gradient: Annotated[
        Literal["unit", "clip"],
        Field(
            description="Scale each step's whole gradient to norm 1 (unit), or only where its norm"
            " is above `clip`."
        ),
    ] = "unit"
    clip: Annotated[
        float | None,
        Field(gt=0, description="Largest norm of the gradient with gradient = clip (default: 1)."),
    ] = None
    start_from: Annotated[
        str | None,
        Field(
            description="Folder of the SAE to start from, whose settings are the defaults"
            " (default: random weights)."
        ),
    ] = None
    freeze: Annotated[
        tuple[Part, ...] | None,
        Field(
            description="Part that keeps its weights: the encoder, the decoder's matrices, or all"
            " biases (default: none)."
        ),
    ] = None
    fine_tune: Annotated[
        Literal["shrinkage"] | None,
        Field(
            description="Train decoder rows, lengths included, on the squared error alone, while"
            " what fires stays: undoes shrinkage (default: train all of the SAE)."
        ),
    ] = None
    schedule: Annotated[
        Literal["linear", "cosine", "constant"] | None,
        Field(description="How lr falls over its last share of the run (default: linear)."),
    ] = None
    lr_end: Annotated[
        float | None, Field(ge=0, description="Learning rate that it falls to (default: 0).")
    ] = None
    restarts: Annotated[
        Count | None,
        Field(ge=0, description="Times that it starts again from the peak (default: 0)."),
    ] = None
    ema: Annotated[
        float | None,
        Field(
            gt=0,
            lt=1,
            description="Decay per step of a running mean of the weights, which is what is saved"
            " (default: the last weights).",
        ),
    ] = None

    @model_validator(mode="after")
    def _something_learns(self) -> Self:
        if self.freeze is not None and {"encoder", "decoder", "bias"} <= {*self.freeze}:
            raise ValueError("encoder, decoder and bias are frozen: nothing is left to train")
        if self.fine_tune is not None and self.start_from is None:
            raise ValueError("fine_tune needs start_from: the SAE to fine-tune")
        if self.fine_tune is not None and "decoder" in (self.freeze or ()):
            raise ValueError("fine_tune trains the decoder, which is frozen")
        return self

    @model_validator(mode="after")
    def _clip_is_for_clipping(self) -> Self:
        if self.clip is not None and self.gradient != "clip":
            raise ValueError('clip needs gradient = "clip"')
        return self

    @model_validator(mode="after")
    def _a_schedule_that_falls(self) -> Self:
        if self.schedule == "constant" and (self.lr_end is not None or self.restarts):
            raise ValueError("a constant schedule has neither lr_end nor restarts")
        return self
