"""The model of an SAE is compared with the cache of its training, or it is said why not."""

import logging
import shutil
from pathlib import Path

import pytest

from lmsaes import cache_activations
from lmsaes.cache import ActivationCache
from lmsaes.errors import ModelError
from lmsaes.model import LanguageModel
from lmsaes.sae import SAE, TopKConfig
from lmsaes.sae.origin import Metrics, Provenance
from lmsaes.steering import find_model
from tests.support.small_capture import SMALL


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> ActivationCache:
    out = tmp_path_factory.mktemp("find") / "cache"
    return cache_activations(**SMALL, hooks="blocks.1.hook_resid_post", out=out, tokens=96)


@pytest.fixture
def sae(cache: ActivationCache, tmp_path: Path) -> SAE:
    shutil.copytree(cache.path, tmp_path / "cache")
    found = SAE.create(TopKConfig(features=8, k=2), 64)
    found.provenance = Provenance(
        hooks=("blocks.1.hook_resid_post",), cache=str(tmp_path / "cache"),
        cache_identity=cache.identity, model=SMALL["model"], dataset="text", context_size=32,
        tokens=96, steps=1, batch_size=8, shuffle_buffer=8, seed=0, lr=0.1, warmup=0,
        dead_window=9, metrics=Metrics(fvu=None, l0=None, dead_fraction=None, rows=0),
    )  # fmt: skip
    return found


def compared(sae: SAE, caplog: pytest.LogCaptureFixture, name: str | None = None) -> str:
    caplog.clear()
    with caplog.at_level(logging.INFO, "lmsaes"):
        assert find_model(sae, name, "cpu").record.name
    return caplog.text


def test_it_is_compared_where_the_cache_is_there(
    sae: SAE, llama: LanguageModel, caplog: pytest.LogCaptureFixture
):
    assert compared(sae, caplog) == ""
    with pytest.raises(ModelError, match="is not the model that"):
        find_model(sae, llama.record.name, "cpu")


def test_else_it_is_said_why_it_is_not(sae: SAE, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    manifest = tmp_path / "cache/manifest.json"
    whole = manifest.read_text()
    manifest.write_text(whole.replace('"seed": 0', '"seed": 1'))
    assert "another one is in" in compared(sae, caplog)
    manifest.write_text(whole[:100])
    assert "is damaged" in compared(sae, caplog)
    shutil.rmtree(tmp_path / "cache")
    assert "is not an activation cache" in compared(sae, caplog)
    assert sae.provenance is not None
    sae.provenance.cache = "s3://key:secret@bucket/cache"
    said = compared(sae, caplog)
    assert "has keys in it" in said
    assert "secret" not in said
