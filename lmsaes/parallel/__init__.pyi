"""What this room offers to others; `__init__.py` loads each name when it is first asked for."""

from .devices import free_memory, own_device, resolve_device, widest_float
from .interrupts import interruptible
from .locks import try_lock
from .ranks import Collectives, GroupRanks, OneRank, Ranks, is_first_rank, join_ranks, local_ranks
from .threads import iterate_ahead, map_ahead, results_ahead, threads_that_compute

__all__ = [
    "Collectives",
    "GroupRanks",
    "OneRank",
    "Ranks",
    "free_memory",
    "interruptible",
    "is_first_rank",
    "iterate_ahead",
    "join_ranks",
    "local_ranks",
    "map_ahead",
    "own_device",
    "resolve_device",
    "results_ahead",
    "threads_that_compute",
    "try_lock",
    "widest_float",
]
