"""How well an SAE reconstructs: the one home of FVU, L0 and dead features.

reconstruction.py ◄── training, analysis
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
