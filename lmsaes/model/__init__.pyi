"""What this room offers to others; `__init__.py` loads each name when it is first asked for."""

from ._compat import official_name
from .hooks import HookShape
from .language_model import LanguageModel, Weights, check_dtype, load_tokenizer, resolve_device

__all__ = [
    "HookShape",
    "LanguageModel",
    "Weights",
    "check_dtype",
    "load_tokenizer",
    "official_name",
    "resolve_device",
]
