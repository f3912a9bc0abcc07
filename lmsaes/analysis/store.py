"""Writes what was found into the database; the last write of each SAE makes it visible."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Any, TypeVar

import numpy as np
import torch

from lmsaes.analysis.findings import Findings
from lmsaes.analysis.jobs import Job
from lmsaes.analysis.other_saes import add_twins
from lmsaes.analysis.pages import GROUPS, Pages, earlier_features, features, samples, tokens
from lmsaes.analysis.reference_contexts import ReferenceContexts
from lmsaes.analysis.sampled_rows import rows_records
from lmsaes.analysis.stored_tokens import add_stored_tokens
from lmsaes.analysis.training_curves import training_curves
from lmsaes.analysis.weight_facts import WeightSource
from lmsaes.cache import ActivationCache
from lmsaes.database import Database, Draft, SAERecord, SampleRecord, evaluated
from lmsaes.evaluation import ReconstructionSums, never_fired_fraction
from lmsaes.progress import Phase, ProgressReporter
from lmsaes.sae import read_evaluation

_Stored = TypeVar("_Stored")

# What storing takes in the embedded database, until it is measured: the host does it, whatever
# device the pass over the cache runs on.
_SECONDS_PER_RECORD = 3.5e-4
_SECONDS_PER_SCORE = 0.1
_COLUMNS = {"firings": np.int64, "contexts": np.int64}  # others are float32


def storing_phases(jobs: Sequence[Job], output_scores: int = 0) -> list[Phase]:
    """What follows the pass over the cache. output_scores: features of each that are scored."""
    count = sum(_records(job, 0) for job in jobs)
    scored = sum(min(output_scores, job.count) for job in jobs)
    return [
        Phase("counting", len(jobs), "SAEs", 1.0),
        *([Phase("scoring outputs", scored, "features", _SECONDS_PER_SCORE)] if scored else []),
        Phase("storing", count, "records", _SECONDS_PER_RECORD),
    ]


def _records(job: Job, vocabulary: int) -> int:
    """About how many documents an SAE's analysis has: of features, their groups, and tokens."""
    return (job.range.stop - job.range.start) * (len(GROUPS) + 1) + vocabulary


def store(
    all_pages: Sequence[Pages],
    drafts: Mapping[str, Draft],
    reference: ReferenceContexts,
    cache: ActivationCache,
    database: Database,
    source: WeightSource,
    bar: ProgressReporter,
) -> None:
    """Stores and publishes every SAE of the run."""
    strings = source.vocabulary
    # by its own content: another rendering of the same tokenizer is another vocabulary
    vocabulary = hashlib.sha256(json.dumps(strings).encode()).hexdigest()[:16]
    database.put_vocabulary(vocabulary, strings)
    add_twins(all_pages, database)
    index = reference.index()
    bar.next_phase(sum(_records(pages.job, len(strings)) for pages in all_pages))
    for pages in all_pages:
        job, draft = pages.job, drafts[pages.job.name]
        shown = _Contexts()
        records = samples(pages, index, pages.findings.statistics.per_interval)
        earlier = pages.earlier
        if earlier is not None:
            records = chain(records, earlier.samples())
        draft.put_samples(_counted(shown.noting(records), bar))
        for ids in _runs(shown.ids().tolist()):
            span = ids[0], ids[-1] + 1
            kept = cache.documents(*span).numpy() if cache.manifest.documents else None
            database.put_contexts(cache.identity, np.array(ids), cache.tokens(*span).numpy(), kept)
        facts = source.facts(job, pages.promoting)
        found = features(pages, facts, strings)
        if earlier is not None:
            found = chain(found, earlier_features(pages, earlier))
            add_stored_tokens(database, earlier.record.analysis, pages.firing, pages.promoting)
        draft.put_features(_counted(found, bar))
        draft.put_tokens(_counted(tokens(pages, len(strings)), bar))
        draft.put_rows(rows_records(pages.rows))
        draft.put_columns(_columns(pages, database))
        trained = job.sae.provenance
        if (curves := training_curves(job.folder, trained and trained.steps)) is not None:
            draft.put_metrics(curves)
        draft.publish(_record(job, pages, draft, cache, vocabulary))


