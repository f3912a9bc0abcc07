"""Stage three: one pass over the cache for many SAEs, then what was found goes into MongoDB.

jobs.py ─► scan.py ─► findings.py of each SAE ─► pages.py ─► store.py ─► database
    language model, or an analysis of the same weights ─► weight_facts.py ─┘
"""

import logging
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from lmsaes.analysis.config import AnalyzeConfig
from lmsaes.analysis.earlier_range import continue_earlier, earlier_range
from lmsaes.analysis.findings import Depth, Findings, Samples
from lmsaes.analysis.identity import name_saes, plain_name
from lmsaes.analysis.jobs import Job, new_job
from lmsaes.analysis.output_scores import analysis_scores
from lmsaes.analysis.pages import Pages, new_pages
from lmsaes.analysis.reference_contexts import ReferenceContexts
from lmsaes.analysis.sampling import context_hashes, lowest_contexts
from lmsaes.analysis.scan import ScannedSAE, scan
from lmsaes.analysis.store import store, storing_phases
from lmsaes.analysis.weight_facts import WeightSource
from lmsaes.cache import ActivationCache
from lmsaes.configuration import takes
from lmsaes.database import Database, Draft, SAERecord, content_hash, is_made_from
from lmsaes.errors import ConfigError, LmsaesError
from lmsaes.model import LanguageModel
from lmsaes.parallel import Ranks, free_memory, join_ranks, own_device, resolve_device
from lmsaes.progress import progress
from lmsaes.sae import find_saes
from lmsaes.units import format_bytes, format_count

_log = logging.getLogger("lmsaes")
_REFERENCE_CONTEXTS = 8192
# Of a feature, with room over what benchmarks/analyze.py measures (docs/analysis.md).
_BYTES_PER_FEATURE = 24 << 10
_BYTES_OF_THE_PASS = 1 << 30


