"""Functions run by several processes at once, as `torchrun` starts them."""

import os
import socket
from collections.abc import Callable
from typing import Any

import torch
from torch import multiprocessing

from tests.support import commands  # noqa: F401  its processes are forked from a warm one


def run_ranks(size: int, function: Callable[..., None], *arguments: Any) -> None:
    """Runs `function(*arguments)` in `size` new processes, each with one thread; raises what one of
    them raises.

    They find each other as those of a torchrun do: `join_ranks` joins them.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = dict(os.environ)
    multiprocessing.start_processes(
        _run, (size, port, environment, function, arguments), size, start_method="forkserver"
    )


def _run(
    rank: int,
    size: int,
    port: int,
    environment: dict[str, str],
    function: Callable[..., None],
    arguments: tuple[Any, ...],
) -> None:
    os.environ.clear()  # it is that of the process that was forked
    os.environ |= environment | {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size),
        "LOCAL_WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    torch.set_num_threads(1)
    function(*arguments)
