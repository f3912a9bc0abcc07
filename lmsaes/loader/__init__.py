"""Batches of a cache's rows in random order, as fast as memory and disk allow.

row_filters.py  which rows        pool.py      where blocks are: page cache, memory or GPU
order.py        which row when    windows.py   the stretch of the epoch that is handed out now
prefetch.py     the threads that fill the pool and gather batches (buffers.py: their memory)
loader.py       `ShuffledLoader`  shuffle_quality.py   how well it mixes
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
