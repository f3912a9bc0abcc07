"""What features stand for, in words.

labels.py   explanations that people write, to and from files ──► database
run.py      those that a language model writes, and how well they tell where a feature fires
  ├─ examples.py   contexts to explain by, and others to judge by
  ├─ prompts.py    what the model is asked, and how its answers are read
  ├─ endpoint.py   the server, within a budget
  └─ scoring.py    balanced accuracy, beside what its tokens alone would tell
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
