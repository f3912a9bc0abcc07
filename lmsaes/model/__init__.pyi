"""What this room offers to others; `__init__.py` loads each name when it is first asked for."""

from ._compat import official_name, unwrapped
from .forward import differ_by_rounding
from .hooks import HookShape
from .intervene import Edit, Entry, PatchedForward, patched_forward, replaced_at
from .language_model import LanguageModel, Weights, check_dtype, load_tokenizer, resolve_device
from .parts import BlockParts, Gain, Heads, Neurons, Place, block_parts

__all__ = [
    "BlockParts",
    "Edit",
    "Entry",
    "Gain",
    "Heads",
    "HookShape",
    "LanguageModel",
    "Neurons",
    "PatchedForward",
    "Place",
    "Weights",
    "block_parts",
    "check_dtype",
    "differ_by_rounding",
    "load_tokenizer",
    "official_name",
    "patched_forward",
    "replaced_at",
    "resolve_device",
    "unwrapped",
]
