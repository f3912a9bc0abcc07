"""What this room offers to others; `__init__.py` loads each name when it is first asked for."""

from .edited_forward import FeatureEdits, GrowingText
from .edits import Edit, HooksOf, When, check_fits, hooks_of
from .generate import Completion, Finished, NewToken, Sampling, Steered, steer, stream
from .tokens import TokenizedText, check_length, tokenize

__all__ = [
    "Completion",
    "Edit",
    "FeatureEdits",
    "Finished",
    "GrowingText",
    "HooksOf",
    "NewToken",
    "Sampling",
    "Steered",
    "TokenizedText",
    "When",
    "check_fits",
    "check_length",
    "hooks_of",
    "steer",
    "stream",
    "tokenize",
]
