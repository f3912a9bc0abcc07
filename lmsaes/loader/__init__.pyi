"""What this room offers to others; `__init__.py` loads each name when it is first asked for."""

from .loader import ENOUGH_BLOCKS, ShuffledLoader
from .shuffle_quality import shuffle_quality
from .stream import StreamLoader
from .stream_walk import Chunk, RowStream, Stopped
from .windows import LoaderStats

__all__ = [
    "ENOUGH_BLOCKS",
    "Chunk",
    "LoaderStats",
    "RowStream",
    "ShuffledLoader",
    "Stopped",
    "StreamLoader",
    "shuffle_quality",
]
