"""What this room offers to others; `__init__.py` loads each name when it is first asked for."""

from .allocator import keep_freed_memory
from .config import TRAIN_CONFIG, TrainConfig, with_sae_options
from .divergence import Divergence
from .members import TrainedSAE
from .metrics_file import METRICS, read_metrics
from .normalization import Normalization
from .per_layer import MLP_HOOKS, per_layer_transcoders
from .plan import TrainingPlan, plan_training
from .prune_config import PruneConfig
from .pruning import Pruned, prune
from .run import train
from .runs import RunSummary, find_runs, run_summary
from .runs_plot import plot_runs
from .schedules import peak_lr
from .trainer import SAETrainer

__all__ = [
    "METRICS",
    "MLP_HOOKS",
    "TRAIN_CONFIG",
    "Divergence",
    "Normalization",
    "PruneConfig",
    "Pruned",
    "RunSummary",
    "SAETrainer",
    "TrainConfig",
    "TrainedSAE",
    "TrainingPlan",
    "find_runs",
    "keep_freed_memory",
    "peak_lr",
    "per_layer_transcoders",
    "plan_training",
    "plot_runs",
    "prune",
    "read_metrics",
    "run_summary",
    "train",
    "with_sae_options",
]
