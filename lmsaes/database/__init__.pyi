"""What this room offers to others; `__init__.py` loads each name when it is first asked for."""

from .client import Database
from .draft import Draft
from .embedded import EmbeddedServer, default_folder
from .explanations import Explanation, Explanations, new_explanation
from .records import (
    SCHEMA_VERSION,
    FeatureRecord,
    SAERecord,
    SampleRecord,
    check_name,
    is_made_from,
    is_name,
)
from .saes import UnreadableError, UnreadableRecord

__all__ = [
    "SCHEMA_VERSION",
    "Database",
    "Draft",
    "EmbeddedServer",
    "Explanation",
    "Explanations",
    "FeatureRecord",
    "SAERecord",
    "SampleRecord",
    "UnreadableError",
    "UnreadableRecord",
    "check_name",
    "default_folder",
    "is_made_from",
    "is_name",
    "new_explanation",
]
