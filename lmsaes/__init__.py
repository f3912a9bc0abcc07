"""Sparse autoencoders on cached language-model activations.

    cache_activations ─► ActivationCache ─► ShuffledLoader ─► train ─► SAE ─► analyze ─► Database
                                                                    └─► evaluate

The stages' commands are these functions: `lmsaes cache` is `cache_activations`, `lmsaes train` is
`train`, `lmsaes eval` is `evaluate`, `lmsaes analyze` is `analyze`. A name is imported when it is
first asked for: `import lmsaes` alone loads neither torch nor pymongo.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
