"""Long texts, tokenized in overlapping windows to what tokenizing them at once would give.

    text     ───────────────────────────────────────────────────────────
    window 1 ├──────────────────────────┤
    window 2                    ├──────────────────────────┤
                                  ▲ a run of tokens in which both agree: on from there, window 2's

What a window's first tokens owe to its beginning (a dummy prefix, half a word) is not used, nor
what its last owe to its end. Where the encoding of a text depends on its neighborhood alone, as a
pre-tokenizer's and BPE's do, tokens on both sides of an agreement are those of the whole text.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmsaes.errors import DataError
from lmsaes.units import format_count

WINDOW = 1 << 18
"""Characters of a window; shorter texts are tokenized at once."""

_OVERLAP = 1 << 13
_RUN = 32  # tokens that have to agree
_WINDOWS_AT_ONCE = 4
_LARGEST = 1 << 21  # a window's tokens take up to 200 bytes a character


@dataclass(frozen=True)
class _Window:
    """Tokens of the characters `start` to `stop`, with the characters that each stands for."""

    start: int
    stop: int
    ids: list[int]
    spans: np.ndarray  # int64 [tokens, 2], in the whole text's characters


def tokenize_long(
    parts: Iterable[str], tokenizer: Any, settings: dict[str, Any], place: str
) -> Iterator[list[int]]:
    """The token ids of a text of any length, which comes in parts.

    settings: of the tokenizer's call. place: the text's name. Raises DataError for a text whose
    windows agree nowhere, which only one without any structure does.
    """
    if not tokenizer.is_fast:  # it has no offsets
        yield tokenizer(["".join(parts)], **settings)["input_ids"][0]
        return
    text = _Text(parts)

    def encode(spans: list[tuple[int, int]]) -> list[_Window]:
        found = tokenizer(
            [text[start:stop] for start, stop in spans], return_offsets_mapping=True, **settings
        )
        return [
            _Window(start, stop, ids, np.array(offsets, np.int64).reshape(-1, 2) + start)
            for (start, stop), ids, offsets in zip(
                spans, found["input_ids"], found["offset_mapping"], strict=True
            )
        ]

    held = encode([(0, text.reach(WINDOW))])[0]
    skip = 0
    while text.reach(held.stop + 1) > held.stop:
        text.forget(held.start)
        for window in encode(_spans_after(held.stop, text)):
            agreed = _agreement(held, window)
            if agreed is None:
                larger = 2 * (held.stop - held.start)
                if larger > _LARGEST:
                    raise DataError(
                        f"{place} can't be tokenized in parts: there is no word to part at in "
                        f"{format_count(held.stop - held.start)} characters",
                        "is it text? Leave it out, or break its lines",
                    )
                held = encode([(held.start, text.reach(held.start + larger))])[0]
                break
            yield held.ids[skip : agreed[0]]
            held, skip = window, agreed[1]
    yield held.ids[skip:]


def _spans_after(stop: int, text: "_Text") -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    while len(spans) < _WINDOWS_AT_ONCE:
        start = stop - _OVERLAP
        reached = text.reach(start + WINDOW)
        if reached <= stop:
            break
        spans.append((start, reached))
        stop = reached
    return spans


def _agreement(before: _Window, after: _Window) -> tuple[int, int] | None:
    """The first tokens, in either window, of a run that both have in the middle of the overlap."""
    middle = (after.start + before.stop) // 2
    first = int(np.searchsorted(before.spans[:, 0], middle - _OVERLAP // 4))
    last = int(np.searchsorted(before.spans[:, 0], middle + _OVERLAP // 4))
    for i in range(first, last - _RUN):
        j = int(np.searchsorted(after.spans[:, 0], before.spans[i, 0]))
        same = before.ids[i : i + _RUN] == after.ids[j : j + _RUN]
        if same and np.array_equal(before.spans[i : i + _RUN], after.spans[j : j + _RUN]):
            return i, j
    return None


class _Text:
    """A text by its characters' numbers, of which no more is held than is asked for."""

    def __init__(self, parts: Iterable[str]) -> None:
        self._parts = iter(parts)
        self._held, self._first = "", 0

    def reach(self, stop: int) -> int:
        """Reads up to `stop`; where that is, or where the text ends before."""
        more: list[str] = []
        have = self._first + len(self._held)
        while have < stop and (part := next(self._parts, None)) is not None:
            more.append(part)
            have += len(part)
        if more:
            self._held = "".join([self._held, *more])
        return min(stop, have)

    def forget(self, start: int) -> None:
        """Nothing before `start` will be asked for."""
        if 2 * (start - self._first) > len(self._held):  # so that each is moved but once or twice
            self._held, self._first = self._held[start - self._first :], start

    def __getitem__(self, span: slice) -> str:
        return self._held[span.start - self._first : span.stop - self._first]
