"""One progress display for the long loops: a bar on a terminal, a line now and then elsewhere."""

import logging
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from lmsaes.units import format_count

_log = logging.getLogger("lmsaes")
_SECONDS_BETWEEN_LINES = 20.0


class ProgressReporter:
    """What a loop tells of itself: how far it is, and a few numbers."""

    def __init__(
        self,
        what: str,
        total: int,
        unit: str,
        done: int,
        bar: Progress | None,
        shown: bool = True,
    ) -> None:
        self._shown = shown
        self._what, self._total, self._unit, self._bar = what, total, unit, bar
        self._first, self._done = done, done
        self._start = self._last_line = time.monotonic()
        self._note = ""
        self._task: TaskID | None = None
        if bar is not None:
            self._task = bar.add_task(what, total=total, completed=done, rate="", note="")

    def advance(self, amount: int, note: str | None = None) -> None:
        """Counts `amount` more units as done; `note` replaces the text beside the bar."""
        self._done += amount
        if note is not None:
            self._note = note
        now = time.monotonic()
        rate = (self._done - self._first) / max(now - self._start, 1e-9)
        shown = f"{format_count(rate)} {self._unit}/s"
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self._done, rate=shown, note=self._note)
        elif self._shown and now - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = now
            left = (self._total - self._done) / max(rate, 1e-9)
            share = 100 * self._done / max(self._total, 1)
            _log.info(
                "%s: %.0f %% · %s · %.0f s left %s", self._what, share, shown, left, self._note
            )


@contextmanager
def progress(
    what: str, total: int, unit: str, done: int = 0, shown: bool = True
) -> Generator[ProgressReporter]:
    """A reporter for a loop over `total` units, of which `done` were there before it started.

    shown: false where another process shows how far all are.
    """
    if not shown:
        yield ProgressReporter(what, total, unit, done, None, shown)
        return
    if not sys.stderr.isatty():
        yield ProgressReporter(what, total, unit, done, None)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        yield ProgressReporter(what, total, unit, done, bar)
