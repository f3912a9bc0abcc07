"""`evaluate`: one pass over rows of a cache for many SAEs, and through the model if asked.

cache ─► batch of contexts ─► each SAE ─► sums by context ─┐
                                │                          ├─► Evaluation, with errors
         model above the hook ◄─┴─ reconstructions ────────┘
"""

import logging
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lmsaes.cache import ActivationCache
from lmsaes.configuration import takes
from lmsaes.database import Database
from lmsaes.errors import ConfigError
from lmsaes.evaluation.cache_model import load_cache_model
from lmsaes.evaluation.comparison import compare
from lmsaes.evaluation.config import EvalConfig
from lmsaes.evaluation.downstream import Batch, Downstream
from lmsaes.evaluation.feature_sums import nearest_cosines
from lmsaes.evaluation.measured_sae import MeasuredSAE
from lmsaes.evaluation.plot import check_plot, write_plot
from lmsaes.evaluation.probing import check_probe, probe
from lmsaes.evaluation.records import Evaluation, Evaluations, Figures, Probing
from lmsaes.evaluation.rows import ChosenContexts, choose_contexts, in_words, seen_in_training
from lmsaes.model import LanguageModel
from lmsaes.parallel import free_memory, resolve_device
from lmsaes.progress import progress
from lmsaes.sae import find_saes, sae_hash, write_evaluation
from lmsaes.units import format_count

_log = logging.getLogger("lmsaes")
_ROWS_AT_ONCE = 4096
# Logits of a batch: on a CPU few enough to stay near the cores. A forward pass and its scores take
# about five times their size.
_MOST_LOGITS = {"cpu": 1 << 22, "cuda": 1 << 28}
_LOGIT_BYTES = 4 * 5


@takes(EvalConfig)
def evaluate(
    saes: str | Path | Sequence[str | Path],
    cache: ActivationCache | str | Path,
    model: str | None = "auto",
    **settings: Any,
) -> Evaluations:
    """How well SAEs reconstruct, and what that does to the model: `lmsaes eval`.

    The settings are those of `EvalConfig`, listed below. Special tokens and first positions are
    left out, as in training. Returns a list of one `Evaluation` per SAE, and in its `comparisons`
    which of them differ beyond their standard errors.

    Raises SAEError or ConfigError when an SAE does not fit the cache, ModelError when the model
    can't be loaded or did not make the cache.

    saes: SAE folders, or runs that hold some
    cache: an opened cache, its folder or URL
    model: auto (where the cache says), a name or a folder; none or None: without the model
    """
    if not isinstance(cache, ActivationCache):
        cache = ActivationCache.open(cache)
    config = EvalConfig.of(
        {"saes": saes, "cache": str(cache.path), "model": model or "none", **settings}
    )
    device = resolve_device(config.device)
    folders = find_saes(config.saes)
    _check_outputs(config, folders)
    labeled = None if config.probe is None else check_probe(Path(config.probe))
    with _database(config.db) as database:  # which is there before anything is measured
        jobs = [MeasuredSAE(folder, cache, device, config.any_model) for folder in folders]
        chosen = choose_contexts(cache, [job.sae for job in jobs], config.tokens, config.heldout)
        lm = None
        if config.model != "none":
            lm = load_cache_model(cache, config.model_name, str(device))
        size = batch_contexts(cache, lm, device, config.batch_size)
        _announce(jobs, cache, chosen, lm, device)
        downstream = None if lm is None else _downstream(jobs, cache, lm)
        _read(jobs, cache, chosen, downstream, device, size)
        for job in jobs:
            job.finish()
        found = [_evaluation(job, cache, chosen) for job in jobs]
        if labeled is not None and downstream is not None:
            found = _with_probing(found, probe(labeled, jobs, cache, downstream.forward, size))
        if config.write:
            for job, evaluation in zip(jobs, found, strict=True):
                write_evaluation(job.folder, evaluation.model_dump(mode="json"))
        if database is not None:
            _into_database(database, jobs)
    results = Evaluations(found, compare(jobs))
    if config.plot is not None:
        write_plot(results, Path(config.plot))
    return results


def _check_outputs(config: EvalConfig, folders: Sequence[Path]) -> None:
    """What can't be written is refused before anything is measured."""
    if config.plot is not None:
        check_plot(Path(config.plot))
    for folder in folders if config.write else ():
        if folder.is_dir() and not os.access(folder, os.W_OK):
            raise ConfigError(
                f"can't write what is found into {folder}", "check its permissions, or --no-write"
            )


