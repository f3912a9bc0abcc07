"""The text of a cache again: its contexts' token ids, from the datasets that its manifest names."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmsaes.cache import Manifest
from lmsaes.errors import DataError
from lmsaes.provenance import DatasetRecord, TextPosition, TextRecord
from lmsaes.text import ContextStream, TextSource, reopen, tokenizer_facts
from lmsaes.units import format_count

_CONTEXTS_AT_ONCE = 1024  # of those that are passed over
_MOST_PASSED_OVER = 20_000_000  # tokens, for one context


@dataclass(frozen=True)
class _Stretch:
    """Contexts `start` to `stop` of the cache, which follow each other in a text from its
    context `first` on."""

    text: TextRecord
    start: int
    stop: int
    first: int


def retokenize(
    manifest: Manifest, contexts: Sequence[int], tokenizer: Any, vocabulary: int
) -> dict[int, np.ndarray]:
    """The token ids, int32 [context_size], of each of `contexts` as its text has them now.

    Text is packed from the nearest place that the manifest knows. Raises DataError when the text
    can't be had or has changed, the tokenizer is another, or no known place is near.
    """
    found: dict[int, np.ndarray] = {}
    tokenizer_hash = tokenizer_facts(tokenizer).hash
    for stretch in _stretches(manifest):
        wanted = sorted(c for c in contexts if stretch.start <= c < stretch.stop)
        if wanted and stretch.text.tokenizer_hash != tokenizer_hash:
            raise DataError("the model's tokenizer is not the one that the cache was made with")
        if wanted:
            sources = _sources(stretch.text)
            known = _known_places(manifest, stretch)
            for context, tokens in _read(stretch, wanted, known, sources, tokenizer, vocabulary):
                found[context] = tokens
    return found


def _stretches(manifest: Manifest) -> Iterator[_Stretch]:
    start = 0
    for source in manifest.sources:
        yield _Stretch(source.text, start, start + source.contexts, source.first_context)
        start += source.contexts
    if start < manifest.contexts:  # all of it, or what was added to a copy of its beginning
        yield _Stretch(manifest.text, start, manifest.contexts, start)


def _sources(text: TextRecord) -> list[TextSource]:
    alone = DatasetRecord(**text.model_dump(include=set(DatasetRecord.model_fields)))
    return [reopen(record, text.shuffled, text.seed) for record in text.mixture or (alone,)]


def _known_places(manifest: Manifest, stretch: _Stretch) -> dict[int, TextPosition | None]:
    """Where the text stands before some of its contexts."""
    known: dict[int, TextPosition | None] = {0: None}
    for shard in manifest.shards:
        end = shard.first_context + shard.contexts
        if shard.text_end is not None and stretch.start < end <= stretch.stop:
            known[stretch.first + end - stretch.start] = shard.text_end
    return known


def _read(
    stretch: _Stretch,
    wanted: Sequence[int],
    known: dict[int, TextPosition | None],
    sources: Sequence[TextSource],
    tokenizer: Any,
    vocabulary: int,
) -> Iterator[tuple[int, np.ndarray]]:
    at, stream = -1, None
    for context in wanted:
        number = stretch.first + context - stretch.start
        nearest = max(place for place in known if place <= number)
        if stream is None or nearest > at:
            at = nearest
            stream = ContextStream(sources, tokenizer, stretch.text, vocabulary, known[nearest])
        if (over := (number - at) * stretch.text.context_size) > _MOST_PASSED_OVER:
            raise DataError(
                f"context {context} comes {format_count(over)} tokens after the nearest place of "
                "the text that the manifest knows"
            )
        while at < number:
            passed = len(stream.take(min(_CONTEXTS_AT_ONCE, number - at)))
            if passed == 0:
                break
            at += passed
        taken = stream.take(1)
        if len(taken) == 0:
            raise DataError(f"the text of '{stretch.text.dataset}' ends before context {context}")
        at += 1
        yield context, taken.tokens[0]
