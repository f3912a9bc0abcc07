"""The other SAEs that an SAE's features may have twins in: of the run, and of the database."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from lmsaes.analysis.jobs import Job
from lmsaes.analysis.pages import Pages
from lmsaes.analysis.sampled_rows import SampledRows, rows_of
from lmsaes.analysis.twins import find_twins
from lmsaes.database import Database, SAERecord
from lmsaes.errors import SAEError
from lmsaes.sae import SAE, sae_hash

_log = logging.getLogger("lmsaes")


@dataclass(frozen=True, slots=True)
class OtherSAE:
    """An SAE that was analyzed on the same rows."""

    name: str
    rows: SampledRows
    decoder: Tensor  # [features analyzed, d]
    start: int  # the first feature analyzed


def add_twins(all_pages: Sequence[Pages], database: Database) -> None:
    """Finds the twins of each SAE's features in every other SAE of the same hook."""
    for number, pages in enumerate(all_pages):
        job = pages.job
        own = _of_run(pages)
        for earlier in all_pages[:number]:
            if (earlier.job.hooks, earlier.job.target) == (job.hooks, job.target):
                other = _of_run(earlier)
                mine, theirs = find_twins(own.rows, other.rows, own.decoder, other.decoder)
                pages.twins[other.name], pages.twin_starts[other.name] = mine, other.start
                earlier.twins[own.name], earlier.twin_starts[own.name] = theirs, own.start
        in_run = {each.job.name for each in all_pages}
        for other in _of_database(job, database, in_run):
            mine, _ = find_twins(own.rows, other.rows, own.decoder, other.decoder)
            pages.twins[other.name], pages.twin_starts[other.name] = mine, other.start


def _of_run(pages: Pages) -> OtherSAE:
    job = pages.job
    decoder = job.sae.W_dec.detach()[job.range].cpu()
    return OtherSAE(job.name, pages.rows, decoder, job.range.start)


def _of_database(job: Job, database: Database, left_out: set[str]) -> Iterator[OtherSAE]:
    """Those of the same hook, analyzed on the same rows, whose weights are still there."""
    same = ("cache", "rows", "seed", "sample_rows", "version")
    for record in database.saes():
        other = record.made_from
        if (
            record.name in left_out
            or (record.hook, record.target) != (", ".join(job.hooks), job.target)
            or any(other.get(each) != job.made_from[each] for each in same)
        ):
            continue
        decoder = _decoder(record)
        if decoder is None:
            continue
        rows = rows_of(database.rows(record.analysis))
        if rows is not None:
            yield OtherSAE(record.name, rows, decoder, record.feature_range[0])


def _decoder(record: SAERecord) -> Tensor | None:
    """The decoder of an SAE in the database, if its folder still holds it."""
    folder = Path(record.sae_path)
    try:
        sae = SAE.load(folder)
        if sae_hash(folder, sae) == record.sae_hash:
            return sae.W_dec.detach()[slice(*record.feature_range)]
    except (SAEError, OSError):
        pass  # it is gone or damaged, which is no reason not to analyze another
    _log.info("analyze: no twins in %s, whose weights are no longer in %s", record.name, folder)
    return None
