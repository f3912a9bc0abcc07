"""A language model under TransformerLens' hook names.

language_model.py   load · find hooks · run to the last hook · unembed
    ├─ hooks.py     hook points by name or glob, and the shape of one token's vector
    ├─ forward.py   the direct forward pass, where the bridge isn't needed
    ├─ parts.py     weights of attention heads and MLP neurons
    ├─ intervene.py run with activations replaced, and only the part above them
    └─ _compat.py   the private parts of other libraries that this touches
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
