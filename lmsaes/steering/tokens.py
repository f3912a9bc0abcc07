"""A text as a model's tokens: ids, strings, places in the text, and which are special."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lmsaes.errors import ConfigError
from lmsaes.model import LanguageModel
from lmsaes.text import strings_of


@dataclass(frozen=True)
class TokenizedText:
    """Tokens of a text, each with where it stands there."""

    token_ids: list[int]
    tokens: list[str]  # as they stand in running text, what is no whole character as `\\x..`
    offsets: list[tuple[int, int] | None]
    """Start and end in the text, in characters; None for what was added, and without a text."""
    special: list[bool]
    bos_added: bool

    def __len__(self) -> int:
        return len(self.token_ids)


def tokenize(
    lm: LanguageModel, text: str | Sequence[int], bos: bool | None = None
) -> TokenizedText:
    """A text, or token ids, as the model takes it.

    bos: begin with the beginning-of-text token; by default where the tokenizer has one and the
    text doesn't begin with it, and never before token ids. Raises ConfigError for an empty text, an
    id that the model has not, and where the tokenizer has no such token.
    """
    tokenizer = lm.tokenizer
    offsets: list[tuple[int, int] | None]
    if isinstance(text, str):
        if tokenizer is None:
            raise ConfigError("the model has no tokenizer", "give token ids instead of a text")
        fast = bool(getattr(tokenizer, "is_fast", False))
        found: Any = tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=fast, verbose=False
        )
        ids = list(found["input_ids"])
        offsets = [tuple(pair) for pair in found["offset_mapping"]] if fast else [None] * len(ids)
    else:
        ids, bos = [int(i) for i in text], bool(bos)
        offsets = [None] * len(ids)
        for token in ids:
            if not 0 <= token < lm.vocabulary:
                raise ConfigError(
                    f"the model has no token {token}", f"ids are 0 to {lm.vocabulary - 1}"
                )
    first: Any = None if tokenizer is None else tokenizer.bos_token_id
    if bos and first is None:
        raise ConfigError("the model's tokenizer has no beginning-of-text token", "leave bos out")
    wanted = first is not None if bos is None else bos
    added = wanted and ids[:1] != [first]
    if added:
        ids, offsets = [first, *ids], [None, *offsets]
    if not ids:
        raise ConfigError("there is no text", "give a text of at least one token")
    special = set(special_ids(lm))
    return TokenizedText(
        token_ids=ids,
        tokens=strings_of(tokenizer, ids),
        offsets=offsets,
        special=[i in special for i in ids],
        bos_added=added,
    )


def special_ids(lm: LanguageModel) -> list[int]:
    """The ids of the model's special tokens; none where it has no tokenizer."""
    return [] if lm.tokenizer is None else list(lm.tokenizer.all_special_ids)


def check_length(lm: LanguageModel, count: int) -> None:
    """Raises ConfigError for more tokens than the model takes at once."""
    longest = lm.max_context
    if longest is not None and count > longest:
        raise ConfigError(
            f"{count} tokens are more than the {longest} that {lm.record.name} takes",
            "give a shorter text or ask for fewer tokens",
        )
