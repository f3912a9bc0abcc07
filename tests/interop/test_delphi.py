"""Delphi's cache of latents, from a cache and an SAE."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from lmsaes import export_sae
from lmsaes.errors import ConfigError
from lmsaes.interop import delphi
from lmsaes.sae import SAE, TopKConfig
from tests.support.made_up_cache import made_up_cache

FEATURES, SPLITS = 40, 3


def written(tmp_path: Path) -> tuple[SAE, Path]:
    cache = made_up_cache(
        tmp_path / "cache", 30, context_size=8, hooks={"blocks.1.hook_resid_post": 6}
    )
    sae = SAE.create(TopKConfig(features=FEATURES, k=4, hook="blocks.1.hook_resid_post"), 6)
    sae.save(tmp_path / "sae")
    (folder,) = export_sae(
        tmp_path / "sae", "delphi", tmp_path / "latents", cache=str(cache.path), splits=SPLITS
    )
    return SAE.load(tmp_path / "sae"), folder


def test_every_activation_is_in_the_split_of_its_feature(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(delphi, "_VALUES", FEATURES * 8 * 7)  # chunks that divide nothing evenly
    sae, folder = written(tmp_path)
    from lmsaes.cache import ActivationCache

    cache = ActivationCache.open(tmp_path / "cache")
    x = cache.activations("blocks.1.hook_resid_post", 0, 30).flatten(0, 1)
    dense = sae.encode(x, dense=True).reshape(30, 8, FEATURES)
    dense = dense * cache.valid_positions(cache.tokens(0, 30))[..., None]
    found = torch.zeros(30, 8, FEATURES)
    assert sorted(p.name for p in folder.glob("*.safetensors")) == [
        "0_12.safetensors", "13_25.safetensors", "26_39.safetensors",
    ]  # fmt: skip
    for file in folder.glob("*.safetensors"):
        first = int(file.stem.partition("_")[0])
        split = load_file(file)
        assert split["locations"].dtype == np.uint16
        assert split["activations"].dtype == np.float16
        assert np.array_equal(split["tokens"], cache.tokens(0, 30).numpy())
        places = split["locations"].astype(np.int64)
        # the order of torch.nonzero: contexts, positions, features
        keys = (places[:, 0] * 8 + places[:, 1]) * FEATURES + places[:, 2]
        assert (np.diff(keys) > 0).all()
        found[places[:, 0], places[:, 1], places[:, 2] + first] = torch.from_numpy(
            split["activations"].astype(np.float32)
        )
    assert int((dense > 0).sum()) > 100
    torch.testing.assert_close(found, dense, rtol=1e-3, atol=1e-3)
    assert folder.name == "layers.1"
    config = json.loads((folder / "config.json").read_text())
    assert (config["cache_ctx_len"], config["n_splits"]) == (8, SPLITS)
    assert list(folder.glob("*.tmp")) == []


def test_what_is_missing_is_asked_for(tmp_path: Path):
    SAE.create(TopKConfig(features=FEATURES, k=4, hook="hook"), 6).save(tmp_path / "sae")
    with pytest.raises(ConfigError, match="--cache is missing"):
        export_sae(tmp_path / "sae", "delphi", tmp_path / "latents")
