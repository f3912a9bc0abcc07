"""The model in the loop: own text through SAEs, and edits of features that act.

edits.py      what is to be done to a feature, where, and when
  └─ edited_forward.py   a model's pass over a growing text with edits at work
       ├─ generate.py    completions with and without edits, side by side
       └─ effects.py     what a feature does to the next token
own_text.py   a text's features, token by token
  └─ ranking.py          which of them to look at first
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
