"""What this room offers to others; `__init__.py` loads each name when it is first asked for."""

from .config import ExportConfig, ImportConfig
from .exports import export_sae
from .imports import import_sae

__all__ = ["ExportConfig", "ImportConfig", "export_sae", "import_sae"]
