from pathlib import Path

import pytest

from lmsaes.demo import MODEL
from lmsaes.model import LanguageModel
from tests.support.tiny_models import tiny_llama


@pytest.fixture(scope="session")
def gpt2() -> LanguageModel:
    return LanguageModel.load(str(MODEL), "cpu")


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    folder: Path = tmp_path_factory.mktemp("model")
    return LanguageModel.load(tiny_llama(folder / "llama"), "cpu")


@pytest.fixture(params=["gpt2", "llama"])
def lm(request: pytest.FixtureRequest) -> LanguageModel:
    return request.getfixturevalue(request.param)
