"""What this room offers to others; `__init__.py` loads each name when it is first asked for."""

from .config import ExplainConfig
from .endpoint import EndpointError
from .labels import explain_by_hand, export_explanations, import_explanations
from .run import Explained, explain_features, score_of
from .scoring import Score

__all__ = [
    "EndpointError",
    "ExplainConfig",
    "Explained",
    "Score",
    "explain_by_hand",
    "explain_features",
    "export_explanations",
    "import_explanations",
    "score_of",
]
