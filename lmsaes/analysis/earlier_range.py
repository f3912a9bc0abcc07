"""Ranges of features that add up: an analysis goes on where an earlier one of other features ended.

--features 0:512  ─► stored ─┐
--features 512:1024 ─► pass ─┴─► one analysis of 0:1024: what compares features (neighbors,
                                 partners, twins, features of a token) is found among all
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lmsaes.analysis.jobs import Job
from lmsaes.analysis.sampled_rows import SampledRows, rows_of, rows_records
from lmsaes.database import (
    Database,
    FeatureRecord,
    SAERecord,
    SampleRecord,
)
from lmsaes.errors import ConfigError, DatabaseError

_BATCH = 256


def continue_earlier(job: Job, record: SAERecord | None) -> None:
    """Makes the job what is still to be done of its features.

    Where the analysis in the database is of the same but for the range of features, and the
    ranges meet, the job is of those that are missing, and its result of both. Raises ConfigError
    where there are features between them that neither has.
    """
    if record is None or job.whole or not _same_but_for_range(job, record):
        return
    there, wanted = range(*record.feature_range), range(job.features.start, job.features.stop)
    if wanted.start >= there.start and wanted.stop <= there.stop:
        job.made_from = record.made_from  # nothing is missing
        return
    if wanted.start <= there.start and wanted.stop >= there.stop:
        return  # all of it again: it lies in the middle
    if wanted.start > there.stop or wanted.stop < there.start:
        between = sorted([wanted.start, wanted.stop, there.start, there.stop])[1:3]
        raise ConfigError(
            f"features {there.start} to {there.stop - 1} of '{record.name}' are in the database, "
            f"{between[0]} to {between[1] - 1} would be missing",
            f"ranges add up where they meet: analyze --features {between[0]}:{between[1]} first, "
            "or give another --name",
        )
    job.earlier = record
    if wanted.start < there.start:
        job.features = slice(wanted.start, there.start)
    else:
        job.features = slice(there.stop, wanted.stop)
    job.made_from = {**job.made_from, "features": [job.range.start, job.range.stop]}


def _same_but_for_range(job: Job, record: SAERecord) -> bool:
    facts = [{**each, "features": None} for each in (job.made_from, record.made_from)]
    return facts[0] == facts[1]


@dataclass(frozen=True, slots=True)
class EarlierRange:
    """What an earlier analysis of other features has, read as it is needed."""

    record: SAERecord
    database: Database
    first: bool  # whether its features come before the others

    def with_rows(self, rows: SampledRows) -> SampledRows:
        """Its features' firings on the sampled rows beside those of `rows`, in their order."""
        stored = self.database.rows(self.record.analysis)
        own = list(rows_records(rows))
        joined = rows_of([*stored, *own] if self.first else [*own, *stored])
        return rows if joined is None else joined

    def features(self) -> Iterator[FeatureRecord]:
        for wanted in self._batches():
            found = self.database.features(self.record.analysis, wanted)
            yield from found.values()

    def samples(self) -> Iterator[SampleRecord]:
        """All groups of contexts of all features, as they are stored."""
        for wanted in self._batches():
            for group in self.record.groups:
                yield from self.database.samples(self.record.analysis, wanted, group).values()

    def _batches(self) -> Iterator[range]:
        every = range(*self.record.feature_range)
        for place in range(0, len(every), _BATCH):
            yield every[place : place + _BATCH]


def earlier_range(job: Job, database: Database) -> EarlierRange | None:
    """The analysis that the job's features are added to.

    Raises DatabaseError where it has been replaced since.
    """
    if job.earlier is None:
        return None
    now = database.sae(job.earlier.name)
    if now is None or now.analysis != job.earlier.analysis:
        raise DatabaseError(
            f"the analysis of '{job.earlier.name}' was replaced meanwhile",
            "run the same command again",
        )
    return EarlierRange(now, database, now.feature_range[0] < job.features.start)
