"""Stage three: one read of a cache for many SAEs, and what was found into the database.

config.py ──────► run.py ──► top_contexts.py (per-feature state that doesn't grow with the cache)
                 │   └─────► logits.py (tokens that features promote and suppress) ──► database
identity.py ─────┘           what it is made from, and the SAE's name
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
