"""The one pass over a cache, for many SAEs.

    batches of contexts ─► read ─► each SAE's encoder ─► segments ┐  some threads, ahead
    findings of each SAE ◄──────────── in order ◄─────────────────┘  one thread

Batches are cut by the numbers of contexts alone and the last one is filled up with zeros, so that
each row meets the same matrix product whichever SAEs share the pass and however many processes
share the cache: a process takes whole batches.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lmsaes.analysis.findings import Findings
from lmsaes.analysis.not_finite import check_activations, check_error
from lmsaes.analysis.segments import Segments, segments_of
from lmsaes.cache import ActivationCache, finite_rows
from lmsaes.parallel import (
    OneRank,
    Ranks,
    interruptible,
    results_ahead,
    threads_that_compute,
    widest_float,
)
from lmsaes.sae import SAE

_ROWS_PER_BATCH = 4096
_VALUES_PER_PRODUCT = 1 << 26  # an encoder may hold all of a product's activations at once
_MOST_WORKERS = 4
_SECONDS_BETWEEN_CHECKPOINTS = 300.0


@dataclass(frozen=True, slots=True)
class ScannedSAE:
    """An SAE and what the pass finds of it."""

    folder: Path  # for errors
    sae: SAE
    hooks: tuple[str, ...]
    target: str | None
    features: slice
    findings: Findings

    @property
    def whole(self) -> bool:
        """Whether all of its features are looked at, so that its reconstruction is known."""
        return self.features.stop - self.features.start == self.sae.features


def batch_contexts(context_size: int) -> int:
    """Contexts of a batch."""
    return max(1, _ROWS_PER_BATCH // context_size)


def scan(
    saes: Sequence[ScannedSAE],
    cache: ActivationCache,
    device: torch.device,
    advance: Callable[[int], None],
    ranks: Ranks | None = None,
    checkpoint_every: float = _SECONDS_BETWEEN_CHECKPOINTS,
) -> None:
    """Fills the SAEs' findings with this process' share of the cache.

    Goes on where their checkpoints ended, and writes one every so many seconds, and when it is
    interrupted: then KeyboardInterrupt is raised. advance: is told of positions that are done.
    Raises SAEError for an SAE whose activations are not finite.
    """
    ranks = ranks or OneRank()
    size = batch_contexts(cache.context_size)
    begun = min(each.findings.next for each in saes)
    advance(_share(begun, size, ranks) * cache.context_size)
    starts = range(ranks.rank * size, cache.contexts, ranks.size * size)
    starts = [start for start in starts if start >= begun]
    saved = time.monotonic()
    with interruptible() as interrupted:
        for batch in _batches(saes, cache, device, starts):
            for each, found in zip(saes, batch.found, strict=True):
                if batch.first < each.findings.next:
                    continue  # its checkpoint was ahead of the others'
                for part in found:
                    at = slice(part.first - batch.first, part.stop - batch.first)
                    each.findings.add(
                        part.segments,
                        part.first,
                        batch.tokens[at],
                        batch.valid[at],
                        part.squared_error,
                    )
                each.findings.next = batch.first + len(batch.tokens)
            advance(batch.tokens.size)
            if interrupted.is_set() or time.monotonic() - saved > checkpoint_every:
                for each in saes:
                    each.findings.save()
                saved = time.monotonic()
            if interrupted.is_set():
                raise KeyboardInterrupt


@dataclass(frozen=True, slots=True)
class _Encoded:
    first: int
    stop: int
    segments: Segments
    squared_error: float


@dataclass(frozen=True, slots=True)
class _Batch:
    first: int
    tokens: np.ndarray  # int64 [contexts, context_size]
    valid: np.ndarray  # bool, the same
    found: list[list[_Encoded]]  # of each SAE, by its products


def _batches(
    saes: Sequence[ScannedSAE], cache: ActivationCache, device: torch.device, starts: Sequence[int]
) -> Iterator[_Batch]:
    """Batches from these contexts on, in order, made by threads that are ahead."""

    hooks = {hook for each in saes for hook in _hooks_of(each)}
    # as training does, rows that are not finite are left out
    holed = {hook for hook in hooks if cache.shards_not_finite(hook)}

    def make(start: int) -> _Batch:
        with torch.inference_mode():
            return _encoded(saes, cache, device, start, holed)

    cores = torch.get_num_threads()
    # each product on one core, where that keeps all cores busy: threads lose little by waiting
    count = min(cores, _MOST_WORKERS) if device.type == "cpu" else 1
    with threads_that_compute(count, cores // count, "analyze") as workers:
        yield from results_ahead(workers, make, starts, count)


def _encoded(
    saes: Sequence[ScannedSAE],
    cache: ActivationCache,
    device: torch.device,
    start: int,
    holed: set[str],
) -> _Batch:
    stop = min(start + batch_contexts(cache.context_size), cache.contexts)
    tokens = cache.tokens(start, stop)
    valid = cache.valid_positions(tokens)
    hooks = {hook for each in saes for hook in _hooks_of(each)}
    rows = {
        hook: cache.activations(hook, start, stop).flatten(0, 1).to(device).float()
        for hook in hooks
    }
    for hook in holed:
        valid &= finite_rows(rows[hook]).reshape(valid.shape).cpu()
    found = [
        [_encode(each, rows, valid, start, part) for part in _parts(each, stop - start, valid)]
        for each in saes
    ]
    return _Batch(start, tokens.numpy(), valid.numpy(), found)


def _encode(
    each: ScannedSAE, rows: dict[str, Tensor], valid: Tensor, start: int, part: tuple[int, int]
) -> _Encoded:
    """What an SAE makes of contexts `part` of a batch that begins at `start`."""
    first, contexts = part
    size = valid.shape[1]
    at = slice(first * size, (first + contexts) * size)
    x = _filled(torch.cat([rows[hook] for hook in each.hooks], 1)[at], contexts * size)
    chosen = _filled(valid.flatten()[at, None], contexts * size)[:, 0].to(x.device)
    encoded = each.sae.encode(x, None if each.whole else each.features)
    here = min(contexts, len(valid) - first)
    segments = segments_of(encoded, start + first, size, chosen)
    check_activations(each.folder, segments, each.features.start)
    error = 0.0
    if each.whole:
        y = x if each.target is None else _filled(rows[each.target][at], contexts * size)
        missed = (y - each.sae.decode(encoded, x)).square().sum(1)[chosen]
        error = check_error(each.folder, float(missed.to(widest_float(x.device)).sum()))
    return _Encoded(start + first, start + first + here, segments, error)


def _parts(each: ScannedSAE, contexts: int, valid: Tensor) -> list[tuple[int, int]]:
    """(first context, contexts) of each product over a batch; the last may reach beyond it."""
    size = valid.shape[1]
    most = max(1, min(_VALUES_PER_PRODUCT // each.sae.features // size, batch_contexts(size)))
    return [(first, most) for first in range(0, contexts, most)]


def _filled(rows: Tensor, count: int) -> Tensor:
    """The rows, and zeros up to `count`."""
    return torch.nn.functional.pad(rows, (0, 0, 0, count - len(rows)))


def _hooks_of(each: ScannedSAE) -> tuple[str, ...]:
    return (*each.hooks, *([each.target] if each.target else []))


def _share(contexts: int, size: int, ranks: Ranks) -> int:
    """How many of the first contexts are in batches of this process."""
    return sum(
        min(size, contexts - start)
        for start in range(ranks.rank * size, contexts, ranks.size * size)
    )
