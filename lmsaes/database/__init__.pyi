"""What this room offers to others; `__init__.py` loads each name when it is first asked for."""

from .answers import Answers
from .client import Database
from .curves import TrainingCurves
from .details import (
    WIRED_BY,
    FeatureDetails,
    GroupFacts,
    HookFacts,
    LogitFacts,
    OutputFacts,
    RowsRecord,
    Table,
    TokenRecord,
    TwinFacts,
    WiringFacts,
    WiringSide,
)
from .draft import Draft
from .embedded import EmbeddedServer, default_folder
from .explanations import Explanation, Explanations, new_explanation
from .feature_columns import NONE, FeatureColumns, label_tokens, read_twins
from .feature_html import FeatureView, feature_document, show
from .feature_page import feature_page, page_with_words, wiring
from .graph_labels import Label, analyzed_transcoders, graph_labels
from .graph_records import (
    ERROR,
    FEATURE,
    LOGIT,
    TARGET,
    TOKEN,
    GraphFacts,
    GraphGroup,
    GraphRecord,
    GraphTranscoder,
    ShownGraph,
    node_id,
)
from .graphs import Graphs, TakenError
from .lists import ChangedError, FeatureList, ListContents, ListEntry
from .notes import Note, Notes
from .records import (
    SCHEMA_VERSION,
    ContextRecord,
    FeatureRecord,
    SAERecord,
    SampleRecord,
    check_name,
    content_hash,
    is_made_from,
    is_name,
)
from .saes import UnreadableError, UnreadableRecord, evaluated
from .sample_documents import half_precision

__all__ = [
    "ERROR",
    "FEATURE",
    "LOGIT",
    "NONE",
    "SCHEMA_VERSION",
    "TARGET",
    "TOKEN",
    "WIRED_BY",
    "Answers",
    "ChangedError",
    "ContextRecord",
    "Database",
    "Draft",
    "EmbeddedServer",
    "Explanation",
    "Explanations",
    "FeatureColumns",
    "FeatureDetails",
    "FeatureList",
    "FeatureRecord",
    "FeatureView",
    "GraphFacts",
    "GraphGroup",
    "GraphRecord",
    "GraphTranscoder",
    "Graphs",
    "GroupFacts",
    "HookFacts",
    "Label",
    "ListContents",
    "ListEntry",
    "LogitFacts",
    "Note",
    "Notes",
    "OutputFacts",
    "RowsRecord",
    "SAERecord",
    "SampleRecord",
    "ShownGraph",
    "Table",
    "TakenError",
    "TokenRecord",
    "TrainingCurves",
    "TwinFacts",
    "UnreadableError",
    "UnreadableRecord",
    "WiringFacts",
    "WiringSide",
    "analyzed_transcoders",
    "check_name",
    "content_hash",
    "default_folder",
    "evaluated",
    "feature_document",
    "feature_page",
    "graph_labels",
    "half_precision",
    "is_made_from",
    "is_name",
    "label_tokens",
    "new_explanation",
    "node_id",
    "page_with_words",
    "read_twins",
    "show",
    "wiring",
]
