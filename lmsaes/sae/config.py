"""Every architecture's configuration: what an SAE is and how it learns.

    SAEConfig ─┬─ ReLUConfig ── PAnnealingConfig
               ├─ GatedConfig
               ├─ JumpReLUConfig
               └─ TopKFamilyConfig ─┬─ TopKConfig ── HierarchicalTopKConfig
                                    └─ BatchTopKConfig ── MatryoshkaConfig

A field's description is the help of its option on the command line. Nothing here needs torch.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, model_validator

from lmsaes.sae.former_names import RENAMED, todays_names
from lmsaes.sae.learning_config import LearningConfig
from lmsaes.sae.limits import FolderName, Shares, check_range
from lmsaes.units import Count

NormalizationKind = Literal["none", "mean_norm", "mean_square", "layer_norm", "whiten"]

FEATURES_PER_DIMENSION = 16.0
"""The default expansion."""


class SAEConfig(LearningConfig, frozen=True):
    """One SAE to train: its shape and how it learns. Saved beside the weights it led to."""

    # Of the default learning rate; measured per architecture (docs/notes/experiments.md).
    lr_share: ClassVar[float] = 1.0
    # What that rate is never above where inputs have 256 dimensions, before the share.
    highest_lr: ClassVar[float] = 8e-3

    architecture: str
    name: Annotated[
        FolderName,
        Field(description="Folder of the SAE in the run (default: such as topk-32)."),
    ] = ""
    hook: Annotated[str | None, Field(description="Hook whose activations go in.")] = None
    target: Annotated[
        str | None,
        Field(description="Hook to reconstruct, if it is another one: a transcoder."),
    ] = None
    hooks: Annotated[
        tuple[str, ...],
        Field(description="Hooks to read and reconstruct together: a crosscoder."),
    ] = ()
    skip: Annotated[
        bool, Field(description="Add a linear map from a transcoder's input to its target.")
    ] = False
    features: Annotated[Count | None, Field(gt=0, description="Number of features.")] = None
    expansion: Annotated[
        float | None,
        Field(gt=0, description="Features per input dimension, instead of --features."),
    ] = None
    dead_window: Annotated[
        Count | None,
        Field(
            gt=0,
            description="Tokens without firing after which a feature counts as dead"
            " (default: 10M, or an eighth of a shorter run).",
        ),
    ] = None
    aux_after: Annotated[
        Count | None,
        Field(
            gt=0,
            description="Tokens without firing after which the auxiliary loss starts for a feature"
            " (default: dead_window where given, else 40 · features / L0).",
        ),
    ] = None
    normalize: Annotated[
        NormalizationKind,
        Field(
            description="How inputs are scaled while training: to mean norm √d, unit mean square,"
            " each row to variance 1, or identity covariance; a saved SAE takes raw activations."
        ),
    ] = "mean_square"
    layer_norm_eps: Annotated[
        float,
        Field(ge=0, description="Added to each row's deviation with normalize = layer_norm."),
    ] = 0.0
    layer_norm_ddof: Annotated[
        Literal[0, 1],
        Field(description="A row's variance divides by d − ddof with normalize = layer_norm."),
    ] = 0
    center: Annotated[
        Literal["mean", "geometric_median"],
        Field(description="What an SAE reconstructs before it has learned anything."),
    ] = "mean"
    init: Annotated[
        Literal["random", "active"],
        Field(
            description="First directions: anywhere, or in the subspace that holds 99 % of the"
            " input's variance."
        ),
    ] = "random"
    matmul_dtype: Annotated[
        Literal["float32", "bfloat16"],
        Field(description="Dtype of the dense products; weights and losses stay in float32."),
    ] = "float32"
    aux_k: Annotated[
        Count | None,
        Field(
            gt=0,
            description="Silent features that explain the residual in the auxiliary loss"
            " (default: 2 · L0, at most d_in / 2).",
        ),
    ] = None
    aux_weight: Annotated[
        float, Field(ge=0, description="Weight of the auxiliary loss for silent features.")
    ] = 0.0
    ghost_weight: Annotated[
        float,
        Field(ge=0, description="Weight of ghost gradients for silent features (usually 1)."),
    ] = 0.0
    resample: Annotated[
        Shares,
        Field(
            description="Shares of the run after which dead features start again on rows with a"
            " large error."
        ),
    ] = ()
    micro_batch: Annotated[
        Count | None,
        Field(gt=0, description="Rows whose gradients are computed at once (default: the batch)."),
    ] = None
    seed: Annotated[int, Field(ge=0, lt=2**63, description="Seed of the initial weights.")] = 0

    @model_validator(mode="before")
    @classmethod
    def _old_names_are_explained(cls, values: Any) -> Any:
        for old, new in RENAMED.items():
            if isinstance(values, Mapping) and old in values:
                raise ValueError(f"'{old}' is now called '{new}'")
        return values

    @model_validator(mode="after")
    def _in_range(self) -> Self:
        check_range(self)
        return self

    @model_validator(mode="after")
    def _one_width(self) -> Self:
        if self.features is not None and self.expansion is not None:
            raise ValueError("give features or expansion, not both")
        return self

    @model_validator(mode="after")
    def _one_task(self) -> Self:
        if self.hooks and (self.hook is not None or self.target is not None):
            raise ValueError("a crosscoder has hooks, but neither hook nor target")
        if self.skip and self.target is None:
            raise ValueError("a skip needs a target: of its own input it would be the identity")
        return self

    @model_validator(mode="after")
    def _named(self) -> Self:
        if not self.name:
            object.__setattr__(self, "name", self._default_name())
        return self

    def width(self, d_in: int) -> int:
        """The number of features for inputs of `d_in` dimensions."""
        if self.features is not None:
            return self.features
        return round((self.expansion or FEATURES_PER_DIMENSION) * d_in)

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
        """How the target is normalized. Another hook's rows are unknown when a transcoder is used,
        so that nothing row by row can be undone, and its loss counts all directions alike.
        """
        own = self.target is None or self.normalize not in ("layer_norm", "whiten")
        return self.normalize if own else "mean_square"

    def _default_name(self) -> str:
        return self.architecture


class ReLUConfig(SAEConfig, frozen=True):
    """ReLU with an L1 penalty on the activations."""

    architecture: Literal["relu"] = "relu"
    l1: Annotated[float, Field(ge=0, description="Weight of the sparsity penalty.")] = 2.0
    l1_warmup: Annotated[
        float, Field(ge=0, le=1, description="Share of the run over which l1 grows from zero.")
    ] = 0.05
    decoder: Annotated[
        Literal["free", "unit"],
        Field(
            description="Free rows, whose norms weigh the penalty, or unit rows with their"
            " gradients projected."
        ),
    ] = "free"

    def _default_name(self) -> str:
        return f"{self.architecture}-{self.l1:g}"


class PAnnealingConfig(ReLUConfig, frozen=True):
    """ReLU whose penalty turns from f to f^p while it trains."""

    architecture: Literal["p_annealing"] = "p_annealing"  # pyright: ignore[reportIncompatibleVariableOverride]
    l1: Annotated[float, Field(ge=0, description="Weight of the sparsity penalty.")] = 1.0
    p_start: Annotated[float, Field(gt=0, le=1, description="Exponent at first.")] = 1.0
    p_end: Annotated[float, Field(gt=0, le=1, description="Exponent at the end.")] = 0.2
    anneal_from: Annotated[
        float, Field(ge=0, lt=1, description="Share of the run after which the exponent falls.")
    ] = 0.2


class GatedConfig(SAEConfig, frozen=True):
    """A gate under an L1 penalty, a magnitude without one."""

    architecture: Literal["gated"] = "gated"
    # As in the paper, and by far the better here too: docs/notes/experiments.md.
    beta1: Annotated[float, Field(ge=0, lt=1, description="Decay of Adam's first moment.")] = 0.0
    l1: Annotated[float, Field(ge=0, description="Weight of the gate's sparsity penalty.")] = 4.0
    l1_warmup: Annotated[
        float, Field(ge=0, le=1, description="Share of the run over which l1 grows from zero.")
    ] = 0.05

    def _default_name(self) -> str:
        return f"gated-{self.l1:g}"


# At the end a batch's L0 lies above the target by what one more feature still explains, divided by
# this weight: docs/notes/experiments.md.
_JUMPRELU_WEIGHTS = {"target": 1e-2, "l0": 1e-3, "tanh": 20.0}


class JumpReLUConfig(SAEConfig, frozen=True):
    """A learned threshold per feature, under a penalty on how many fire."""

    lr_share: ClassVar[float] = 0.5
    highest_lr: ClassVar[float] = 1.2e-2

    architecture: Literal["jumprelu"] = "jumprelu"
    beta1: Annotated[float, Field(ge=0, lt=1, description="Decay of Adam's first moment.")] = 0.0
    weight_decay: Annotated[
        float,
        Field(ge=0, description="Decoupled decay of the encoder, times the learning rate."),
    ] = 0.3
    sparsity: Annotated[
        Literal["target", "l0", "tanh"],
        Field(description="Penalty: toward a target L0, on L0, or on tanh of the activations."),
    ] = "target"
    l0: Annotated[float, Field(gt=0, description="Target L0.")] = 32.0
    weight: Annotated[
        float | None,
        Field(ge=0, description="Weight of the penalty (default: 1e-2, 1e-3 or 20 by its kind)."),
    ] = None
    weight_warmup: Annotated[
        float, Field(ge=0, le=1, description="Share of the run over which weight grows from zero.")
    ] = 0.1
    threshold: Annotated[
        float, Field(ge=0, description="First threshold, in units of training.")
    ] = 1.0
    bandwidth: Annotated[
        float, Field(gt=0, description="Width of the window around a threshold that moves it.")
    ] = 0.5
    max_frequency: Annotated[
        float, Field(gt=0, le=1, description="Share of rows above which firing is penalized.")
    ] = 0.1
    frequency_weight: Annotated[float, Field(ge=0, description="Weight of that penalty.")] = 0.0
    tanh_scale: Annotated[float, Field(gt=0, description="c of the tanh penalty.")] = 4.0
    pre_weight: Annotated[
        float,
        Field(ge=0, description="Weight of silent pre-activations beside the tanh penalty."),
    ] = 3e-6

    @property
    def active(self) -> float:
        return self.l0

    @property
    def penalty_weight(self) -> float:
        """The weight given, or the default of this kind of penalty."""
        return _JUMPRELU_WEIGHTS[self.sparsity] if self.weight is None else self.weight

    def _default_name(self) -> str:
        if self.sparsity == "target":
            return f"jumprelu-{self.l0:g}"
        return f"jumprelu-{self.sparsity}-{self.penalty_weight:g}"


class TopKFamilyConfig(SAEConfig, frozen=True):
    """k active features per row; silent ones learn by an auxiliary loss."""

    highest_lr: ClassVar[float] = 1.6e-2

    k: Annotated[int, Field(gt=0, description="Active features per row.")] = 32
    weight_decay: Annotated[
        float,
        Field(ge=0, description="Decoupled decay of the encoder, times the learning rate."),
    ] = 0.3
    aux_weight: Annotated[
        float, Field(ge=0, description="Weight of the auxiliary loss for silent features.")
    ] = 0.1

    k_start: Annotated[
        Count | None,
        Field(gt=0, description="Active features per row at first (default: k)."),
    ] = None
    k_anneal: Annotated[
        float | None,
        Field(
            gt=0, le=1, description="Share of the run over which k_start becomes k (default: .2)."
        ),
    ] = None

    @model_validator(mode="after")
    def _k_of_the_features(self) -> Self:
        if self.features is not None and self.k > self.features:
            raise ValueError(f"k = {self.k} is more than the {self.features} features")
        if self.k_anneal is not None and self.k_start is None:
            raise ValueError("k_anneal needs k_start")
        return self

    @property
    def active(self) -> float:
        return self.k

    def _default_name(self) -> str:
        return f"{self.architecture}-{self.k}"


class TopKConfig(TopKFamilyConfig, frozen=True):
    """The k largest pre-activations of each row fire."""

    architecture: Literal["topk"] = "topk"


class HierarchicalTopKConfig(TopKConfig, frozen=True):
    """TopK whose loss is averaged over several k."""

    architecture: Literal["hierarchical"] = "hierarchical"  # pyright: ignore[reportIncompatibleVariableOverride]
    levels: Annotated[
        tuple[int, ...] | None,
        Field(description="The k whose losses are averaged (default: k, k/2, k/4, … 1)."),
    ] = None

    @model_validator(mode="after")
    def _levels_up_to_k(self) -> Self:
        if self.levels is not None and not all(1 <= level <= self.k for level in self.levels):
            raise ValueError(f"levels lie between 1 and k = {self.k}")
        if self.k_start is not None:
            raise ValueError("hierarchical SAEs learn every k up to k at once: leave k_start out")
        return self


class BatchTopKConfig(TopKFamilyConfig, frozen=True):
    """k·batch features per batch; a threshold takes their place after training."""

    architecture: Literal["batchtopk"] = "batchtopk"


class MatryoshkaConfig(BatchTopKConfig, frozen=True):
    """BatchTopK whose first features must do without the later ones."""

    architecture: Literal["matryoshka"] = "matryoshka"  # pyright: ignore[reportIncompatibleVariableOverride]
    prefixes: Annotated[
        tuple[float, ...],
        Field(description="Shares of the features that the nested SAEs add, summing to 1."),
    ] = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 17 / 32)

    @model_validator(mode="after")
    def _shares(self) -> Self:
        shares = self.prefixes
        if not shares or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
            raise ValueError("prefixes must be positive and sum to 1")
        return self


CONFIGS: dict[str, type[SAEConfig]] = {
    "topk": TopKConfig,
    "batchtopk": BatchTopKConfig,
    "matryoshka": MatryoshkaConfig,
    "hierarchical": HierarchicalTopKConfig,
    "jumprelu": JumpReLUConfig,
    "relu": ReLUConfig,
    "gated": GatedConfig,
    "p_annealing": PAnnealingConfig,
}
"""By architecture, its configuration."""


AnyConfig = Annotated[
    ReLUConfig
    | GatedConfig
    | TopKConfig
    | BatchTopKConfig
    | HierarchicalTopKConfig
    | JumpReLUConfig
    | MatryoshkaConfig
    | PAnnealingConfig,
    Discriminator("architecture"),
    BeforeValidator(todays_names),
]
