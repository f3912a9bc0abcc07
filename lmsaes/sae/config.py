"""What every architecture's configuration has in common."""

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, Field, model_validator

NormalizationKind = Literal["none", "mean_norm", "mean_square", "layer_norm", "whiten"]


class SAEConfig(BaseModel, frozen=True, extra="forbid"):
    """One SAE to train: its shape and how it learns. Saved beside the weights it led to."""

    # Of the default learning rate; measured per architecture (docs/experiments.md).
    lr_share: ClassVar[float] = 1.0
    # What that rate is never above where inputs have 256 dimensions, before the share.
    highest_lr: ClassVar[float] = 8e-3

    architecture: str
    name: Annotated[str | None, Field(description="folder of the SAE inside the run")] = None
    hook: Annotated[str | None, Field(description="hook whose activations go in")] = None
    target: Annotated[
        str | None, Field(description="hook to reconstruct, if another one: a transcoder")
    ] = None
    hooks: Annotated[
        tuple[str, ...],
        Field(description="hooks to read and reconstruct together: a crosscoder"),
    ] = ()
    skip: Annotated[
        bool, Field(description="a linear map from input to target beside the features")
    ] = False
    features: Annotated[int | None, Field(gt=0, description="number of features")] = None
    expansion: Annotated[
        float | None, Field(gt=0, description="features per input dimension (default: 16)")
    ] = None
    lr: Annotated[
        float | None,
        Field(gt=0, description="peak learning rate (default: by width and length of the run)"),
    ] = None
    optimizer: Annotated[
        Literal["adam", "muon", "schedule-free", "signum", "adam-8bit"],
        Field(description="muon is for encoder and decoder, with adam for the vectors"),
    ] = "adam"
    beta1: Annotated[float, Field(ge=0, lt=1, description="Adam's first-moment decay")] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1, description="Adam's second-moment decay")] = 0.97
    weight_decay: Annotated[
        float, Field(ge=0, description="decoupled decay of the encoder, times the learning rate")
    ] = 0.0
    warmup: Annotated[
        int | None, Field(ge=0, description="steps until the peak (default: an eighth, ≤ 1000)")
    ] = None
    decay: Annotated[
        float, Field(ge=0, le=1, description="last share of the run over which lr falls to zero")
    ] = 0.5
    clip: Annotated[
        float | None,
        Field(
            gt=0,
            description="largest norm of the whole gradient (default: each has norm 1)",
        ),
    ] = None
    dead_after: Annotated[
        int | None,
        Field(
            gt=0,
            description="tokens without firing after which a feature counts as dead"
            " (default: 10M, or an eighth of a shorter run)",
        ),
    ] = None
    revive_after: Annotated[
        int | None,
        Field(
            gt=0,
            description="tokens without firing after which auxiliary losses take a feature up"
            " (default: dead_after where given, else 40 · features / L0)",
        ),
    ] = None
    normalize: Annotated[
        NormalizationKind,
        Field(
            description="of inputs while training: to mean norm √d, unit mean square, each row to"
            " variance 1, or an identity covariance; a saved SAE takes raw activations"
        ),
    ] = "mean_square"
    centre: Annotated[
        Literal["mean", "geometric_median"],
        Field(description="of the rows: what an SAE reconstructs before it has learnt anything"),
    ] = "mean"
    init: Annotated[
        Literal["random", "active"],
        Field(
            description="first directions: anywhere, or in the subspace that holds 99 % of the"
            " input's variance"
        ),
    ] = "random"
    precision: Annotated[
        Literal["float32", "bfloat16"],
        Field(description="of the dense products; weights, losses and the rest stay in float32"),
    ] = "float32"
    aux_k: Annotated[
        int | None,
        Field(
            gt=0,
            description="silent features that explain the error (default: 2·L0, at most d_in/2)",
        ),
    ] = None
    aux_weight: Annotated[
        float, Field(ge=0, description="weight of that auxiliary loss, which revives dead features")
    ] = 0.0
    ghost_weight: Annotated[
        float, Field(ge=0, description="weight of ghost gradients for dead features (usually 1)")
    ] = 0.0
    resample: Annotated[
        tuple[float, ...],
        Field(description="shares of the run after which dead features start again on hard rows"),
    ] = ()
    micro_batch: Annotated[
        int | None,
        Field(gt=0, description="rows whose gradients are computed at once (default: the batch)"),
    ] = None
    seed: Annotated[int, Field(description="seed of the initial weights")] = 0

    @model_validator(mode="after")
    def _one_width(self) -> "SAEConfig":
        if self.features is not None and self.expansion is not None:
            raise ValueError("give features or expansion, not both")
        return self

    @model_validator(mode="after")
    def _one_task(self) -> "SAEConfig":
        if self.hooks and (self.hook is not None or self.target is not None):
            raise ValueError("a crosscoder has hooks, but neither hook nor target")
        if self.skip and self.target is None:
            raise ValueError("a skip needs a target: of its own input it would be the identity")
        return self

    def width(self, d_in: int) -> int:
        """The number of features for inputs of `d_in` dimensions."""
        if self.features is not None:
            return self.features
        return round((16 if self.expansion is None else self.expansion) * d_in)

    @property
    def active(self) -> float:
        """About how many features will fire on a row."""
        return 32.0

    @property
    def inputs(self) -> tuple[str, ...]:
        """The hooks that the encoder reads, side by side."""
        return self.hooks or (() if self.hook is None else (self.hook,))

    @property
    def outputs(self) -> tuple[str, ...]:
        """The hooks that are reconstructed, side by side."""
        return self.inputs if self.target is None else (self.target,)

    @property
    def target_normalize(self) -> NormalizationKind:
        """How the target is normalised. Another hook's rows are unknown when a transcoder is used,
        so that nothing row by row can be undone, and its loss counts all directions alike.
        """
        own = self.target is None or self.normalize not in ("layer_norm", "whiten")
        return self.normalize if own else "mean_square"

    @property
    def label(self) -> str:
        """The SAE's folder: its name, or the architecture and its main setting."""
        return self.name or self._default_label()

    def _default_label(self) -> str:
        return self.architecture
