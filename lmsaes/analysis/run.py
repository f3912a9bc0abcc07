"""Stage three: one pass over the cache for many SAEs, then what was found goes into MongoDB.

cache ─► chunk of contexts ─► each SAE's encoder ─► its statistics ─┐
language model ─► unembedding, token strings ──────────────────┴─► database
"""

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from lmsaes.analysis.config import AnalyzeConfig
from lmsaes.analysis.identity import made_from, name_saes, plain_name
from lmsaes.analysis.logits import LogitWeights, logit_weights, writes_to_residual
from lmsaes.analysis.not_finite import check_activations, check_encoder, check_fvu
from lmsaes.analysis.top_contexts import FeatureStatistics
from lmsaes.cache import ActivationCache, finite_rows
from lmsaes.configuration import takes
from lmsaes.database import (
    Database,
    Draft,
    FeatureRecord,
    SAERecord,
    SampleRecord,
    is_made_from,
)
from lmsaes.errors import ConfigError
from lmsaes.evaluation import (
    ReconstructionSums,
    check_fit,
    load_cache_model,
    never_fired_fraction,
)
from lmsaes.model import LanguageModel
from lmsaes.parallel import resolve_device, widest_float
from lmsaes.progress import Phase, ProgressReporter, progress
from lmsaes.sae import SAE, find_saes, read_evaluation, sae_hash
from lmsaes.text import token_strings
from lmsaes.units import format_bytes, format_count

_Stored = TypeVar("_Stored", FeatureRecord, SampleRecord)

_log = logging.getLogger("lmsaes")
_ROWS_PER_CHUNK = 4096
_VALUES_PER_CHUNK = 1 << 26  # an encoder may hold all of a chunk's activations at once
_LOGITS = 10
# What storing takes in the embedded database, until it is measured: the host does it, whatever
# device the pass over the cache runs on.
_SECONDS_PER_CONTEXT = 1e-4
_SECONDS_PER_RECORD = 1.5e-3  # two of each feature: its numbers, its top contexts


@takes(AnalyzeConfig, "db")
def analyze(
    saes: str | Path | Sequence[str | Path],
    cache: ActivationCache,
    database: Database,
    features: slice | str | None = None,
    **settings: Any,
) -> list[SAERecord]:
    """Finds each feature's top contexts and numbers over a whole cache: `lmsaes analyze`.

    The settings are those of `AnalyzeConfig`, listed below. Special tokens and first positions are
    left out, as in training. An analysis that is in the database already is left as it is. Raises
    SAEError or ConfigError when an SAE does not fit the cache, ModelError when the model can't be
    loaded, DatabaseError when the database fails or another process analyzes under the same name.

    saes: SAE folders, or runs that hold some
    cache: the opened cache to look through
    database: where what was found is stored
    features: these alone, as a slice or as text such as 0:512
    """
    config = AnalyzeConfig.of(
        {"saes": saes, "cache": str(cache.path), "features": features, **settings}
    )
    folders = find_saes(config.saes)
    if config.name is not None and len(folders) != 1:
        raise ConfigError(f"a name for {len(folders)} SAEs is one too few", "analyze one at a time")
    where = resolve_device(config.device)
    wanted = config.feature_slice
    jobs = [_job(f, cache, wanted, config.top, where, config.any_model) for f in folders]
    _name(jobs, database, config.name)
    todo = _not_current(jobs, database)
    if todo:
        lm = load_cache_model(cache, config.model)
        with ExitStack() as drafts:
            for job in todo:
                job.draft = drafts.enter_context(
                    database.draft(job.name, cache.identity, job.made_from)
                )
            todo = _not_current(todo, database)  # another process may just have finished them
            database.gc()
            _announce(todo, cache, database, where)
            with progress("analyzing", cache.rows, "tokens", then=_phases(todo, cache)) as bar:
                _read_cache(todo, cache, where, bar)
                _store(todo, cache, database, lm, bar)
    finished = {r.name: r for r in database.saes()}
    return [finished[job.name] for job in jobs]


def _name(jobs: "list[_Job]", database: Database, name: str | None) -> None:
    """Gives each SAE its name in the database, and says which where that is not `run:sae`."""
    hashes = {job.folder: job.sae_hash for job in jobs}
    names = name_saes(hashes, {r.name: r for r in database.saes()}, name)
    for job in jobs:
        job.name = names[job.folder]
        if name is None and job.name != plain_name(job.folder):
            _log.info("analyze: %s is called %s in the database", job.folder, job.name)


def _not_current(jobs: "list[_Job]", database: Database) -> "list[_Job]":
    """The SAEs whose analysis in the database is missing, or made from something else."""
    analyses = {record.name: record.analysis for record in database.saes()}
    todo = [job for job in jobs if not is_made_from(analyses.get(job.name, ""), job.made_from)]
    for job in jobs:
        if job not in todo:
            _log.info("analyze: %s is in the database already: nothing to do", job.name)
    return todo


