"""Copying contexts from caches into a new one: what convert, slice and merge have in common.

    blocks of the sources (read ahead by threads) ─► CacheWriter ─► a cache of its own

A copy is streamed and can be interrupted: the same call goes on and ends in the same bytes. The
sources are only read.
"""

import itertools
import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel
from torch import Tensor

from lmsaes.cache import (
    ActivationCache,
    CacheWriter,
    Compression,
    HookRecord,
    Location,
    Manifest,
    SourceRecord,
    StorageDtype,
    StorageFormat,
    array_specs,
    bytes_per_value,
    check_room,
    contexts_per_block,
    read_channels,
    write_channels,
)
from lmsaes.errors import CacheError, ConfigError
from lmsaes.parallel import map_ahead
from lmsaes.progress import progress
from lmsaes.provenance import TextPosition, TextRecord
from lmsaes.units import format_bytes, format_count, parse_bytes

from .target import check_apart, continue_or_start

_log = logging.getLogger("lmsaes")
_READ_AHEAD = 4
_Record = TypeVar("_Record", bound=BaseModel)


@dataclass(frozen=True)
class Run:
    """Contexts `start` to `stop` of a cache."""

    cache: ActivationCache
    start: int
    stop: int


@dataclass(frozen=True)
class CopyReport:
    """The finished copy, and how many contexts this call has written of it."""

    cache: ActivationCache
    written: int


