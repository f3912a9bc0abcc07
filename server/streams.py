"""Answers that are written while they are made, as server-sent events."""

import threading
from collections.abc import AsyncGenerator, Callable, Generator
from queue import Queue

from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

EVENT_STREAM = "text/event-stream"


async def event_stream(
    events: Callable[[], Generator[str]], media_type: str = EVENT_STREAM
) -> StreamingResponse:
    """Sends what a generator gives, as it comes; it is closed when the client has gone.

    Raises what it raises before its first piece.
    """
    ready: Queue[str | Exception | None] = Queue()
    gone = threading.Event()

    def write() -> None:
        """In a thread of its own, so that a client who reads slowly doesn't keep the model."""
        making = events()
        try:
            for event in making:
                ready.put(event)
                if gone.is_set():
                    break
        except Exception as error:  # what it is is for the one who reads
            ready.put(error)
        finally:
            making.close()
            ready.put(None)

    async def read(first: str) -> AsyncGenerator[str]:
        try:
            event: str | Exception | None = first
            while isinstance(event, str):
                yield event
                event = await run_in_threadpool(ready.get)
        finally:
            gone.set()

    threading.Thread(target=write, name="events", daemon=True).start()
    first = await run_in_threadpool(ready.get)
    if isinstance(first, Exception):  # what is wrong at once is no stream
        raise first
    return StreamingResponse(read(first or ""), media_type=media_type)
