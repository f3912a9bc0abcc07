"""What an evaluation found: `Evaluation`, figures by the names that table, JSON and files use.

Every figure has a standard error over contexts beside it, `…_se`; None is what was not measured.
docs/evaluation.md has the formulas and their sources.
"""

from pydantic import BaseModel


class Figures(BaseModel, extra="forbid"):
    """How well activations are reconstructed, and what that does to the model's predictions."""

    mse: float | None = None  # mean ‖y − ŷ‖², summed over dimensions
    mse_se: float | None = None
    fvu: float | None = None  # Σ ‖y − ŷ‖² / Σ ‖y − ȳ‖²
    fvu_se: float | None = None
    explained_variance: float | None = None  # 1 − FVU
    explained_variance_se: float | None = None
    cosine_similarity: float | None = None  # mean of cos(y, ŷ)
    cosine_similarity_se: float | None = None
    norm_ratio: float | None = None  # mean of ‖ŷ‖ / ‖y‖
    norm_ratio_se: float | None = None
    relative_reconstruction_bias: float | None = None  # E ‖ŷ‖² / E ⟨y, ŷ⟩
    relative_reconstruction_bias_se: float | None = None
    ce_clean: float | None = None  # nats per token, of the model as it is
    ce_clean_se: float | None = None
    ce_sae: float | None = None  # with the reconstruction in the activations' place
    ce_sae_se: float | None = None
    ce_zero: float | None = None  # with zeros there
    ce_zero_se: float | None = None
    ce_mean: float | None = None  # with the mean activation there
    ce_mean_se: float | None = None
    ce_recovered_zero: float | None = None  # (zero − SAE) / (zero − clean)
    ce_recovered_zero_se: float | None = None
    ce_recovered_mean: float | None = None  # (mean − SAE) / (mean − clean)
    ce_recovered_mean_se: float | None = None
    kl: float | None = None  # KL(clean ‖ SAE), nats per token
    kl_se: float | None = None
    kl_zero: float | None = None  # KL(clean ‖ zero)
    kl_zero_se: float | None = None
    kl_recovered_zero: float | None = None  # 1 − kl / kl_zero
    kl_recovered_zero_se: float | None = None


class ProbeResult(BaseModel, extra="forbid"):
    """Accuracy of a probe with some of the features, or with the activations themselves."""

    inputs: str  # "1 feature", "5 features", "dense"
    accuracy: float  # mean over reseedings of the mean over classes
    low: float  # the smallest and largest over reseedings
    high: float
    features: dict[str, list[int]] | None = None  # chosen most often, by class; None of the dense


class Probing(BaseModel, extra="forbid"):
    """k-sparse probing on labeled text."""

    texts: int
    classes: list[str]
    reseedings: int
    results: list[ProbeResult]


class Evaluation(Figures):
    """One SAE's evaluation on one cache."""

    name: str
    path: str
    architecture: str
    features: int
    hooks: tuple[str, ...]
    target: str | None = None
    cache: str  # identity
    cache_path: str
    rows: int  # token positions measured
    contexts: int  # contexts they are of
    first_context: int
    last_context: int
    seen_in_training: bool | None  # whether training drew on these contexts; None: not known
    rows_used: str  # the same in words

    l0: float | None = None  # mean active features per row
    l0_se: float | None = None
    l1: float | None = None  # mean sum of activations
    l1_se: float | None = None
    alive: float | None = None  # share of features that fired
    alive_se: float | None = None
    dense_1: float | None = None  # share of features that fire on more than 1 % of rows
    dense_1_se: float | None = None
    dense_10: float | None = None  # and on more than 10 %
    dense_10_se: float | None = None
    decoder_cosine: float | None = None  # mean over features of the largest cosine to another row
    decoder_cosine_max: float | None = None
    density_histogram: list[int] = []  # features by log10 of their density; see `density_edges`
    density_edges: list[float] = []  # borders of its bins; features that never fired are in none
    per_hook: dict[str, Figures] = {}  # of a crosscoder, each hook by itself
    probing: Probing | None = None
    created: str = ""  # ISO 8601


class Comparison(BaseModel, extra="forbid"):
    """A figure of two SAEs on the same contexts: the first's less the second's."""

    figure: str
    first: str
    second: str
    difference: float
    se: float | None
    differ: bool | None  # beyond 1.96 standard errors; None where there are too few contexts


class Evaluations(list[Evaluation]):
    """One Evaluation per SAE, in the order given, and how they compare."""

    comparisons: list[Comparison]

    def __init__(self, evaluations: list[Evaluation], comparisons: list[Comparison]) -> None:
        super().__init__(evaluations)
        self.comparisons = comparisons