class _Contexts:
    """The contexts that samples name."""

    def __init__(self) -> None:
        self._ids: list[np.ndarray] = []

    def noting(self, records: Iterable[SampleRecord]) -> Iterator[SampleRecord]:
        for record in records:
            self._ids.append(record.contexts)
            if len(self._ids) > 100_000:
                self._ids = [self.ids()]
            yield record

    def ids(self) -> np.ndarray:
        return np.unique(np.concatenate([np.empty(0, np.int64), *self._ids]))


def _columns(pages: Pages, database: Database) -> dict[str, np.ndarray]:
    statistics, stability = pages.findings.statistics, pages.stability
    columns: dict[str, np.ndarray] = {
        "firings": statistics.firings,
        "density": statistics.firings / max(pages.findings.rows, 1),
        "maximum": statistics.maximum,
        "mean": statistics.means,
        "contexts": statistics.contexts,
    }
    if pages.job.made_from["output_scores"]:
        columns["output_score"] = np.full(pages.job.count, -1.0)
        for feature, score in pages.output.items():
            columns["output_score"][feature] = score.kl
    if pages.logit_std is not None:
        columns["logit_std"] = pages.logit_std
    if (earlier := pages.earlier) is not None:
        stored = database.columns(earlier.record.analysis, list(columns))
        columns = {
            name: np.concatenate([stored[name], own] if earlier.first else [own, stored[name]])
            for name, own in columns.items()
        }
    if stability is not None:
        columns["stability"] = stability
    return {key: values.astype(_COLUMNS.get(key, np.float32)) for key, values in columns.items()}


def _counted(records: Iterator[_Stored], bar: ProgressReporter) -> Iterator[_Stored]:
    for record in records:
        yield record
        bar.advance(1)


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


def _record(
    job: Job, pages: Pages, draft: Draft, cache: ActivationCache, vocabulary: str
) -> SAERecord:
    sae, origin = job.sae, job.sae.provenance
    fvu, l0, dead = measured(job, pages.findings, cache)
    figures: dict[str, Any] = {"l0": l0, "fvu": fvu}
    figures |= evaluated(read_evaluation(job.folder) or {})
    return SAERecord(
        name=job.name,
        analysis=draft.analysis,
        made_from=draft.made_from,
        sae_path=str(job.folder),
        sae_hash=job.sae_hash,
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
        tokens_analyzed=pages.findings.rows,
        tokens_trained=None if origin is None else origin.tokens,
        dead_fraction=dead,
        **figures,
        # of an imported SAE what is known alone: the defaults are none of its settings
        config=sae.config.model_dump(
            mode="json", exclude_none=True, exclude_unset=sae.imported is not None
        ),
        run=job.folder.parent.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        vocabulary=vocabulary,
        feature_range=(job.range.start, job.range.stop),
        groups=GROUPS,
    )


def measured(
    job: Job, findings: Findings, cache: ActivationCache
) -> tuple[float | None, float | None, float | None]:
    """FVU, L0 and dead fraction over the whole cache; of a range of features, those of training."""
    origin = job.sae.provenance
    if not job.whole:
        trained = origin.metrics if origin is not None else None
        return (trained.fvu, trained.l0, trained.dead_fraction) if trained else (None, None, None)
    firings = torch.from_numpy(findings.statistics.firings)
    sums = ReconstructionSums(torch.device("cpu"))
    error = torch.tensor(findings.squared_error, dtype=torch.float64)
    sums.add(error, firings, findings.rows)
    return sums.fvu(_variance(job, cache)), sums.l0, never_fired_fraction(firings)


def _variance(job: Job, cache: ActivationCache) -> float:
    """Total variance per valid row of what the SAE reconstructs."""
    statistics = [cache.hooks[hook].valid for hook in job.given]
    return sum(sum(s.variance) for s in statistics if s is not None)
