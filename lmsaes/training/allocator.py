"""The C library's allocator: memory that a training step frees is kept for the next one."""

import ctypes
import functools

# Parameters of glibc's mallopt(3).
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_LARGE = 2**30


@functools.cache
def keep_freed_memory() -> None:
    """Has the C library keep freed blocks of up to 1 GiB instead of giving them to the system.

    Gradients and temporaries of a step are megabytes, come and go in every step, and would be
    mapped and cleared page by page each time: 7 to 13 % of a step where that happens. It holds for
    the whole process, which then keeps as much memory as it once needed: `train` calls it on a CPU,
    a `SAETrainer` used alone doesn't. Other C libraries than glibc are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGE)
        mallopt(_TRIM_THRESHOLD, _LARGE)
        mallopt(_ARENA_MAX, 1)  # other threads' arenas map each block above 64 MiB by itself