@takes(AnalyzeConfig, "db")
def analyze(
    saes: str | Path | Sequence[str | Path],
    cache: ActivationCache,
    database: Database,
    features: slice | str | None = None,
    **settings: Any,
) -> list[SAERecord]:
    """Finds what each feature fires on, and what it does, over a whole cache: `lmsaes analyze`.

    The settings are those of `AnalyzeConfig`, listed below. Special tokens and first positions are
    left out, as in training. An analysis that is in the database already is left as it is, one
    that was interrupted goes on. Several processes of a `torchrun` share the cache. Raises
    SAEError or ConfigError when an SAE does not fit the cache, ModelError when the model can't be
    loaded, DatabaseError when the database fails or another process analyzes under the same name,
    KeyboardInterrupt after it was asked to stop and has saved its state.

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
    device = resolve_device(own_device(config.device))
    jobs = [new_job(folder, cache, config, device) for folder in folders]
    _name(jobs, database, config.name)
    there = {record.name: record for record in database.saes()}
    for job in jobs:
        continue_earlier(job, there.get(job.name))
    with join_ranks() as ranks:
        todo = _not_current(jobs, database)
        ranks.wait()  # nobody publishes before all have looked
        if todo:
            _analyze(todo, cache, database, config, device, ranks)
        ranks.wait()
    finished = {record.name: record for record in database.saes()}
    return [finished[job.name] for job in jobs]


def _analyze(
    todo: list[Job],
    cache: ActivationCache,
    database: Database,
    config: AnalyzeConfig,
    device: torch.device,
    ranks: Ranks,
) -> None:
    first = ranks.rank == 0
    runs_on = str(device) if config.output_scores else None
    source = WeightSource(todo, cache, database, config.model, runs_on) if first else None
    with ExitStack() as stack:
        drafts: dict[str, Draft] = {}
        for job in todo if first else ():
            draft = database.draft(job.name, cache.identity, job.made_from)
            drafts[job.name] = stack.enter_context(draft)
        if first and ranks.size == 1:
            todo = _not_current(todo, database)  # another process may just have finished them
        if not todo:
            return
        if first:
            for job in todo:
                earlier_range(job, database)  # it may have been replaced before the lease was taken
            database.gc()
            _announce(todo, cache, database, device)
        _check_memory(todo)
        samples = pass_samples(cache, config)
        scratch = _scratch_folders(todo, database, config)
        scanned = [_scanned(job, cache, config, samples, scratch[job.name], ranks) for job in todo]
        share = -(-cache.rows // ranks.size)
        phases = storing_phases(todo, config.output_scores)
        with progress("analyzing", share, "tokens", shown=first, then=phases) as bar:
            scan(scanned, cache, device, bar.advance, ranks)
            if ranks.size > 1:
                _gather(scanned, todo, cache, config, samples, scratch, ranks)
            if source is not None:
                samples.reference.read(cache)
                bar.next_phase()
                all_pages = [
                    new_pages(
                        job,
                        each.findings,
                        cache.contexts,
                        len(source.vocabulary),
                        earlier_range(job, database),
                    )
                    for job, each in zip(todo, scanned, strict=True)
                ]
                if source.lm is not None and config.output_scores:
                    bar.next_phase()
                    _score(source.lm, all_pages, cache, samples.reference, config, bar.advance)
                store(all_pages, drafts, samples.reference, cache, database, source, bar)
                for folder in scratch.values():
                    shutil.rmtree(folder, ignore_errors=True)


def _score(
    lm: LanguageModel,
    all_pages: list[Pages],
    cache: ActivationCache,
    reference: ReferenceContexts,
    config: AnalyzeConfig,
    advance: Callable[[int], None],
) -> None:
    """Measures what some features of each SAE do to the next token."""
    for pages in all_pages:
        statistics, count = pages.findings.statistics, config.output_scores
        for score in analysis_scores(
            lm, pages.job, statistics, cache, reference.ids, count, config.seed
        ):
            pages.output[score.feature] = score
            advance(1)


def _name(jobs: list[Job], database: Database, name: str | None) -> None:
    """Gives each SAE its name in the database, and says which where that is not `run:sae`."""
    hashes = {job.folder: job.sae_hash for job in jobs}
    names = name_saes(hashes, {r.name: r for r in database.saes()}, name)
    for job in jobs:
        job.name = names[job.folder]
        if name is None and job.name != plain_name(job.folder):
            _log.info("analyze: %s is called %s in the database", job.folder, job.name)


def _not_current(jobs: list[Job], database: Database) -> list[Job]:
    """The SAEs whose analysis in the database is missing, or made from something else."""
    analyses = {record.name: record.analysis for record in database.saes()}
    todo = [job for job in jobs if not is_made_from(analyses.get(job.name, ""), job.made_from)]
    for job in jobs:
        if job not in todo:
            _log.info("analyze: %s is in the database already: nothing to do", job.name)
    return todo


def _announce(
    jobs: list[Job], cache: ActivationCache, database: Database, device: torch.device
) -> None:
    for job in jobs:
        _log.info(
            "analyze: %s, %d features of %s, up to %s in memory",
            job.name,
            job.count,
            ", ".join(job.hooks),
            format_bytes(job.count * _BYTES_PER_FEATURE),
        )
    _log.info(
        "         %s tokens of %s on %s, into %s",
        format_count(cache.rows),
        cache.path,
        device,
        database.place,
    )


def _check_memory(jobs: list[Job]) -> None:
    needed = sum(job.count for job in jobs) * _BYTES_PER_FEATURE + _BYTES_OF_THE_PASS
    free = free_memory(torch.device("cpu"))
    if free is not None and needed > free:
        raise ConfigError(
            f"the analysis may need {format_bytes(needed)} of memory, and {format_bytes(free)} is "
            "free",
            "analyze fewer SAEs at once, or ranges of their features with --features",
        )


def pass_samples(cache: ActivationCache, config: AnalyzeConfig) -> Samples:
    """The samples of contexts that the settings ask for."""
    counted, limit = max(1, config.token_rows // cache.context_size), None
    if counted < cache.contexts:
        last = lowest_contexts(cache.contexts, counted, config.seed)[-1:]
        limit = int(context_hashes(last, config.seed)[0])
        _log.info(
            "         tokens are counted over %s of %s contexts",
            format_count(counted),
            format_count(cache.contexts),
        )
    size = cache.context_size
    rows = max(1, config.sample_rows // size)
    reference = ReferenceContexts(cache.contexts, size, max(rows, _REFERENCE_CONTEXTS), config.seed)
    return Samples(reference, rows, limit)


def _scanned(
    job: Job,
    cache: ActivationCache,
    config: AnalyzeConfig,
    samples: Samples,
    folder: Path,
    ranks: Ranks,
    rank: int | None = None,
) -> ScannedSAE:
    """An SAE at the start of its pass, or where its checkpoint ended."""
    own = ranks.rank if rank is None else rank
    depth = Depth(config.top, config.samples, config.seed)
    part = f"{own}-of-{ranks.size}"
    findings = Findings(job.count, cache.context_size, depth, samples, folder, part)
    if rank is not None:
        if not findings.load():
            raise LmsaesError(
                f"what process {rank} of {ranks.size} found for {job.name} is not in {folder}",
                "all processes need the same --scratch; the same command goes on",
            )
    elif resume(findings, job.name):
        _log.info("analyze: %s goes on after %d contexts", job.name, findings.next)
    return ScannedSAE(job.folder, job.sae, job.hooks, job.target, job.features, findings)


def resume(findings: Findings, name: str) -> bool:
    """Whether it is where a checkpoint ended; a damaged one is told of and left."""
    try:
        return findings.load()
    except LmsaesError as error:
        _log.warning("analyze: %s; %s begins again", error, name)
        return False


def _gather(
    scanned: list[ScannedSAE],
    jobs: list[Job],
    cache: ActivationCache,
    config: AnalyzeConfig,
    samples: Samples,
    scratch: dict[str, Path],
    ranks: Ranks,
) -> None:
    """Brings what all processes found into the first one's findings, through the disk."""
    if ranks.rank:
        for each in scanned:
            each.findings.save()
    ranks.wait()
    if ranks.rank:
        return
    for job, each in zip(jobs, scanned, strict=True):
        for rank in range(1, ranks.size):
            other = _scanned(job, cache, config, samples, scratch[job.name], ranks, rank)
            each.findings.merge(other.findings)


def _scratch_folders(jobs: list[Job], database: Database, config: AnalyzeConfig) -> dict[str, Path]:
    """A folder for each SAE's analysis while it runs, the same when it is begun again."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    base = Path(config.scratch or Path(home) / "lmsaes" / "analyze")
    folders: dict[str, Path] = {}
    for job in jobs:
        own = content_hash({**job.made_from, "name": job.name, "database": database.place})
        folders[job.name] = base / own
        folders[job.name].mkdir(parents=True, exist_ok=True)
    return folders
