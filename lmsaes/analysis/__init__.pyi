"""What this room offers to others; `__init__.py` loads each name when it is first asked for."""

from .run import analyze, find_saes

__all__ = [
    "analyze",
    "find_saes",
]
