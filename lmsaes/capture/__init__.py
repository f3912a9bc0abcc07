"""Stage one: text and a language model into an activation cache.

config.py ──► plan.py (what the cache is to be) ──► run.py (text × model ──► CacheWriter)
verify.py   a cache against its model            retokenize.py   its text tokenized again
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
