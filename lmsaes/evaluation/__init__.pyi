"""What this room offers to others; `__init__.py` loads each name when it is first asked for."""

from .reconstruction import ReconstructionSums, dead_fraction, never_fired_fraction

__all__ = ["ReconstructionSums", "dead_fraction", "never_fired_fraction"]
