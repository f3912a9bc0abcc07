"""Explanations by a language model, as jobs in the background of the server.

    POST /saes/{name}/explain ──► waiting ──► running ──► done │ failed │ cancelled

One runs at a time. Jobs are in this process's memory alone and end with it; what they write is in
the database at once, so that the same job, asked for again, goes on where the first one ended.
"""

import logging
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Path, Request

from lmsaes.database import SAERecord
from lmsaes.errors import ConfigError, LmsaesError
from lmsaes.explain.config import ExplainConfig

from .dependencies import CurrentSAE, CurrentStore
from .live_schemas import ExplainRequest, Job
from .middleware import with_hint
from .schemas import Problem
from .store import ConflictError, NotFoundError, ReplacedError, Store

if TYPE_CHECKING:
    from lmsaes.explain import Explained

UNFINISHED = 8
"""Jobs that may run or wait."""
_KEPT = 100  # jobs that can be asked for

_log = logging.getLogger("lmsaes")
router = APIRouter(tags=["jobs"])


@dataclass
class _Work:
    """A job, and what stops it."""

    job: Job
    config: ExplainConfig
    stop: threading.Event = field(default_factory=threading.Event)  # also set at its own end
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True
        self.stop.set()


class Jobs:
    """The jobs of one server. Threads may share it."""

    def __init__(self, explain: ExplainConfig | None) -> None:
        """explain: whom to ask and how much at most; None where nobody may be asked.

        Raises ConfigError where the client of such servers is not installed.
        """
        self._explain = explain
        self._work: dict[str, _Work] = {}  # oldest first
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(1, "jobs")
        if explain is not None:
            from lmsaes.explain.endpoint import check_client

            check_client()

    @property
    def explainer(self) -> str | None:
        """The model that writes the labels."""
        return None if self._explain is None else self._explain.explainer

    def explain(self, asked: ExplainRequest, record: SAERecord, store: Store) -> Job:
        """Has features explained as soon as no other job runs.

        Raises LmsaesError where the server was started without an explainer, ConfigError for what
        can't be asked for, and ConflictError where enough is waiting.
        """
        if self._explain is None:
            raise LmsaesError(
                "no explainer is served", "start lmsaes serve with --endpoint and --explainer"
            )
        config = _config(self._explain, asked, record)
        job = Job(
            id=secrets.token_hex(6),
            sae=record.name,
            explainer=str(config.explainer),
            start=asked.start,
            stop=asked.stop,
            score=asked.score,
            max_requests=config.max_requests,
            created=datetime.now(UTC),
        )
        with self._lock:
            unfinished = [each for each in self._work.values() if not each.job.ended]
            if len(unfinished) >= UNFINISHED:
                raise ConflictError(f"{UNFINISHED} jobs run or wait already: cancel one, or wait")
            for old in [k for k, each in self._work.items() if each.job.ended][: -_KEPT + 1]:
                del self._work[old]
            work = self._work[job.id] = _Work(job, config)
        self._pool.submit(self._run, work, store)
        return job

    def all(self) -> list[Job]:
        """Newest first."""
        with self._lock:
            return [work.job for work in reversed(self._work.values())]

    def get(self, id: str) -> Job:
        """Raises NotFoundError."""
        return self._find(id).job

    def cancel(self, id: str) -> Job:
        """Stops a job; what it is asking right now is still answered and kept."""
        work = self._find(id)
        work.cancel()
        if work.job.state == "waiting":
            self._change(work, state="cancelled", ended=datetime.now(UTC))
        return work.job

    def close(self) -> None:
        """Stops all jobs and waits for the one that runs."""
        for job in self.all():
            self.cancel(job.id)
        self._pool.shutdown(cancel_futures=True)

    def _find(self, id: str) -> _Work:
        with self._lock:
            work = self._work.get(id)
        if work is None:
            raise NotFoundError(f"no job {id}: jobs end with the server that they were given to")
        return work

    def _change(self, work: _Work, **changes: object) -> None:
        """Unless it has ended."""
        with self._lock:
            if not work.job.ended:
                work.job = work.job.model_copy(update=changes)

    def _run(self, work: _Work, store: Store) -> None:
        if work.cancelled:
            return self._change(work, state="cancelled", ended=datetime.now(UTC))
        self._change(work, state="running")
        state, detail = "failed", None
        try:
            found = self._explained(work, store)
            self._change(
                work,
                written=found.new,
                failed=len(found.failed),
                unfinished=found.unfinished,
                requests=found.requests,
            )
            state = "cancelled" if work.cancelled and found.unfinished else "done"
        except LmsaesError as error:
            detail = with_hint(error)
        except NotFoundError as error:
            detail = str(error)
        except ReplacedError:
            detail = "the SAE was analyzed again meanwhile: ask for it again"
        except Exception as error:  # nobody waits for this thread: the job has to say it
            _log.exception("job %s", work.job.id)
            detail = f"something unforeseen happened: {type(error).__name__}"
        self._change(work, state=state, detail=detail, ended=datetime.now(UTC))
        return None

    def _explained(self, work: _Work, store: Store) -> "Explained":
        from lmsaes.explain import explain_features

        def watch(what: str, done: int, total: int) -> None:
            self._change(work, what=what, done=done, total=total)

        record = store.sae(work.job.sae)
        return explain_features(store.database, record, work.config, watch, work.stop)


def _config(explain: ExplainConfig, asked: ExplainRequest, record: SAERecord) -> ExplainConfig:
    """What a job may do, of what the server may. Raises ConfigError for more."""
    start, stop = record.feature_range
    if not start <= asked.start < asked.stop <= stop:
        raise ConfigError(
            f"'{record.name}' has no features {asked.start} to {asked.stop}",
            f"features {start} to {stop - 1} were analyzed, and `stop` is the one after the last",
        )
    most = explain.max_requests
    if (asked.max_requests or 0) > most:
        raise ConfigError(f"{asked.max_requests} requests are more than the {most} of this server")
    changes = {
        "sae": record.name,
        "features": f"{asked.start}:{asked.stop}",
        "score": asked.score,
        "max_requests": asked.max_requests or most,
    }
    return explain.model_copy(update=changes)


def _jobs(request: Request) -> Jobs:
    return request.app.state.jobs


CurrentJobs = Annotated[Jobs, Depends(_jobs)]
Id = Annotated[str, Path(pattern="^[0-9a-f]{12}$")]


@router.post("/saes/{name}/explain", status_code=202, responses={409: {"model": Problem}})
def explain_features(
    asked: ExplainRequest, record: CurrentSAE, store: CurrentStore, jobs: CurrentJobs
) -> Job:
    """Has the server's explainer label features in the background."""
    return jobs.explain(asked, record, store)


@router.get("/jobs")
def jobs(jobs: CurrentJobs) -> list[Job]:
    """The jobs that were given to this server since it started, the newest first."""
    return jobs.all()


@router.get("/jobs/{id}")
def job(id: Id, jobs: CurrentJobs) -> Job:
    """One job."""
    return jobs.get(id)


@router.post("/jobs/{id}/cancel")
def cancel_job(id: Id, jobs: CurrentJobs) -> Job:
    """Stops a job; one that has ended stays as it is."""
    return jobs.cancel(id)
