"""What a progress display tells: how far the whole command is, and the time left for all of it."""

import logging

import pytest

from lmsaes import progress as module
from lmsaes.progress import Phase, progress


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage().strip() for record in caplog.records]


def test_the_time_left_covers_the_phases_that_follow(clock: Clock, caplog):
    """As long as they are not begun by what they are known to take, then as measured."""
    caplog.set_level(logging.INFO, logger="lmsaes")
    with progress("mining", 100, "tokens", then=[Phase("storing", 40, "features", 2.0)]) as bar:
        clock.now = 30
        bar.advance(50)  # 30 s more, and 80 s of storing
        clock.now = 60
        bar.advance(50)
        bar.next_phase()
        clock.now = 100
        bar.advance(10)  # 4 s each
    assert lines(caplog) == [
        "mining: 21 % · 1.67 tokens/s · 2 min left",
        "mining: 43 % · 1.67 tokens/s · 80 s left",
        "storing: 45 % · 0.25 features/s · 2 min left",
    ]


def test_a_phase_whose_pace_is_unknown_is_taken_to_go_like_the_one_before(clock: Clock, caplog):
    caplog.set_level(logging.INFO, logger="lmsaes")
    with progress("adding hooks", 100, "tokens", then=[Phase("caching", 300, "tokens")]) as bar:
        clock.now = 25
        bar.advance(50)
    assert lines(caplog) == ["adding hooks: 12 % · 2 tokens/s · 3 min left"]


def test_what_was_there_before_counts_as_done_but_not_as_pace(clock: Clock, caplog):
    caplog.set_level(logging.INFO, logger="lmsaes")
    with progress("caching", 100, "tokens", done=60) as bar:
        clock.now = 20
        bar.advance(20)
    assert lines(caplog) == ["caching: 80 % · 1 tokens/s · 20 s left"]


def test_only_the_rank_that_shows_progress_tells_of_it(clock: Clock, caplog):
    caplog.set_level(logging.INFO, logger="lmsaes")
    with progress("caching", 100, "tokens", shown=False) as bar:
        clock.now = 50
        bar.advance(50)
    assert lines(caplog) == []
