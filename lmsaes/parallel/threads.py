"""Threads that share torch's cores, and threads that read ahead of whoever needs what they read."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from queue import Queue
from typing import TypeVar

import torch

_PATIENCE = 2.0  # seconds

Task = TypeVar("Task")
Result = TypeVar("Result")


def threads_that_compute(workers: int, cores: int, name: str) -> ThreadPoolExecutor:
    """`workers` threads, in each of which torch computes on `cores` cores.

    `torch.set_num_threads` counts for the thread that calls it and for threads begun later, so
    the caller's number is put back when all have begun.
    """

    def begin() -> None:
        torch.get_num_threads()  # a thread's first look would undo what was set before
        torch.set_num_threads(cores)

    callers = torch.get_num_threads()
    executor = ThreadPoolExecutor(workers, name, begin)
    together = threading.Barrier(workers)
    for task in [executor.submit(together.wait) for _ in range(workers)]:
        task.result()
    torch.set_num_threads(callers)
    return executor


def map_ahead(
    work: Callable[[Task], Result], tasks: Iterable[Task], workers: int, name: str
) -> Iterator[Result]:
    """`work` of each task, in order, done by `workers` threads that are that many tasks ahead.

    What has not begun when the iteration ends is left undone.
    """
    with ThreadPoolExecutor(workers, name) as threads:
        yield from results_ahead(threads, work, tasks, workers)


def results_ahead(
    threads: Executor, work: Callable[[Task], Result], tasks: Iterable[Task], depth: int
) -> Iterator[Result]:
    """The same by threads that are there already, `depth` tasks ahead."""
    pending: deque[Future[Result]] = deque()
    try:
        for task in tasks:
            pending.append(threads.submit(work, task))
            if len(pending) > depth:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()


def iterate_ahead(items: Iterable[Result], depth: int, name: str) -> Iterator[Result]:
    """The same items, made by one thread that runs up to `depth` items ahead.

    Nobody waits long for the thread when the iteration ends early: it may be waiting for a network.
    """
    queue: Queue[tuple[Result] | BaseException | None] = Queue(depth)
    closed = threading.Event()

    def make() -> None:
        try:
            for item in items:
                if closed.is_set():
                    return
                queue.put((item,))
            queue.put(None)
        except BaseException as error:
            queue.put(error)

    thread = threading.Thread(target=make, name=name, daemon=True)
    thread.start()
    try:
        while (made := queue.get()) is not None:
            if isinstance(made, BaseException):
                raise made
            yield made[0]
    finally:
        closed.set()
        while not queue.empty():
            queue.get_nowait()
        # a thread that the interpreter finds in a library's code at its exit ends in an abort
        thread.join(_PATIENCE)
