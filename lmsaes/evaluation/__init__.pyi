"""What this room offers to others; `__init__.py` loads each name when it is first asked for."""

from .cache_model import load_cache_model
from .comparison import COMPARED
from .config import EvalConfig
from .context_sums import SMALL_NORM
from .feature_sums import FeatureSums
from .fit import check_fit
from .origin import Origin, check_made_alike, origin_of
from .plot import check_plot, pareto_front
from .reconstruction import ReconstructionSums, dead_fraction, never_fired_fraction
from .records import Comparison, Evaluation, Evaluations, Figures
from .run import evaluate

__all__ = [
    "COMPARED",
    "SMALL_NORM",
    "Comparison",
    "EvalConfig",
    "Evaluation",
    "Evaluations",
    "FeatureSums",
    "Figures",
    "Origin",
    "ReconstructionSums",
    "check_fit",
    "check_made_alike",
    "check_plot",
    "dead_fraction",
    "evaluate",
    "load_cache_model",
    "never_fired_fraction",
    "origin_of",
    "pareto_front",
]
