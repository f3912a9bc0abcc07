"""A Hugging Face tokenizer: what the stages need to know of it, and documents as its token ids."""

import hashlib
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmsaes.errors import ModelError, first_line
from lmsaes.provenance import SpecialTokens
from lmsaes.text._compat import bytes_of_characters
from lmsaes.text.datasets import TextSource
from lmsaes.text.long_text import WINDOW, tokenize_long
from lmsaes.text.rows import TextFile

# Batches grow from the first, so that a short run, or the first context of a long one, waits for
# little text to be tokenized.
_FIRST_BATCH_CHARACTERS, _BATCH_CHARACTERS = 1 << 14, 1 << 20

TokenIds = list[Any] | np.ndarray


@dataclass(frozen=True)
class TokenizerFacts:
    """What packing needs to know of a tokenizer."""

    hash: str
    bos_id: int | None
    eos_id: int | None
    pad_id: int | None
    special_ids: tuple[int, ...]


def tokenizer_facts(tokenizer: Any) -> TokenizerFacts:
    """The hash and special ids of a Hugging Face tokenizer; None is a model's that has none."""
    if tokenizer is None:
        return TokenizerFacts("none", None, None, None, ())
    backend = getattr(tokenizer, "backend_tokenizer", None)
    text = backend.to_str() if backend else json.dumps(tokenizer.get_vocab(), sort_keys=True)
    return TokenizerFacts(
        hash=hashlib.sha256(text.encode()).hexdigest()[:16],
        bos_id=tokenizer.bos_token_id,
        eos_id=tokenizer.eos_token_id,
        pad_id=tokenizer.pad_token_id,
        special_ids=tuple(sorted(set(tokenizer.all_special_ids))),
    )


class Encoder:
    """Documents as token ids, the shorter ones in batches.

    special_tokens: whether special tokens that are spelled in a text are text, or those tokens.
    """

    def __init__(self, tokenizer: Any, special_tokens: SpecialTokens) -> None:
        self._tokenizer = tokenizer
        self._settings = {
            "add_special_tokens": False,
            "return_attention_mask": False,
            "verbose": False,
            "split_special_tokens": special_tokens == "text",
        }

    def encode(self, source: TextSource, start: int) -> Iterator[tuple[TokenIds, bool]]:
        """(token ids, whether the document ends) for each part of each document from `start` on.

        Raises DataError for what can't be read, ModelError for text without a tokenizer.
        """
        batch: list[str | TokenIds] = []
        size, enough = 0, _FIRST_BATCH_CHARACTERS
        for number, document in enumerate(source.documents(start), start):
            if isinstance(document, TextFile) or (
                isinstance(document, str) and len(document) > WINDOW
            ):
                yield from self._encode_batch(batch)
                yield from self._encode_long(document, source, number)
                batch, size = [], 0
                continue
            batch.append(document)
            size += len(document)
            if size >= enough:
                yield from self._encode_batch(batch)
                batch, size, enough = [], 0, min(2 * enough, _BATCH_CHARACTERS)
        yield from self._encode_batch(batch)

    def _encode_batch(self, batch: list[str | TokenIds]) -> Iterator[tuple[TokenIds, bool]]:
        texts = [each for each in batch if isinstance(each, str) and each]
        ids = iter(self._call(texts) if texts else [])
        for each in batch:
            if isinstance(each, str):
                yield (next(ids) if each else []), True
            else:
                yield each, True

    def _encode_long(
        self, document: str | TextFile, source: TextSource, number: int
    ) -> Iterator[tuple[TokenIds, bool]]:
        self._check()
        parts = [document] if isinstance(document, str) else document
        found = tokenize_long(parts, self._tokenizer, self._settings, source.place(number))
        for ids, following in itertools.pairwise(itertools.chain(found, [None])):
            yield ids or [], following is None

    def _call(self, texts: list[str]) -> list[list[int]]:
        self._check()
        try:
            return self._tokenizer(texts, **self._settings)["input_ids"]
        except (NotImplementedError, ValueError) as error:
            raise ModelError(
                f"the model's tokenizer refuses: {first_line(error)}",
                "--special-tokens tokens may be all that it knows",
            ) from error

    def _check(self) -> None:
        if self._tokenizer is None:
            raise _no_tokenizer("the model")


def check_token_ids(source: TextSource, model: str) -> None:
    """Raises ModelError when a dataset is text, for which a model without a tokenizer is none."""
    holding = (each for each in source.documents(0) if not isinstance(each, str) or each)
    if isinstance(next(holding, None), str | TextFile):
        raise _no_tokenizer(f"'{model}'")


def _no_tokenizer(model: str) -> ModelError:
    return ModelError(
        f"{model} has no tokenizer (no tokenizer.json or other vocabulary), and the dataset is "
        "text",
        "put the tokenizer's files beside the model's, or give a dataset of token ids",
    )


def token_strings(tokenizer: Any, size: int) -> list[str]:
    """Each token id's text as it stands in running text, leading space included.

    A token that is only part of a character is written as its bytes, `\\xe2`. Without a tokenizer
    (None), and for ids that it has not, it is `[id]`.
    """
    if tokenizer is None:
        return [f"[{index}]" for index in range(size)]
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
