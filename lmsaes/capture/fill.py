"""Stage one's loop: contexts of text through the language model into the cache's writer.

text ─► contexts (a thread ahead) ─► forward to the last hook ─► CacheWriter (threads behind)
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from queue import Queue

import torch

from lmsaes.cache import ActivationCache, CacheWriter, valid_positions
from lmsaes.errors import ConfigError
from lmsaes.model import LanguageModel
from lmsaes.progress import ProgressReporter, progress
from lmsaes.provenance import TextPosition
from lmsaes.text import Contexts, ContextStream
from lmsaes.units import format_count

_log = logging.getLogger("lmsaes")
_CONTEXTS_AT_ONCE = 1024  # of those that are passed over

OpenText = Callable[[TextPosition | None], ContextStream]
"""Gives the text from a position on, or from its start."""


def fill(writer: CacheWriter, lm: LanguageModel, open_text: OpenText) -> None:
    """Writes the contexts that the manifest asks for and the text holds, or this rank's share."""
    manifest = writer.manifest
    hooks, size = list(manifest.hooks), manifest.text.context_size
    special = manifest.text.special_ids
    if writer.lacks_channels and writer.ranks.size > 1:
        # the first batch decides for all, and only one rank will come by it
        if writer.ranks.rank == 0:
            tokens = torch.from_numpy(open_text(None).take(_batch_at(writer, 0)).tokens)
            activations = lm.activations(tokens.long(), hooks)
            writer.fix_channels(activations, valid_positions(tokens, special))
        writer.meet()
    left = sum(writer.span(shard)[1] for shard in writer.shards)
    text, position = _Text(open_text), None
    with _progress(writer, left) as bar:
        for batch, position in _ahead(_batches(text, writer)):
            tokens = torch.from_numpy(batch.tokens)
            writer.write(
                tokens,
                lm.activations(tokens.long(), hooks),
                valid_positions(tokens, special),
                position,
                torch.from_numpy(batch.documents) if manifest.documents else None,
            )
            left -= len(batch)
            bar.advance(tokens.numel())
        asked = manifest.contexts_requested
        writer.finish(position, exhausted=left > 0)
    manifest = writer.manifest
    if manifest.text_exhausted:
        if manifest.contexts == 0:
            raise ConfigError(
                f"the text of '{manifest.text.dataset}' does not fill one context of {size} tokens",
                "use more text or a smaller --context-size",
            )
        several = bool(manifest.text.mixture)
        if writer.ranks.rank == 0:
            _log.warning(
                "cache: the text%s ended after %s of %s tokens; the cache holds what there was",
                f" of '{text.stream.ended_by}'" if text.stream.ended_by and several else "",
                format_count(manifest.contexts * size),
                format_count(asked * size),
            )


def add_hooks(writer: CacheWriter, lm: LanguageModel, cache: ActivationCache) -> None:
    """Writes the hooks that are to be added for the contexts of `cache`, or this rank's share.

    The tokens are those of the cache itself, in the batches that they were in before.
    """
    hooks, step = list(writer.manifest.adding), writer.compute.batch_size
    if writer.lacks_channels and writer.ranks.size > 1:
        if writer.ranks.rank == 0:
            tokens = cache.tokens(0, _batch_at(writer, 0))
            writer.fix_channels(lm.activations(tokens, hooks), cache.valid(tokens))
        writer.meet()
    spans = [writer.span(shard) for shard in writer.shards]
    with _progress(writer, sum(contexts for _, contexts in spans)) as bar:
        for first, contexts in spans:
            for start in range(first, first + contexts, step):
                tokens = cache.tokens(start, min(start + step, first + contexts))
                activations = lm.activations(tokens, hooks)
                writer.write(tokens, activations, cache.valid(tokens), None)
                bar.advance(tokens.numel())
        writer.finish()


def _progress(writer: CacheWriter, left: int) -> AbstractContextManager[ProgressReporter]:
    """A bar over what there was and what this rank is to write; only the first rank shows one."""
    manifest, size = writer.manifest, writer.manifest.text.context_size
    what = "adding hooks" if manifest.adding else "caching"
    total = manifest.contexts if manifest.adding else manifest.contexts_requested
    if writer.ranks.size > 1:
        what, total = f"{what} (1 of {writer.ranks.size} ranks)", left
    return progress(what, total * size, "tokens", (total - left) * size, writer.ranks.rank == 0)


def _batch_at(writer: CacheWriter, shard: int) -> int:
    """Contexts of the first batch of a shard."""
    return min(writer.compute.batch_size, writer.span(shard)[1])


class _Text:
    """The text where it stands now."""

    def __init__(self, open_text: OpenText) -> None:
        self._open_text, self.stream = open_text, open_text(None)

    def jump(self, position: TextPosition | None) -> None:
        self.stream = self._open_text(position)


def _batches(text: _Text, writer: CacheWriter) -> Iterator[tuple[Contexts, TextPosition]]:
    """Batches of the contexts to write, cut so that none straddles a shard.

    What is there already, or other ranks write, is passed over: by a jump where it is known where
    the text stood after it, else by packing it.
    """
    manifest, ends = writer.manifest, writer.text_ends
    step, spans = writer.compute.batch_size, [writer.span(shard) for shard in writer.shards]
    at = 0  # the context that the text stands before
    for first, contexts in spans:
        known = [s for s, end in ends.items() if end is not None]
        before = [(s + 1) * manifest.shard_contexts for s in known]
        nearest = max((c for c in before if at < c <= first), default=None)
        if nearest is not None:
            text.jump(ends[nearest // manifest.shard_contexts - 1])
            at = nearest
        while at < first:
            skipped = len(text.stream.take(min(_CONTEXTS_AT_ONCE, first - at)))
            if skipped == 0:
                return
            at += skipped
        while at < first + contexts:
            batch = text.stream.take(min(step, first + contexts - at))
            if len(batch) == 0:
                return
            at += len(batch)
            yield batch, text.stream.position


def _ahead(
    items: Iterator[tuple[Contexts, TextPosition]],
) -> Iterator[tuple[Contexts, TextPosition]]:
    """The same items, made by a thread that runs a few items ahead."""
    queue: Queue[tuple[Contexts, TextPosition] | BaseException | None] = Queue(8)
    closed = threading.Event()

    def work() -> None:
        try:
            for item in items:
                if closed.is_set():
                    return
                queue.put(item)
            queue.put(None)
        except BaseException as error:
            queue.put(error)

    thread = threading.Thread(target=work, name="text", daemon=True)
    thread.start()
    try:
        while (item := queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        closed.set()
        while not queue.empty():
            queue.get_nowait()
