"""RUN/speed.jsonl: how fast a run goes, one object to a line for each report.

step, tokens        so far
seconds             since the line before, or since this process began to train
tokens_per_second   in that time
share_waited        of that time, in which training waited for rows

Of the first process, and apart from metrics.jsonl, whose bytes are the same whenever a run is
repeated.
"""

import json
import time
from pathlib import Path

from lmsaes.atomic import naming
from lmsaes.loader import LoaderStats
from lmsaes.training.metrics_file import read_metrics

SPEED = "speed.jsonl"


class Stopwatch:
    """Times the stretches of a run between reports."""

    def __init__(self, stats: LoaderStats, tokens: int) -> None:
        self._stats = stats
        self._last = time.perf_counter(), stats.seconds_waited, tokens

    def lap(self, tokens: int) -> dict[str, float]:
        """The speed since the last call; `tokens` have been trained on so far."""
        now = time.perf_counter(), self._stats.seconds_waited, tokens
        seconds, waited, trained = (a - b for a, b in zip(now, self._last, strict=True))
        self._last = now
        seconds = max(seconds, 1e-9)
        return {
            "seconds": seconds,
            "tokens_per_second": trained / seconds,
            "share_waited": min(waited / seconds, 1.0),
        }


def write_speed(run: Path, step: int, tokens: int, lap: dict[str, float]) -> None:
    """Adds a line to the run's file."""
    path = run / SPEED
    with naming(path), path.open("a") as file:
        line = {"step": step, "tokens": tokens, **lap}
        file.write(json.dumps(line, allow_nan=False) + "\n")


def mean_speed(run: Path) -> tuple[float | None, float | None]:
    """Tokens per second and the share of time spent waiting for rows, over what was measured of the
    run; None where nothing was.
    """
    seconds = tokens = waited = 0.0
    for line in read_metrics(run, name=SPEED):
        match [line.get(name) for name in ("seconds", "tokens_per_second", "share_waited")]:
            case [float(lap), float(rate), float(share)]:
                seconds, tokens, waited = seconds + lap, tokens + lap * rate, waited + lap * share
            case _:
                pass  # of a line that was damaged
    return (tokens / seconds, waited / seconds) if seconds > 0 else (None, None)