def plan(
    runs: Sequence[Run],
    hooks: Sequence[str] | None = None,
    format: StorageFormat | None = None,
    dtype: StorageDtype | None = None,
    compression: Compression | None = None,
    shard_size: int | str | None = None,
    block_size: int | str | None = None,
) -> Manifest:
    """The manifest of a copy of `runs` one after the other; None keeps what the first has.

    shard_size, block_size: bytes of the widest hook, in its new dtype and at two bytes a value.
    Raises ConfigError for what can't be.
    """
    first = runs[0].cache.manifest
    records = {h: _unwritten(first.hooks[h], dtype) for h in hooks or first.hooks}
    into = format or first.format
    if into == "safetensors" and compression not in (None, "none"):
        raise ConfigError(f"compression '{compression}' needs zarr", "add --format zarr")
    sources = [source for run in runs for source in _sources(run, list(records))]
    size = first.text.context_size
    block, shard = first.block_contexts, first.shard_contexts
    if block_size is not None:
        widest = max(r.d_model for r in records.values())
        block = contexts_per_block(parse_bytes(block_size), size * widest)
    if shard_size is not None:
        context = max(r.d_model * bytes_per_value(r.dtype) for r in records.values()) * size
        shard = parse_bytes(shard_size) // context
    return Manifest(
        format=into,
        compression=(compression or first.compression) if into == "zarr" else "none",
        model=first.model,
        text=_joined([source.text for source in sources]),
        compute=_joined([source.compute for source in sources]),
        documents=all(run.cache.manifest.documents for run in runs),
        hooks=records,
        block_contexts=block,
        shard_contexts=max(1, round(shard / block)) * block,
        contexts_requested=sum(run.stop - run.start for run in runs),
        text_exhausted=any(run.cache.manifest.text_exhausted for run in runs),
        sources=sources,
        versions=first.versions,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def copy(runs: Sequence[Run], folder: Location, wanted: Manifest) -> CopyReport:
    """Writes the cache that `plan` gave to `folder`, or what is still missing of it there.

    Raises CacheError when the folder holds something else, ConfigError when the disk is too
    small, and whatever reading the sources and writing raise.
    """
    if wanted.format == "safetensors" and not isinstance(folder, Path):
        raise ConfigError(
            f"a cache in an object store is zarr, and {folder} would be safetensors",
            "write it with: lmsaes tools convert --format zarr",
        )
    for run in runs:
        check_apart(folder, run.cache.path)
    manifest = continue_or_start(folder, wanted)
    if manifest.complete:
        return CopyReport(ActivationCache.open(folder), 0)
    _announce(folder, manifest)
    if manifest.contexts == 0:
        _keep_channels(runs[0].cache, folder, wanted)
    # what float32 or the same dtype held before, not finite or not, can be kept as it is
    exact = all(
        record.dtype in ("float32", run.cache.hooks[hook].dtype)
        for hook, record in manifest.hooks.items()
        for run in runs
    )
    with CacheWriter(folder, manifest, allow_nonfinite=exact) as writer, ExitStack() as stack:
        spans, asked = [writer.span(shard) for shard in writer.shards], manifest.contexts_requested
        left = sum(contexts for _, contexts in spans)
        bar = stack.enter_context(progress("copying", asked, "contexts", asked - left))
        for batch in _batches(runs, manifest, spans):
            writer.write(
                batch.tokens, batch.activations, batch.valid, batch.text_end, batch.documents
            )
            bar.advance(len(batch.tokens))
        writer.finish()
    return CopyReport(ActivationCache.open(folder), left)


def _announce(folder: Location, manifest: Manifest) -> None:
    """Says what is about to happen, and refuses when the disk is too small."""
    context_bytes = sum(spec.context_bytes for spec in array_specs(manifest).values())
    left = (manifest.contexts_requested - manifest.contexts) * context_bytes
    _log.info(
        "copy: %s tokens × %d hooks in %s, %s%s → %s: %s%s",
        format_count(manifest.contexts_requested * manifest.text.context_size),
        len(manifest.hooks),
        manifest.format,
        ", ".join(dict.fromkeys(record.dtype for record in manifest.hooks.values())),
        "" if manifest.compression == "none" else f", {manifest.compression}",
        folder,
        format_bytes(left),
        " still to be written" if manifest.contexts else "",
    )
    check_room(folder, left, "the copy", "make room, or choose another disk")


@dataclass(frozen=True)
class _Batch:
    tokens: Tensor
    activations: dict[str, Tensor]
    valid: Tensor
    text_end: TextPosition | None
    documents: Tensor | None


def _batches(
    runs: Sequence[Run], manifest: Manifest, spans: Sequence[tuple[int, int]]
) -> Iterator[_Batch]:
    """The contexts of `spans` (first, number), in order."""

    before = _documents_before(runs) if manifest.documents else [0] * len(runs)

    def read(index: int, start: int, stop: int) -> _Batch:
        cache = runs[index].cache
        tokens = cache.tokens(start, stop)
        rows = {hook: cache.activations(hook, start, stop) for hook in manifest.hooks}
        documents = None
        if manifest.documents:
            documents = cache.documents(start, stop)
            documents[documents >= 0] += before[index]
        return _Batch(
            tokens, rows, cache.valid_positions(tokens), _text_end(cache, stop), documents
        )

    pieces = itertools.chain.from_iterable(_pieces(runs, *span) for span in spans)
    yield from map_ahead(lambda piece: read(*piece), pieces, _READ_AHEAD, "read source")


def _documents_before(runs: Sequence[Run]) -> list[int]:
    """What to add to each run's document numbers, so that different texts share none."""
    firsts: dict[TextRecord, int] = {}
    count = 0
    for run in runs:
        first = firsts.setdefault(run.cache.manifest.text, count)
        for shard in run.cache.manifest.shards:
            start = max(run.start, shard.first_context)
            stop = min(run.stop, shard.first_context + shard.contexts)
            if start < stop:
                last = int(run.cache.documents(start, stop).max())
                count = max(count, first + last + 1)
    return [firsts[run.cache.manifest.text] for run in runs]


def _pieces(runs: Sequence[Run], first: int, contexts: int) -> Iterator[tuple[int, int, int]]:
    """A shard of the copy by run, cut at the sources' blocks: sums over batches come out the same
    wherever a copy was interrupted."""
    before = 0  # contexts of the copy before this run
    for index, run in enumerate(runs):
        at = run.start + max(0, first - before)
        end = min(run.start + first + contexts - before, run.stop)
        for block in run.cache.blocks():
            stop = min(block.first + block.contexts, end)
            if at < stop:
                yield index, at, stop
                at = stop
        before += run.stop - run.start


def _text_end(cache: ActivationCache, stop: int) -> TextPosition | None:
    """Where the text stood before context `stop`, which is known at the ends of shards."""
    for shard in cache.manifest.shards:
        if shard.first_context + shard.contexts == stop:
            return shard.text_end
    return None


def _sources(run: Run, hooks: Sequence[str]) -> Iterator[SourceRecord]:
    """What a copy's manifest says of a run: the run itself, or the parts it is a copy of."""
    manifest = run.cache.manifest
    records = {hook: manifest.hooks[hook] for hook in hooks}
    before = 0
    for source in manifest.sources:
        start, stop = max(run.start - before, 0), min(run.stop - before, source.contexts)
        before += source.contexts
        if start < stop:
            yield source.model_copy(
                update={
                    "content": manifest.content,
                    "first_context": source.first_context + start,
                    "contexts": stop - start,
                    "dtypes": {h: _appended(source.dtypes[h], records[h].dtype) for h in hooks},
                    "storage_errors": {
                        h: _added(source.storage_errors[h], run.cache.hooks[h].storage_error)
                        for h in hooks
                    },
                }
            )
    if (start := max(run.start, before)) < run.stop:  # what was not copied itself
        yield SourceRecord(
            content=manifest.content,
            text=manifest.text,
            compute=manifest.compute,
            other_compute=tuple(
                dict.fromkeys(
                    shard.compute
                    for shard in manifest.shards
                    if shard.compute and start < shard.stop and shard.first_context < run.stop
                )
            ),
            first_context=start,
            contexts=run.stop - start,
            dtypes={hook: (record.dtype,) for hook, record in records.items()},
            storage_errors={hook: run.cache.hooks[hook].storage_error for hook in records},
        )


def _appended(dtypes: tuple[StorageDtype, ...], dtype: StorageDtype) -> tuple[StorageDtype, ...]:
    return dtypes if dtypes[-1] == dtype else (*dtypes, dtype)


def _added(error: float | None, other: float | None) -> float | None:
    """Errors of roundings that know nothing of each other add up."""
    return None if error is None or other is None else error + other


def _joined(records: list[_Record]) -> _Record:
    """One record for several: texts that differ are joined, lists that do are left empty, and of
    other values the first is kept. The manifest's `sources` hold each record as it was."""
    first = records[0]
    update: dict[str, Any] = {}
    for name in type(first).model_fields:
        values = list(dict.fromkeys(getattr(record, name) for record in records))
        if len(values) > 1 and isinstance(values[0], tuple):
            update[name] = ()
        elif len(values) > 1 and all(isinstance(value, str | None) for value in values):
            update[name] = " + ".join(str(value) for value in values)
    return first.model_copy(update=update)


def _unwritten(record: HookRecord, dtype: StorageDtype | None) -> HookRecord:
    """A hook before anything of it is written. Eight bits go on with the channels they have."""
    channels = record.channels if dtype in (None, "int8") else None
    return HookRecord(
        d_model=record.d_model,
        heads=record.heads,
        dtype=dtype or record.dtype,
        channels=channels,
    )


def _keep_channels(source: ActivationCache, folder: Location, manifest: Manifest) -> None:
    """Rounding by the channels that the rows were rounded by gives the same values again."""
    if channels := read_channels(source.path, manifest.channel_digests):
        try:
            if isinstance(folder, Path):
                folder.mkdir(parents=True, exist_ok=True)
            write_channels(folder, channels)
        except OSError as error:
            raise CacheError(f"can't write to {folder}: {error.strerror}") from None
