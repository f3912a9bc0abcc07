"""What a training run says before it starts: rows, sizes, steps, memory, the shuffle."""

import logging
from collections.abc import Sequence

from lmsaes.cache import ActivationCache
from lmsaes.capture import LiveRows
from lmsaes.training.memory_plan import MemoryPlan
from lmsaes.training.schedules import DEAD_WINDOW
from lmsaes.training.settings import RunSettings
from lmsaes.training.source import RowLoader, Source
from lmsaes.training.trainer import SAETrainer
from lmsaes.units import format_bytes, format_count

_log = logging.getLogger("lmsaes")


def announce(
    trainers: Sequence[SAETrainer],
    source: Source,
    loader: RowLoader,
    settings: RunSettings,
    steps: int,
    memory: MemoryPlan,
) -> None:
    """Logs what is about to be done; memory: what it will take."""
    if isinstance(source, ActivationCache):
        rows = _about_cache(source, loader, settings)
    else:
        rows = f"from {source.manifest.model.name}, which runs meanwhile on {source.model.device}"
    _log.info(
        "training %d SAE%s on %s tokens: %d steps of %s, %s, on %s",
        len(trainers),
        "" if len(trainers) == 1 else "s",
        format_count(settings.tokens),
        steps,
        format_count(settings.batch_size),
        rows,
        loader.device,
    )
    for trainer in trainers:
        parameters = sum(p.numel() for p in trainer.sae.parameters())
        _log.info(
            "%s: %d features on %s, %s parameters, lr %.2g, warm-up %d steps",
            trainer.sae.config.name,
            trainer.sae.features,
            " + ".join(trainer.sae.config.inputs),
            format_count(parameters),
            trainer.lr,
            trainer.warmup,
        )
    shortened = {
        t.dead_window
        for t in trainers
        if t.dead_window < DEAD_WINDOW and not t.sae.config.dead_window
    }
    for tokens in shortened:
        _log.info(
            "short run: a feature counts as dead after %s silent tokens, not %s",
            format_count(tokens),
            format_count(DEAD_WINDOW),
        )
    free = "" if memory.free is None else f"; {format_bytes(memory.free)} are free"
    _log.info(
        "memory: %s for the SAEs, %s for the shuffle buffer%s",
        format_bytes(memory.total - memory.pool),
        format_bytes(memory.pool),
        free,
    )
    quality = loader.shuffle_quality
    _log.info(
        "shuffle: a row meets %.2g rows of its own context in its batch (%.2g if all rows were"
        " permuted); it draws from %s rows, which take %s",
        quality.same_context_rows,
        quality.perfect,
        format_count(loader.pool_rows),
        format_bytes(loader.memory_for(loader.pool_rows)),
    )
    if isinstance(source, LiveRows):
        _log.info(
            "no cache: a run that is stopped computes the rows of its shuffle buffer again when it"
            " goes on, and is the same to the bit as far as the model's forward pass is"
        )


def _about_cache(cache: ActivationCache, loader: RowLoader, settings: RunSettings) -> str:
    """What a run draws from; with a warning where that is not what one would expect."""
    rows = loader.rows
    if not cache.manifest.complete:
        _log.warning(
            "this cache is incomplete: %d of %d tokens are there, and the run trains on these;"
            " `lmsaes cache` again goes on with it",
            cache.rows,
            cache.manifest.contexts_requested * cache.context_size,
        )
    if left_out := loader.rows_not_finite:
        _log.warning(
            "left out: %d rows that are not finite, of %s", left_out, format_count(rows + left_out)
        )
    return f"{settings.tokens / rows:.3g} epochs of {format_count(rows)} rows"
