"""Threads that share torch's cores."""

import threading
from concurrent.futures import ThreadPoolExecutor

import torch


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
