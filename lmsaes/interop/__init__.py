"""Other libraries' SAEs: read into ours, and ours written for them.

    source.py, hub.py ─► saelens  gemma_scope  dictionary_learning  sparsify  circuit_tracer …
    files.py              └─► published.py ─► compare.py (the source's formula) ─► SAE folder
    SAE folder ─► exports.py ─► saelens_export  sparsify  circuit_tracer  hub_export

One file per format, which says its layout and its formula.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
