"""What the stages need to know of a Hugging Face tokenizer."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lmsaes.text._compat import bytes_of_characters


@dataclass(frozen=True)
class TokenizerFacts:
    """What packing needs to know of a tokenizer."""

    hash: str
    bos_id: int | None
    eos_id: int | None
    pad_id: int | None
    special_ids: tuple[int, ...]


def tokenizer_facts(tokenizer: Any) -> TokenizerFacts:
    """The hash and special ids of a Hugging Face tokenizer."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    text = backend.to_str() if backend else json.dumps(tokenizer.get_vocab(), sort_keys=True)
    return TokenizerFacts(
        hash=hashlib.sha256(text.encode()).hexdigest()[:16],
        bos_id=tokenizer.bos_token_id,
        eos_id=tokenizer.eos_token_id,
        pad_id=tokenizer.pad_token_id,
        special_ids=tuple(sorted(set(tokenizer.all_special_ids))),
    )


def token_strings(tokenizer: Any, size: int) -> list[str]:
    """Each token id's text as it stands in running text, leading space included.

    A token that is only part of a character is written as its bytes, `\\xe2`.
    """
    # not its length: ids may have gaps
    known = min(size, 1 + max(tokenizer.get_vocab().values(), default=-1))
    return strings_of(tokenizer, range(known)) + [f"[{index}]" for index in range(known, size)]


def strings_of(tokenizer: Any, ids: Sequence[int]) -> list[str]:
    """As `token_strings`, of these ids alone."""
    # Decoded alone, many tokenizers drop a leading space: decode after an anchor and cut it off.
    anchor = tokenizer.encode("a", add_special_tokens=False)
    prefix = tokenizer.decode(anchor)
    texts = tokenizer.batch_decode([[*anchor, i] for i in ids], clean_up_tokenization_spaces=False)
    strings = [text.removeprefix(prefix) for text in texts]
    names = tokenizer.convert_ids_to_tokens(list(ids))
    for place, text in enumerate(strings):
        if names[place] is None:  # an id that the tokenizer leaves out
            strings[place] = f"[{ids[place]}]"
        elif "�" in text:
            strings[place] = _byte_escapes(names[place])
    return strings


def _byte_escapes(name: str) -> str:
    """A byte-level token's name as text, with what is no whole character as `\\x..`."""
    to_byte = bytes_of_characters()
    if any(character not in to_byte for character in name):
        return name
    return bytes(to_byte[c] for c in name).decode("utf-8", errors="backslashreplace")
