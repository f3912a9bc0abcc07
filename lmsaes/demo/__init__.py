"""A small language model and its text, so that nothing has to be downloaded for a first try.

`README.md` beside this file is the model's card.
"""

from pathlib import Path

_FOLDER = Path(__file__).parent

MODEL = _FOLDER / "model"
"""The model, in Hugging Face layout."""

TEXT = _FOLDER / "text.jsonl.gz"
"""Documents that it was trained on, `{"text": ..., "source": ...}` a line, in mixed order."""

HELDOUT = _FOLDER / "heldout.jsonl.gz"
"""Documents that it was not trained on."""

SWEEP = _FOLDER / "sweep.toml"
"""The SAEs that the demo trains."""
