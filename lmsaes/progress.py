"""One progress display for the long loops: a bar on a terminal, a line now and then elsewhere.

A command whose work has several phases announces them all when it begins, and the time left covers
them: the present one as measured, the others as told.
"""

import logging
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from lmsaes.units import format_count, format_duration

_log = logging.getLogger("lmsaes")
_SECONDS_BETWEEN_LINES = 20.0


@dataclass(frozen=True)
class Phase:
    """A part of a command's work, over `total` units.

    seconds: about how long a unit takes, until that is measured; None: as long as a unit of the
    phase before it.
    """

    what: str
    total: int
    unit: str
    seconds: float | None = None


class ProgressReporter:
    """What a loop tells of itself: how far it is, and a few numbers."""

    def __init__(self, phases: Sequence[Phase], done: int, bar: Progress | None, shown: bool):
        self._phases = list(phases)
        self._bar, self._shown = bar, shown
        self._first, self._done = done, done
        self._start = self._phase_start = self._last_line = time.monotonic()
        self._note = ""
        self._task: TaskID | None = None
        if bar is not None:
            self._task = bar.add_task(self._phases[0].what, total=1.0, rate="", left="", note="")

    def advance(self, amount: int, note: str | None = None) -> None:
        """Counts `amount` more units as done; `note` replaces the text beside the bar."""
        self._done += amount
        if note is not None:
            self._note = note
        now = time.monotonic()
        phase = self._phases[0]
        rate = (self._done - self._first) / max(now - self._phase_start, 1e-9)
        left = self._seconds_left(rate)
        share = self._share(now, left)
        shown = f"{format_count(rate)} {phase.unit}/s"
        time_left = f"{format_duration(left)} left"
        if self._bar is not None and self._task is not None:
            self._bar.update(
                self._task,
                description=phase.what,
                completed=share,
                rate=shown,
                left=time_left,
                note=self._note,
            )
        elif self._shown and now - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = now
            _log.info(
                "%s: %.0f %% · %s · %s %s", phase.what, 100 * share, shown, time_left, self._note
            )

    def next_phase(self, total: int | None = None) -> None:
        """Goes on to the next phase that was announced; `total`: its units, if known better."""
        self._phases.pop(0)
        if total is not None:
            phase = self._phases[0]
            self._phases[0] = Phase(phase.what, total, phase.unit, phase.seconds)
        self._first = self._done = 0
        self._phase_start = time.monotonic()

    def _seconds_left(self, rate: float) -> float:
        """Of this phase at its own rate, and of those that follow."""
        seconds = 1 / max(rate, 1e-9)
        left = max(self._phases[0].total - self._done, 0) * seconds
        for phase in self._phases[1:]:
            seconds = seconds if phase.seconds is None else phase.seconds
            left += phase.total * seconds
        return left

    def _share(self, now: float, left: float) -> float:
        """Of the whole work: in units where there is one phase, else in time."""
        if len(self._phases) == 1 and self._phase_start == self._start:
            return min(self._done / max(self._phases[0].total, 1), 1.0)
        spent = now - self._start
        return spent / max(spent + left, 1e-9)


@contextmanager
def progress(
    what: str, total: int, unit: str, done: int = 0, shown: bool = True, then: Sequence[Phase] = ()
) -> Generator[ProgressReporter]:
    """A reporter for a loop over `total` units, of which `done` were there before it started.

    shown: false where another process shows how far all are. then: what follows the loop in the
    same command, which `next_phase` goes on to.
    """
    phases = [Phase(what, total, unit), *then]
    if not shown or not sys.stderr.isatty():
        yield ProgressReporter(phases, done, None, shown)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        yield ProgressReporter(phases, done, bar, shown)
