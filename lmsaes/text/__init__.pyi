"""What this room offers to others; `__init__.py` loads each name when it is first asked for."""

from .datasets import TextSource, load_mixture, reopen
from .packing import Contexts, ContextStream
from .tokenizer import (
    TokenizerFacts,
    check_token_ids,
    strings_of,
    token_strings,
    tokenizer_facts,
)

__all__ = [
    "ContextStream",
    "Contexts",
    "TextSource",
    "TokenizerFacts",
    "check_token_ids",
    "load_mixture",
    "reopen",
    "strings_of",
    "token_strings",
    "tokenizer_facts",
]
