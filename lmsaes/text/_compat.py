"""Private parts of other libraries that this room touches, and no other file of it.

Seen in datasets 5.2 and transformers 5.24.
"""

from typing import Any


def fingerprint_of(data: Any) -> str | None:
    """What `datasets` tells one state of a dataset from another by; None where it has none."""
    value = getattr(data, "_fingerprint", None)
    return None if value is None else str(value)


def bytes_of_characters() -> dict[str, int]:
    """By the character that byte-level tokenizers write for it, each byte."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    return {character: byte for byte, character in bytes_to_unicode().items()}
