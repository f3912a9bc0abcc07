"""What this room offers to others; `__init__.py` loads each name when it is first asked for."""

from .allocator import keep_freed_memory
from .normalization import Normalization
from .run import train
from .run_folder import TrainedSAE
from .schedules import peak_lr
from .sweep import Sweep, make_sweep
from .trainer import SAETrainer

__all__ = [
    "Normalization",
    "SAETrainer",
    "Sweep",
    "TrainedSAE",
    "keep_freed_memory",
    "make_sweep",
    "peak_lr",
    "train",
]
