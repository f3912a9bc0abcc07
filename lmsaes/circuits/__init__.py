"""Attribution graphs: which features made the model say this, and how far to believe it.

trace.py          a prompt to a graph with its proof
  ├─ frozen.py         the model with attention patterns and norm denominators held
  ├─ transcoders.py    each MLP's transcoder, affine while its features fire
  ├─ replacement.py    MLP outputs as features and errors
  ├─ targets.py        what is explained
  ├─ edges.py          what each source adds to a target, by an explicit adjoint
  ├─ graph.py          the features that matter most, and all edges among them
  ├─ prune.py          what of it is shown; the field's two scores
  ├─ verify.py         predictions beside ablations in the real model
  │    └─ passes.py          that model's pass from a changed stream upward
  └─ heads.py          an edge divided up by attention head
shown.py          what of it is shown, as the database keeps it
  ├─ graph_file.py       the same as circuit-tracer's JSON
  └─ retrace.py          its prompt as it was traced, for what is asked later
       └─ intervene.py         nodes ablated or scaled, beside what is predicted
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
