"""What features stand for, in words.

labels.py   explanations that people write, to and from files ──► database
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
