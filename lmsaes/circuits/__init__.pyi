"""What this room offers to others; `__init__.py` loads each name when it is first asked for."""

from .config import TraceConfig
from .graph import COMPLETENESS_LIMIT
from .graph_file import graph_json, proof, slug_of, write_graph
from .heads import HeadSplit, split_by_head
from .trace import Traced, trace
from .verify import LET_GO, Agreement, Verification

__all__ = [
    "COMPLETENESS_LIMIT",
    "LET_GO",
    "Agreement",
    "HeadSplit",
    "TraceConfig",
    "Traced",
    "Verification",
    "graph_json",
    "proof",
    "slug_of",
    "split_by_head",
    "trace",
    "write_graph",
]
