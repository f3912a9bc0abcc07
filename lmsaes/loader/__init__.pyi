"""What this room offers to others; `__init__.py` loads each name when it is first asked for."""

from .loader import ENOUGH_BLOCKS, ShuffledLoader
from .shuffle_quality import shuffle_quality

__all__ = [
    "ENOUGH_BLOCKS",
    "ShuffledLoader",
    "shuffle_quality",
]
