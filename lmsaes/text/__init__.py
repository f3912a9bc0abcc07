"""Text as a deterministic, seekable stream of contexts of token ids.

datasets.py ──► documents ──► tokenizer.py ──► packing.py ──► contexts [n, context_size]
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
