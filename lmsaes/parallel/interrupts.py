"""Ctrl-C and SIGTERM in long work: the step is finished, then what is done is saved."""

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interruptible() -> Generator[threading.Event]:
    """An event that is set by the first such signal; a second one interrupts at once.

    Only the main thread may handle signals: elsewhere the event just stays unset.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def handle(number: int, frame: FrameType | None) -> None:
        asked.set()
        for each in _SIGNALS:
            signal.signal(each, before[each])

    before = {each: signal.signal(each, handle) for each in _SIGNALS}
    try:
        yield asked
    finally:
        for each in _SIGNALS:
            signal.signal(each, before[each])
