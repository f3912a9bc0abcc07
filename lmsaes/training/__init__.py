"""Stage two: many SAEs trained on one read of a cache."""

from lmsaes.training.run import TrainedSAE, train
from lmsaes.training.trainer import SAETrainer

__all__ = ["SAETrainer", "TrainedSAE", "train"]
