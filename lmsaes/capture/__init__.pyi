"""What this room offers to others; `__init__.py` loads each name when it is first asked for."""

from .config import CaptureConfig, LiveConfig
from .inputs import open_model
from .live import LiveRows, LiveStream
from .run import cache_activations, fill
from .verify import Verification, verify_against_model

__all__ = [
    "CaptureConfig",
    "LiveConfig",
    "LiveRows",
    "LiveStream",
    "Verification",
    "cache_activations",
    "fill",
    "open_model",
    "verify_against_model",
]
