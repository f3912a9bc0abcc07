"""What this room offers to others; `__init__.py` loads each name when it is first asked for."""

from .config import AnalyzeConfig
from .output_scores import OutputScore, score_outputs
from .run import analyze
from .sampling import context_hashes, lowest_contexts

__all__ = [
    "AnalyzeConfig",
    "OutputScore",
    "analyze",
    "context_hashes",
    "lowest_contexts",
    "score_outputs",
]
