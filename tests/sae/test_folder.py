"""Saving, loading, folding, and what a wrong folder says."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from lmsaes.errors import ConfigError, SAEError
from lmsaes.sae import (
    SAE,
    BatchTopKConfig,
    GatedConfig,
    HierarchicalTopKConfig,
    JumpReLUConfig,
    MatryoshkaConfig,
    PAnnealingConfig,
    ReLUConfig,
    SAEConfig,
    SparseRows,
    TopKConfig,
    weights_digest,
)
from tests.support.cut_off import run_alone

D = 8
CONFIGS: list[SAEConfig] = [
    TopKConfig(features=40, k=5),
    HierarchicalTopKConfig(features=40, k=5),
    BatchTopKConfig(features=40, k=5),
    MatryoshkaConfig(features=64, k=5),
    ReLUConfig(features=40, l1=2.0),
    PAnnealingConfig(features=40, l1=2.0),
    GatedConfig(features=40),
    JumpReLUConfig(features=40, threshold=0.3),
]


def trained(config: SAEConfig, d_out: int = D) -> SAE:
    """An SAE whose parameters are all away from their starting values."""
    if d_out != D:
        config = config.model_copy(update={"target": "another hook"})
    sae = SAE.create(config, D, d_out).double()
    with torch.no_grad():
        for parameter in sae.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, dtype=torch.float64))
    sae.after_update()
    x = torch.randn(50, D, dtype=torch.float64)
    sae.training_loss(
        x, torch.randn(50, d_out, dtype=torch.float64)
    )  # BatchTopK's threshold is found here
    return sae


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.architecture)
def test_load_gives_back_what_was_saved(config: SAEConfig, tmp_path: Path):
    sae = trained(config).float()
    sae.save(tmp_path / "sae")
    loaded = SAE.load(tmp_path / "sae")
    assert type(loaded) is type(sae)
    assert loaded.config == config
    x = torch.randn(7, D)
    assert torch.equal(loaded(x), sae(x))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.architecture)
@pytest.mark.parametrize("whitened", [False, True])
@pytest.mark.parametrize(("d_out", "skip"), [(D, False), (5, False), (5, True)])
def test_a_folded_sae_does_on_raw_rows_what_it_did_on_normalized_ones(
    config: SAEConfig, d_out: int, skip: bool, whitened: bool
):
    sae = trained(config.model_copy(update={"skip": skip}), d_out)
    mean_in, mean_out = torch.randn(D).double() * 3, torch.randn(d_out).double()
    scale_in, scale_out = torch.full((D,), 0.17).double(), torch.full((d_out,), 2.5).double()
    if whitened:  # symmetric matrices
        scale_in, scale_out = (
            torch.diag(scale) + 0.02 * torch.ones(len(scale), len(scale)).double()
            for scale in (scale_in, scale_out)
        )
    folded = sae.fold_normalization(mean_in, scale_in, mean_out, scale_out)
    raw = torch.randn(20, D).double() * 5 + mean_in
    normalized = (raw - mean_in) @ scale_in if whitened else (raw - mean_in) * scale_in
    expected = sae(normalized)
    expected = torch.linalg.solve(scale_out, expected.T).T if whitened else expected / scale_out
    torch.testing.assert_close(folded(raw), expected + mean_out)
    if d_out == D and not whitened:
        torch.testing.assert_close(folded.W_dec.norm(dim=1), torch.ones(sae.features).double())
    mask = sae.encode(normalized, dense=True) > 0
    assert torch.equal(folded.encode(raw, dense=True) > 0, mask)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.architecture)
def test_layer_norm_is_applied_and_undone_by_the_sae_itself(config: SAEConfig, tmp_path: Path):
    sae = trained(config.model_copy(update={"normalize": "layer_norm"})).float()
    raw = 5 * torch.randn(9, D) + 3
    mean, deviation = raw.mean(1, keepdim=True), raw.std(1, correction=0, keepdim=True)
    standard = (raw - mean) / deviation
    plain = SAE.create(config, D).float()
    plain.load_state_dict(sae.state_dict())
    sae.save(tmp_path / "sae")
    loaded = SAE.load(tmp_path / "sae")
    torch.testing.assert_close(loaded(raw), plain(standard) * deviation + mean)
    torch.testing.assert_close(loaded(standard), plain(standard))
    f = loaded.encode(raw)
    torch.testing.assert_close(f.dense(), plain.encode(standard, dense=True))
    with pytest.raises(SAEError, match="layer norm"):
        loaded.decode(f)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.architecture)
def test_a_subset_of_features_is_encoded_as_in_the_whole(config: SAEConfig):
    sae = trained(config)
    x = torch.randn(9, D).double()
    whole = sae.encode(x, dense=True)
    ids = torch.tensor([3, 31, 7])
    torch.testing.assert_close(sae.encode(x, slice(10, 20), dense=True), whole[:, 10:20])
    torch.testing.assert_close(sae.encode(x, ids, dense=True), whole[:, ids])
    torch.testing.assert_close(sae.encode(x).dense(), whole)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.architecture)
def test_decode_takes_sparse_and_dense(config: SAEConfig):
    sae = trained(config)
    f = sae.encode(torch.randn(9, D).double())
    torch.testing.assert_close(sae.decode(f), sae.decode(f.dense()))
    empty = SparseRows.above(torch.zeros(3, sae.features).double(), 0.0)
    torch.testing.assert_close(sae.decode(empty), sae.b_dec.expand(3, -1))


def test_k_beyond_the_number_of_features_is_refused():
    with pytest.raises(ValidationError, match="k = 9 is more than the 8 features"):
        TopKConfig(features=8, k=9)
    with pytest.raises(ConfigError, match="k = 9 is more than the 8 features"):
        SAE.create(TopKConfig(expansion=2, k=9), 4)


def test_the_loader_says_what_is_wrong_with_a_folder(tmp_path: Path):
    with pytest.raises(SAEError, match="is not a folder"):
        SAE.load(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SAEError, match="is missing"):
        SAE.load(tmp_path / "empty")
    folder = tmp_path / "sae"
    trained(CONFIGS[0]).float().save(folder)
    good = json.loads((folder / "config.json").read_text()) | {"config_sha256": None}

    def with_config(change: dict[str, object]) -> None:
        (folder / "config.json").write_text(json.dumps(good | change))

    with_config({"format": "other"})
    with pytest.raises(SAEError, match="was not written by lmsaes"):
        SAE.load(folder)
    with_config({"format_version": 99})
    with pytest.raises(SAEError, match="format version 99"):
        SAE.load(folder)
    with_config({"architecture": "vae"})
    with pytest.raises(SAEError, match="'vae' is not known"):
        SAE.load(folder)
    with_config({"features": 41, "config": good["config"] | {"features": 41}})
    with pytest.raises(SAEError, match="'W_enc' is"):
        SAE.load(folder)
    with_config({"features": 41})
    with pytest.raises(SAEError, match="41 features, by its settings 40"):
        SAE.load(folder)
    with_config({"d_in": 0})
    with pytest.raises(SAEError, match="d_in"):
        SAE.load(folder)
    (folder / "config.json").write_text("[" * 100_000)
    with pytest.raises(SAEError, match="is damaged"):
        SAE.load(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(SAEError, match="is damaged"):
        SAE.load(folder)
    with_config({})
    weights = (folder / "weights.safetensors").read_bytes()
    (folder / "weights.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(SAEError, match="is damaged"):
        SAE.load(folder)
    (folder / "weights.safetensors").unlink()
    with pytest.raises(SAEError, match="is incomplete"):
        SAE.load(folder)


def saved(folder: Path, seed: int = 0) -> Path:
    SAE.create(TopKConfig(features=40, k=5, seed=seed), D).save(folder)
    return folder


def test_one_flipped_bit_of_the_weights_is_found(tmp_path: Path):
    file = saved(tmp_path) / "weights.safetensors"
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)
    with pytest.raises(SAEError, match="its digest is not the one in") as error:
        SAE.load(tmp_path)
    assert str(file) in str(error.value)
    assert "\n" not in str(error.value)


def test_another_saes_weights_are_found(tmp_path: Path):
    other = saved(tmp_path / "other", seed=1) / "weights.safetensors"
    shutil.copy(other, saved(tmp_path / "sae") / "weights.safetensors")
    with pytest.raises(SAEError, match="its digest is not the one in"):
        SAE.load(tmp_path / "sae")


@pytest.mark.parametrize("part", [0, 0.5, 0.999])
def test_weights_that_are_cut_off_are_found(tmp_path: Path, part: float):
    file = saved(tmp_path) / "weights.safetensors"
    file.write_bytes(file.read_bytes()[: int(part * file.stat().st_size)])
    with pytest.raises(SAEError, match="is damaged"):
        SAE.load(tmp_path)


DIGESTS = ("weights_sha256", "config_sha256")


def without_digest(folder: Path, weights: dict[str, torch.Tensor]) -> None:
    """As somebody else's program may write it."""
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | dict.fromkeys(DIGESTS)))
    save_file(weights, folder / "weights.safetensors")