def batch_contexts(
    cache: ActivationCache, lm: LanguageModel | None, device: torch.device, asked: int | None
) -> int:
    """How many contexts go through SAEs and model at once."""
    if asked is not None:
        return asked
    contexts = max(1, _ROWS_AT_ONCE // cache.context_size)
    if lm is None:
        return contexts
    most = _MOST_LOGITS.get(device.type, _MOST_LOGITS["cpu"])
    if (free := free_memory(device)) is not None:
        most = min(most, free // (2 * _LOGIT_BYTES))
    return max(1, min(contexts, most // (cache.context_size * lm.vocabulary)))


def _downstream(
    jobs: Sequence[MeasuredSAE], cache: ActivationCache, lm: LanguageModel
) -> Downstream:
    means = {hook: mean for job in jobs for hook, mean in job.means.items()}
    inputs = [hook for job in jobs for hook in job.hooks]
    return Downstream(lm, means, inputs, cache.manifest.text.padding_id)


def _announce(
    jobs: Sequence[MeasuredSAE],
    cache: ActivationCache,
    chosen: ChosenContexts,
    lm: LanguageModel | None,
    device: torch.device,
) -> None:
    for job in jobs:
        seen = seen_in_training(job.sae, cache, chosen)
        _log.info("eval: %s on %s", job.name, in_words(chosen, cache, seen))
    _log.info(
        "      %s tokens on %s, %s",
        format_count(chosen.count * cache.context_size),
        device,
        f"through {lm.record.name}" if lm else "without the model",
    )


def _read(
    jobs: Sequence[MeasuredSAE],
    cache: ActivationCache,
    chosen: ChosenContexts,
    downstream: Downstream | None,
    device: torch.device,
    size: int,
) -> None:
    """The one pass: every batch goes through every SAE, and their outputs through the model."""
    hooks = list(dict.fromkeys(hook for job in jobs for hook in (*job.hooks, *job.outputs)))
    total, left_out = chosen.count * cache.context_size, 0
    with torch.inference_mode(), progress("evaluating", total, "tokens") as bar:
        for runs in chosen.batches(size):
            batch, lost = batch_of(cache, runs, hooks, device)
            left_out += lost
            by_hook: dict[str, list[tuple[MeasuredSAE, Tensor]]] = {}
            for job in jobs:
                for hook, output in job.add(batch).items():
                    by_hook.setdefault(hook, []).append((job, output))
            if downstream is not None:
                outputs = {hook: [o for _, o in pairs] for hook, pairs in by_hook.items()}
                for hook, sums in downstream.measure(batch, outputs).items():
                    for (job, _), found in zip(by_hook[hook], sums, strict=True):
                        job.add_downstream(hook, found)
            bar.advance(batch.tokens.numel())
    if left_out:
        _log.warning("eval: %d rows that are not finite numbers were left out", left_out)


def batch_of(
    cache: ActivationCache, runs: Sequence[range], hooks: Sequence[str], device: torch.device
) -> tuple[Batch, int]:
    """Contexts of the cache, and how many of their valid rows are not finite and left out."""
    tokens = torch.cat([cache.tokens(run.start, run.stop) for run in runs])
    valid = cache.valid_positions(tokens).to(device)
    rows: dict[str, Tensor] = {}
    finite = torch.ones_like(valid)
    for hook in hooks:
        read = [cache.activations(hook, run.start, run.stop) for run in runs]
        rows[hook] = torch.cat(read).to(device).float()
        finite &= rows[hook].isfinite().all(-1)
    lost = int((valid & ~finite).sum())
    valid &= finite
    context = torch.arange(tokens.shape[0], device=device)[:, None].expand_as(valid)[valid]
    return Batch(tokens, rows, valid, context), lost


def _evaluation(job: MeasuredSAE, cache: ActivationCache, chosen: ChosenContexts) -> Evaluation:
    sae, seen = job.sae, seen_in_training(job.sae, cache, chosen)
    histogram, edges = job.features.histogram()
    cosines = nearest_cosines(sae.W_dec)
    return Evaluation(
        name=job.name,
        path=str(job.folder),
        architecture=sae.config.architecture,
        features=sae.features,
        hooks=job.hooks,
        target=job.target,
        cache=cache.identity,
        cache_path=str(cache.path),
        rows=job.features.rows,
        contexts=chosen.count,
        first_context=chosen.first,
        last_context=chosen.last,
        seen_in_training=seen,
        rows_used=in_words(chosen, cache, seen),
        decoder_cosine=None if cosines is None else float(cosines.mean()),
        decoder_cosine_max=None if cosines is None else float(cosines.max()),
        density_histogram=histogram,
        density_edges=edges,
        per_hook={hook: Figures(**job.figures(hook)) for hook in job.hooks_apart},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        **job.figures(),
    )


def _database(address: str | None) -> AbstractContextManager[Database | None]:
    if address is None:
        return nullcontext()
    return Database(None if address == "default" else address)


def _into_database(database: Database, jobs: Sequence[MeasuredSAE]) -> None:
    for job in jobs:
        count = database.set_evaluation(sae_hash(job.folder, job.sae), job.figures())
        if count == 0:
            _log.warning(
                "eval: %s is not in %s; `lmsaes analyze` takes the figures with it",
                job.name,
                database.place,
            )


def _with_probing(found: list[Evaluation], probings: list[Probing]) -> list[Evaluation]:
    return [
        evaluation.model_copy(update={"probing": probing})
        for evaluation, probing in zip(found, probings, strict=True)
    ]
