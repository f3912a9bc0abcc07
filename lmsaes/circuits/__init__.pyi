"""What this room offers to others; `__init__.py` loads each name when it is first asked for."""

from .config import TraceConfig
from .graph import COMPLETENESS_LIMIT
from .graph_file import cantor, graph_json, slug_of, write_graph
from .heads import HeadSplit, split_by_head
from .intervene import Intervened, intervene
from .places import layer_written, what_is_read
from .replacement import Replacement
from .retrace import reader_of, replacement_of, source_of
from .shown import keep_graph, proof, shown_graph
from .trace import Prepared, Traced, check_widths, prepare, trace, trace_prepared
from .transcoders import Transcoder, load_transcoders
from .verify import LET_GO, Agreement, Verification

__all__ = [
    "COMPLETENESS_LIMIT",
    "LET_GO",
    "Agreement",
    "HeadSplit",
    "Intervened",
    "Prepared",
    "Replacement",
    "TraceConfig",
    "Traced",
    "Transcoder",
    "Verification",
    "cantor",
    "check_widths",
    "graph_json",
    "intervene",
    "keep_graph",
    "layer_written",
    "load_transcoders",
    "prepare",
    "proof",
    "reader_of",
    "replacement_of",
    "shown_graph",
    "slug_of",
    "source_of",
    "split_by_head",
    "trace",
    "trace_prepared",
    "what_is_read",
    "write_graph",
]