def test_a_tensor_that_is_not_the_architectures_is_refused(tmp_path: Path):
    weights = load_file(saved(tmp_path) / "weights.safetensors")
    without_digest(tmp_path, weights | {"threshold": torch.ones(40)})
    with pytest.raises(SAEError, match="'threshold' is not a topk SAE's"):
        SAE.load(tmp_path)


def test_a_missing_tensor_is_named(tmp_path: Path):
    weights = load_file(saved(tmp_path) / "weights.safetensors")
    del weights["b_dec"]
    without_digest(tmp_path, weights)
    with pytest.raises(SAEError, match="'b_dec' is missing"):
        SAE.load(tmp_path)


@pytest.mark.parametrize("umask", [0o077, 0o000])
def test_others_can_read_a_saved_sae_whatever_the_umask(tmp_path: Path, umask: int):
    before = os.umask(umask)
    try:
        saved(tmp_path / "sae")
    finally:
        os.umask(before)
    modes = {file.name: file.stat().st_mode & 0o777 for file in (tmp_path / "sae").iterdir()}
    assert modes == {"config.json": 0o644, "weights.safetensors": 0o644}


CUT_OFF = """
import sys
from pathlib import Path
import torch
from lmsaes.errors import SAEError
from lmsaes.sae import SAE, TopKConfig
from tests.support.cut_off import cut_off

old, new = (SAE.create(TopKConfig(features=40, k=5, seed=seed), 8) for seed in (0, 1))

def found(folder):
    try:
        W_enc = SAE.load(folder).W_enc
    except SAEError as error:
        assert "config.json is missing" in str(error) or "is not a folder" in str(error), error
        return "none"
    return "old" if torch.equal(W_enc, old.W_enc) else "new" * torch.equal(W_enc, new.W_enc)

for before in ("none", "old"):
    for number in range(100):
        folder = Path(sys.argv[1]) / f"{before}-{number}"
        if before == "old":
            old.save(folder)
        died = cut_off(lambda: new.save(folder), number, folder)
        after = found(folder)
        new.save(folder)
        print(before, after, found(folder))
        if not died:
            break
"""