@dataclass
class _Job:
    """One SAE on its way through the analysis."""

    folder: Path
    sae: SAE
    sae_hash: str
    made_from: dict[str, Any]
    hooks: tuple[str, ...]
    target: str | None
    features: slice
    statistics: FeatureStatistics
    reconstruction: ReconstructionSums
    name: str = field(default="")
    draft: Draft | None = field(default=None)

    @property
    def count(self) -> int:
        return self.features.stop - self.features.start

    @property
    def whole(self) -> bool:
        return self.count == self.sae.features


def _job(
    folder: Path,
    cache: ActivationCache,
    features: slice | None,
    top: int,
    device: torch.device,
    any_model: bool,
) -> _Job:
    sae = SAE.load(folder, device)
    check_encoder(folder, sae)
    hooks, target = check_fit(folder, sae, cache, any_model)
    used = (*hooks, *([target] if target else []))
    wanted = _range(features, sae.features)
    own = sae_hash(folder, sae)
    settings = {"top": top, "features": [wanted.start, wanted.stop], "logits": _LOGITS}
    return _Job(
        folder=folder,
        sae=sae,
        sae_hash=own,
        made_from=made_from(own, cache, used, settings),
        hooks=hooks,
        target=target,
        features=wanted,
        statistics=FeatureStatistics(wanted.stop - wanted.start, cache.context_size, top, device),
        reconstruction=ReconstructionSums(device),
    )


def _range(features: slice | None, count: int) -> slice:
    start, stop, step = (features or slice(None)).indices(count)
    if step != 1 or stop <= start:
        raise ConfigError(
            f"there are no features {features and features.start}:{features and features.stop} "
            f"among {count}",
            "give a range such as --features 0:512",
        )
    return slice(start, stop)


def _announce(
    jobs: list[_Job], cache: ActivationCache, database: Database, device: torch.device
) -> None:
    for job in jobs:
        memory = job.count * job.statistics.top * (cache.context_size * 2 + 20)
        _log.info(
            "analyze: %s, %d features of %s, %s in memory",
            job.name,
            job.count,
            ", ".join(job.hooks),
            format_bytes(memory),
        )
    _log.info(
        "         %s tokens of %s on %s, into %s",
        format_count(cache.rows),
        cache.path,
        device,
        database.place,
    )


def _phases(jobs: list[_Job], cache: ActivationCache) -> list[Phase]:
    """What follows the pass over the cache; how many contexts are kept is only known after it."""
    features = sum(job.count for job in jobs)
    kept = sum(job.count * job.statistics.top for job in jobs)
    return [
        Phase("storing contexts", min(cache.contexts, kept), "contexts", _SECONDS_PER_CONTEXT),
        Phase("storing features", 2 * features, "records", _SECONDS_PER_RECORD),
    ]


