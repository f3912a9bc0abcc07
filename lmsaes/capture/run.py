"""Stage one: text × language model ─► activation cache, on one rank or several.

CaptureConfig ─► plan.py ─► what is there ─► CacheWriter
text ─► contexts (a thread ahead) ─► forward to the last hook ─► CacheWriter (threads behind)
"""

import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import torch

from lmsaes.atomic import check_writable
from lmsaes.cache import (
    CAPTURE_CONFIG,
    ActivationCache,
    CacheWriter,
    Location,
    Lock,
    Manifest,
    extended_manifest,
    locate,
    lock_cache,
    only_zarr,
    read_manifest,
    remove_cache,
    valid_positions,
    without_readers,
    write_manifest,
)
from lmsaes.capture.config import CaptureConfig
from lmsaes.capture.inputs import open_inputs
from lmsaes.capture.plan import announce, config_of, holds_cache, plan_cache, say_finished
from lmsaes.configuration import takes, write_config
from lmsaes.errors import CacheError, ConfigError
from lmsaes.model import LanguageModel
from lmsaes.parallel import Ranks, iterate_ahead, join_ranks
from lmsaes.progress import Phase, ProgressReporter, progress
from lmsaes.provenance import TextPosition
from lmsaes.text import Contexts, ContextStream
from lmsaes.units import format_count

_log = logging.getLogger("lmsaes")
_BATCHES_AHEAD = 8
_CONTEXTS_AT_ONCE = 1024  # of those that are passed over

OpenText = Callable[[TextPosition | None], ContextStream]
"""Gives the text from a position on, or from its start."""


@takes(CaptureConfig)
def cache_activations(
    model: str,
    dataset: str | Sequence[str],
    hooks: str | Sequence[str],
    out: str | Path,
    *,
    overwrite: bool = False,
    **settings: Any,
) -> ActivationCache:
    """Runs a language model over text once and stores what its hooks saw: `lmsaes cache`.

    The settings are those of `CaptureConfig`, listed below; counts and sizes may be texts such as
    "100M" and "512MiB". `capture.toml` in the cache's folder keeps them.

    Going on with an unfinished cache takes the same arguments and ends in the same bytes; a
    finished one is returned as it is. More tokens, or hooks that it does not hold yet, are added
    to what is there. Started by `torchrun`, all processes write one cache together.

    Raises ConfigError, ModelError, DataError, CacheError or RankError, each with one line that
    says what is wrong; what is committed is never touched by them.

    model: name or local folder of the language model
    dataset: where the text is; several make a mixture
    hooks: hook points or globs
    out: folder of the cache, or the URL of a place in an object store
    overwrite: replace the cache that is there
    """
    config = CaptureConfig.of(
        {"model": model, "dataset": dataset, "hooks": hooks, "out": out, **settings}
    )
    folder = locate(config.out)
    if config.format == "safetensors" and not isinstance(folder, Path):
        raise only_zarr(folder)
    try:
        there = holds_cache(folder)
    except OSError as error:
        raise CacheError(f"can't read {folder}: {error.strerror}") from None
    found = read_manifest(folder) if there and not overwrite else None
    if found is None and isinstance(folder, Path):
        check_writable(folder)  # before a model is loaded
    inputs = open_inputs(config, config.hooks)
    lm = inputs.lm
    wanted = plan_cache(config, found, lm, inputs.shapes, inputs.sources)
    target = wanted
    if found is not None:
        target = extended_manifest(folder, found, wanted, config.allow_compute_change)
        if target is found:
            say_finished(folder, found, wanted)
            return ActivationCache.open(folder)

    def open_text(start: TextPosition | None) -> ContextStream:
        return inputs.open_text(wanted.text, start)

    with join_ranks() as ranks:
        batch = wanted.compute.batch_size
        if ranks.rank == 0:
            announce(folder, found, target, batch, lm, ranks)
        kept = config_of(config, target, batch)
        with _begin(folder, found, target, kept, ranks) as lock:
            arguments = (config.allow_nonfinite, ranks, lock, wanted.compute)
            if target.adding:
                with CacheWriter(folder, target, *arguments) as writer:
                    add_hooks(writer, lm, ActivationCache.open(folder), _tokens_to_add(target))
                    target = writer.manifest
            if not target.complete:
                with CacheWriter(folder, target, *arguments) as writer:
                    fill(writer, lm, open_text)
    return ActivationCache.open(folder)