def test_a_save_that_is_cut_off_leaves_the_old_sae_or_none(tmp_path: Path):
    outcomes = [line.split() for line in run_alone(CUT_OFF, tmp_path)]
    assert len(outcomes) > 10
    for before in ("none", "old"):
        mine = [after for start, after, _ in outcomes if start == before]
        assert mine[-1] == "new"  # the one that was not cut off
        stages = [before, "none", "new"]
        assert mine == sorted(mine, key=stages.index)
        assert "none" in mine
    assert {again for *_, again in outcomes} == {"new"}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    "config",
    [*CONFIGS, TopKConfig(features=40, k=5, normalize="layer_norm")],
    ids=lambda c: f"{c.architecture}-{c.normalize}",
)
def test_rows_as_caches_hold_them_are_computed_in_the_weights_dtype(
    config: SAEConfig, dtype: torch.dtype
):
    sae = trained(config).float()
    x = torch.randn(7, D).to(dtype)
    assert torch.equal(sae(x), sae(x.float()))
    for features in (None, slice(3, 9)):
        given = sae.encode(x, features, dense=True)
        assert given.dtype == torch.float32
        assert torch.equal(given, sae.encode(x.float(), features, dense=True))
    fired = sae.encode(x)
    half = fired.with_values(fired.values.to(dtype))
    for features in (half, half.dense()):
        given = sae.decode(features, x)
        assert given.dtype == torch.float32
        again = half.with_values(half.values.float())
        torch.testing.assert_close(given, sae.decode(again, x.float()))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_neither_saved_nor_loaded(tmp_path: Path, value: float):
    sae = SAE.create(CONFIGS[0], D)
    sae.save(tmp_path / "sae")
    with torch.no_grad():
        sae.W_dec[3, 2] = value
    with pytest.raises(SAEError, match="W_dec holds values that are not finite"):
        sae.save(tmp_path / "sae")
    assert torch.equal(SAE.load(tmp_path / "sae").W_enc, sae.W_enc)  # left as it was
    weights = load_file(tmp_path / "sae/weights.safetensors")
    save_file(weights | {"W_dec": sae.W_dec.detach()}, tmp_path / "sae/weights.safetensors")
    config = json.loads((tmp_path / "sae/config.json").read_text())
    config |= {"weights_sha256": weights_digest(tmp_path / "sae"), "config_sha256": None}
    (tmp_path / "sae/config.json").write_text(json.dumps(config))
    with pytest.raises(SAEError, match="W_dec holds values that are not finite") as error:
        SAE.load(tmp_path / "sae")
    assert "\n" not in str(error.value)


def test_weights_beyond_float32_are_refused_too(tmp_path: Path):
    sae = SAE.create(CONFIGS[4], D).double()
    with torch.no_grad():
        sae.b_enc[0] = 1e39
    sae.save(tmp_path)
    with pytest.raises(SAEError, match="b_enc holds values that are not finite"):
        SAE.load(tmp_path)


def test_a_transcoder_that_has_learned_nothing_can_be_folded():
    sae = SAE.create(TopKConfig(features=40, k=5, target="another"), D)
    one = torch.ones(D)
    assert sae.fold_normalization(0 * one, one, 0 * one, one).W_enc.isfinite().all()
