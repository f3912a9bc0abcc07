"""What this room offers to others; `__init__.py` loads each name when it is first asked for."""

from .config import AnalyzeConfig
from .run import analyze

__all__ = [
    "AnalyzeConfig",
    "analyze",
]