@contextmanager
def _begin(
    folder: Location, found: Manifest | None, target: Manifest, kept: CaptureConfig, ranks: Ranks
) -> Generator[Lock | None]:
    """Holds the cache's lock while all ranks work, with `target` and `kept` written down."""
    if ranks.rank > 0:
        ranks.wait()
        yield None
        return
    with lock_cache(folder) as lock:
        if found is not None and read_manifest(folder) != found:
            raise CacheError(f"another process has just changed {folder}", "run it again")
        if found is None:
            with without_readers(folder):
                remove_cache(folder)  # with --overwrite there may be one
        write_manifest(folder, target)
        write_config(folder / CAPTURE_CONFIG, kept)
        ranks.wait()
        yield lock


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
        for batch, position in iterate_ahead(_batches(text, writer), _BATCHES_AHEAD, "text"):
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
    if writer.ranks.rank == 0:
        _say_empty(manifest, text.stream)
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


def add_hooks(
    writer: CacheWriter, lm: LanguageModel, cache: ActivationCache, tokens_after: int
) -> None:
    """Writes the hooks that are to be added for the contexts of `cache`, or this rank's share.

    The tokens are those of the cache itself, in the batches that they were in before. tokens_after:
    those that the same command then adds.
    """
    hooks, step = list(writer.manifest.adding), writer.compute.batch_size
    if writer.lacks_channels and writer.ranks.size > 1:
        if writer.ranks.rank == 0:
            tokens = cache.tokens(0, _batch_at(writer, 0))
            writer.fix_channels(lm.activations(tokens, hooks), cache.valid_positions(tokens))
        writer.meet()
    spans = [writer.span(shard) for shard in writer.shards]
    then = [Phase("caching", tokens_after // writer.ranks.size, "tokens")] if tokens_after else []
    with _progress(writer, sum(contexts for _, contexts in spans), then) as bar:
        for first, contexts in spans:
            for start in range(first, first + contexts, step):
                tokens = cache.tokens(start, min(start + step, first + contexts))
                activations = lm.activations(tokens, hooks)
                writer.write(tokens, activations, cache.valid_positions(tokens), None)
                bar.advance(tokens.numel())
        writer.finish()


def _say_empty(manifest: Manifest, stream: ContextStream) -> None:
    """Says how many documents were empty; on several ranks another may have had the last ones."""
    counts = [(stream.documents, stream.empty)]
    if manifest.shards and (end := manifest.shards[-1].text_end) is not None:
        counts.append((end.document + 1, end.empty))
    documents, empty = max(counts)
    if empty:
        _log.warning(
            "cache: %s of %s documents are empty: their text is null, missing or of no length",
            f"{empty:,}",
            f"{documents:,}",
        )


def _tokens_to_add(target: Manifest) -> int:
    return (target.contexts_requested - target.contexts) * target.text.context_size


def _progress(
    writer: CacheWriter, left: int, then: Sequence[Phase] = ()
) -> AbstractContextManager[ProgressReporter]:
    """A bar over what there was and what this rank is to write; only the first rank shows one."""
    manifest, size = writer.manifest, writer.manifest.text.context_size
    what = "adding hooks" if manifest.adding else "caching"
    total = manifest.contexts if manifest.adding else manifest.contexts_requested
    if writer.ranks.size > 1:
        what, total = f"{what} (1 of {writer.ranks.size} ranks)", left
    done, shown = (total - left) * size, writer.ranks.rank == 0
    return progress(what, total * size, "tokens", done, shown, then)


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
