"""The two models that steering is tested on."""

import pytest

from lmsaes.model import LanguageModel
from tests.support.tiny_models import tiny_llama


@pytest.fixture(scope="session")
def llama(tmp_path_factory) -> LanguageModel:
    return LanguageModel.load(tiny_llama(tmp_path_factory.mktemp("llama") / "model"), "cpu")


@pytest.fixture(params=["demo", "llama"])
def lm(request, language_model, llama) -> LanguageModel:
    return language_model if request.param == "demo" else llama