def _read_cache(
    jobs: list[_Job], cache: ActivationCache, device: torch.device, bar: ProgressReporter
) -> None:
    """The one pass: every chunk goes through every SAE."""
    widest = max(job.sae.features for job in jobs)
    rows = min(_ROWS_PER_CHUNK, _VALUES_PER_CHUNK // widest)
    step = max(1, rows // cache.context_size)
    hooks = {hook for job in jobs for hook in (*job.hooks, *([job.target] if job.target else []))}
    # as training does, rows that are not finite are left out
    holed = [hook for hook in hooks if cache.shards_not_finite(hook)]
    with torch.inference_mode():
        for start in range(0, cache.contexts, step):
            stop = min(start + step, cache.contexts)
            valid = cache.valid_positions(cache.tokens(start, stop)).reshape(-1).to(device)
            chunk = {
                hook: cache.activations(hook, start, stop).flatten(0, 1).to(device).float()
                for hook in hooks
            }
            for hook in holed:
                valid &= finite_rows(chunk[hook])
            for job in jobs:
                _add_chunk(job, start, chunk, valid)
            bar.advance((stop - start) * cache.context_size)


def _add_chunk(job: _Job, start: int, chunk: dict[str, Tensor], valid: Tensor) -> None:
    x = torch.cat([chunk[hook] for hook in job.hooks], 1)
    encoded = job.sae.encode(x, None if job.whole else job.features)
    encoded = encoded.where(valid[encoded.row_ids()])
    check_activations(job.folder, encoded, job.features.start)
    job.statistics.add(start, encoded)
    squared_error = x.new_zeros(())
    if job.whole:
        y = chunk[job.target] if job.target else x
        output = job.sae.decode(encoded, x)
        squared_error = (y - output).square().sum(1).to(widest_float(x.device))[valid].sum()
    job.reconstruction.add(squared_error, encoded.values > 0, int(valid.sum()))


def _store(
    jobs: list[_Job],
    cache: ActivationCache,
    database: Database,
    lm: LanguageModel,
    bar: ProgressReporter,
) -> None:
    """Writes contexts, features and samples, and last the record that makes them visible."""
    unembedding = lm.unembedding()
    strings = token_strings(lm.tokenizer, unembedding.shape[1])
    # by its own content: another rendering of the same tokenizer is another vocabulary
    vocabulary = hashlib.sha256(json.dumps(strings).encode()).hexdigest()[:16]
    database.put_vocabulary(vocabulary, strings)
    shown = torch.cat([job.statistics.stored_contexts() for job in jobs]).unique().tolist()
    bar.next_phase(len(shown))
    for ids in _runs(shown):
        tokens = cache.tokens(ids[0], ids[-1] + 1).numpy()
        database.put_contexts(cache.identity, np.array(ids), tokens)
        bar.advance(len(ids))
    bar.next_phase()
    for job in jobs:
        draft = job.draft
        assert draft is not None
        weights = _logit_weights(job, unembedding)
        draft.put_features(_counted(_features(job, weights), bar))
        draft.put_samples(_counted(_samples(job), bar))
        statistics = job.statistics
        columns = {
            "firings": statistics.firings,
            "density": statistics.firings.double() / max(job.reconstruction.rows, 1),
            "maximum": statistics.maximum,
            "mean": statistics.sums / statistics.firings.clamp(min=1),
        }
        draft.put_columns(
            {
                key: column.cpu().numpy().astype(np.int64 if key == "firings" else np.float32)
                for key, column in columns.items()
            }
        )
        draft.publish(_record(job, draft, cache, vocabulary))


def _runs(numbers: list[int]) -> Iterator[list[int]]:
    """Stretches of consecutive numbers, at most a thousand each."""
    run: list[int] = []
    for number in numbers:
        if run and (number != run[-1] + 1 or len(run) == 1000):
            yield run
            run = []
        run.append(number)
    if run:
        yield run


def _logit_weights(job: _Job, unembedding: Tensor) -> Iterator[LogitWeights]:
    hook = job.target or job.hooks[0]
    directions = job.sae.W_dec[job.features].cpu()
    fits = directions.shape[1] == unembedding.shape[0] and writes_to_residual(hook)
    if not fits:
        return iter([([], [])] * job.count)
    return logit_weights(directions, unembedding, _LOGITS)


def _features(job: _Job, weights: Iterator[LogitWeights]) -> Iterator[FeatureRecord]:
    statistics = job.statistics
    firings, sums, maximum = (
        statistics.firings.tolist(),
        statistics.sums.tolist(),
        statistics.maximum.tolist(),
    )
    for index, (promotes, suppresses) in enumerate(weights):
        counts, end = statistics.histogram(index)
        yield FeatureRecord(
            index=job.features.start + index,
            firings=firings[index],
            density=firings[index] / max(job.reconstruction.rows, 1),
            maximum=maximum[index],
            mean=sums[index] / max(firings[index], 1),
            histogram=counts,
            histogram_max=end,
            promotes=promotes,
            suppresses=suppresses,
        )


def _samples(job: _Job) -> Iterator[SampleRecord]:
    for index in range(job.count):
        contexts, activations = job.statistics.top_contexts(index)
        yield SampleRecord(
            index=job.features.start + index,
            group="top",
            contexts=contexts,
            positions=activations.argmax(1).astype(np.int32),
            activations=activations,
        )


def _counted(records: Iterator[_Stored], bar: ProgressReporter) -> Iterator[_Stored]:
    for record in records:
        yield record
        bar.advance(1)


def _record(job: _Job, draft: Draft, cache: ActivationCache, vocabulary: str) -> SAERecord:
    sae, origin = job.sae, job.sae.provenance
    trained = origin.metrics if origin is not None else None
    fvu, l0, dead = (trained.fvu, trained.l0, trained.dead_fraction) if trained else (None,) * 3
    if job.whole:
        fvu = check_fvu(job.folder, job.reconstruction.fvu(_variance(job, cache)))
        l0 = job.reconstruction.l0
        dead = never_fired_fraction(job.statistics.firings)
    return SAERecord(
        name=job.name,
        analysis=draft.analysis,
        made_from=draft.made_from,
        sae_path=str(job.folder),
        sae_hash=job.sae_hash,
        ce_recovered=(read_evaluation(job.folder) or {}).get("ce_recovered_zero"),
        architecture=sae.config.architecture,
        features=sae.features,
        d_model=sae.d_in,
        model=cache.manifest.model.name,
        hook=", ".join(job.hooks),
        target=job.target,
        cache=cache.identity,
        cache_path=str(cache.path.resolve()),
        dataset=cache.manifest.text.dataset,
        context_size=cache.context_size,
        tokens_analyzed=job.reconstruction.rows,
        tokens_trained=None if origin is None else origin.tokens,
        l0=l0,
        fvu=fvu,
        dead_fraction=dead,
        # of an imported SAE what is known alone: the defaults are none of its settings
        config=sae.config.model_dump(
            mode="json", exclude_none=True, exclude_unset=sae.imported is not None
        ),
        run=job.folder.parent.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        vocabulary=vocabulary,
        feature_range=(job.features.start, job.features.stop),
    )


def _variance(job: _Job, cache: ActivationCache) -> float:
    """Total variance per valid row of what the SAE reconstructs."""
    hooks = (job.target,) if job.target else job.hooks
    statistics = [cache.hooks[hook].valid for hook in hooks]
    return sum(sum(s.variance) for s in statistics if s is not None)
