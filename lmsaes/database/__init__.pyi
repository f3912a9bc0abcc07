"""What this room offers to others; `__init__.py` loads each name when it is first asked for."""

from .client import Database
from .embedded import EmbeddedServer, default_folder
from .records import SCHEMA_VERSION, FeatureRecord, SAERecord, SampleRecord

__all__ = [
    "SCHEMA_VERSION",
    "Database",
    "EmbeddedServer",
    "FeatureRecord",
    "SAERecord",
    "SampleRecord",
    "default_folder",
]
