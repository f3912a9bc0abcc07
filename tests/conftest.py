"""Fixtures that several test files share: the bundled model, loaded once."""

import os
import signal

# Set before anything of Hugging Face is imported: no test may depend on a hub, and commands run
# inside this process are to be as quiet as in one of their own.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers share the cores: threads that wait for each other would take turns on them.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path

import torch

# Without a GPU its kernels are interpreted. Triton asks for this when it is imported, which
# what is imported below may do.
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"

import pytest
from hypothesis import settings

from lmsaes.demo import MODEL
from lmsaes.model.language_model import LanguageModel

# Shells let what they start in the background ignore Ctrl-C, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine is no failure.
settings.register_profile("lmsaes", deadline=None)
settings.load_profile("lmsaes")


# With several workers, a file that takes long must not be the last to begin: longest first.
_LONG = [
    "test_crash_points.py", "ui/test_viewer.py", "docs/test_blocks.py", "cli/test_cli.py",
    "model/test_language_model.py", "analysis/test_analyze.py", "cache/test_object_store.py",
    "cache/test_kills.py", "cache/test_ranks.py", "cli/test_eval.py",
    "ui/test_access.py", "ui/test_browse.py", "ui/test_feature.py", "ui/test_graphs.py",
    "ui/test_pages.py", "analysis/test_adding_up.py",
]  # fmt: skip
_RANKS = {Path(__file__).parent / file: rank for rank, file in enumerate(_LONG)}
assert all(file.is_file() for file in _RANKS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _RANKS.get(item.path, len(_RANKS)))


@pytest.fixture(scope="session")
def language_model() -> LanguageModel:
    return LanguageModel.load(str(MODEL), device="cpu")
