"""The activation cache on disk. `docs/cache-format.md` is its specification.

writer.py ──► arrays.py (two formats, int8.py) ──► shards ──► commits.py ──► manifest.py
              statistics.py                                                      │
reader.py ◄── blocks.py (checked byte ranges) ◄──────────────────────────────────┘

location.py, object_store.py: a folder or a URL     extend.py: what a command adds to a cache
readers.py: nobody deletes what another reads
gpu_copy.py: to the host while the next batch is computed
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
