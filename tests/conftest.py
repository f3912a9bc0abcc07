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


@pytest.fixture(scope="session")
def language_model() -> LanguageModel:
    return LanguageModel.load(str(MODEL), device="cpu")
