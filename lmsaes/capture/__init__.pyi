"""What this room offers to others; `__init__.py` loads each name when it is first asked for."""

from .config import CaptureConfig
from .run import cache_activations, fill
from .verify import Verification, verify_against_model

__all__ = [
    "CaptureConfig",
    "Verification",
    "cache_activations",
    "fill",
    "verify_against_model",
]
