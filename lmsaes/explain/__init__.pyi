"""What this room offers to others; `__init__.py` loads each name when it is first asked for."""

from .labels import explain_by_hand, export_explanations, import_explanations

__all__ = ["explain_by_hand", "export_explanations", "import_explanations"]
