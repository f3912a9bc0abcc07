"""Exports without the other libraries: what is written is read back, refused or left alone."""

import json
import logging
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from lmsaes import export_sae, import_sae
from lmsaes.cli.app import app
from lmsaes.errors import ConfigError, SAEError
from lmsaes.sae import SAE, GatedConfig, ReLUConfig, SAEConfig, TopKConfig
from tests.interop.made_up import (
    FEATURES,
    RESID,
    SAES,
    TOPK_TRANSCODERS,
    TRANSCODER,
    TRANSCODERS,
    D,
    made_up,
)

SAELENS = SAES | TRANSCODERS
SPARSIFY = {name: SAES[name] for name in ("topk", "hierarchical")} | TOPK_TRANSCODERS


def saved(config: SAEConfig, folder: Path, name: str = "") -> Path:
    made_up(config, name).save(folder)
    return folder


@pytest.mark.parametrize(
    ("to", "name"),
    [*(("saelens", name) for name in SAELENS), *(("sparsify", name) for name in SPARSIFY)],
)
def test_an_sae_comes_back_from_its_export_as_it_was(to: str, name: str, tmp_path: Path):
    config = (SAELENS | TOPK_TRANSCODERS)[name]
    (theirs,) = export_sae(saved(config, tmp_path / "ours", name), to, tmp_path / "theirs")
    (back,) = import_sae(theirs, tmp_path / "back")
    x = torch.randn(200, D)
    before, after = SAE.load(tmp_path / "ours"), SAE.load(back)
    torch.testing.assert_close(after(x), before(x), rtol=1e-4, atol=1e-4)
    assert torch.equal(after.encode(x, dense=True) != 0, before.encode(x, dense=True) != 0)
    assert after.config.inputs == before.config.inputs or to == "sparsify"
    assert (after.config.target, after.config.skip) == (config.target, config.skip)
    if to == "saelens":  # which keeps what it doesn't know
        assert after.config.architecture == config.architecture


@pytest.mark.parametrize(
    ("to", "config", "why"),
    [
        ("saelens", TOPK_TRANSCODERS["topk-transcoder"], "TopK transcoder, and SAELens has no"),
        ("saelens", GatedConfig(**TRANSCODER), "gated transcoder, and SAELens has no class"),
        ("saelens", ReLUConfig(features=FEATURES, hooks=(RESID, "x")), "is a crosscoder"),
        ("sparsify", SAES["batchtopk"], "is batchtopk, and sparsify has TopK SAEs alone"),
        ("sparsify", SAES["topk-layer-norm"], "layer norm, which sparsify doesn't have"),
        ("circuit-tracer", SAES["topk"], "is no transcoder of one width"),
        ("circuit-tracer", GatedConfig(**TRANSCODER), "is gated"),
    ],
)
def test_what_a_library_has_no_class_for_is_refused_by_name(
    to: str, config: SAEConfig, why: str, tmp_path: Path
):
    width = D * max(1, len(config.hooks))
    SAE.create(config, width).save(tmp_path / "ours")
    with pytest.raises(SAEError, match=why):
        export_sae(tmp_path / "ours", to, tmp_path / "theirs")
    assert not (tmp_path / "theirs").exists()


def test_all_saes_of_a_run_are_checked_before_the_first_is_written(tmp_path: Path):
    saved(SAES["topk"], tmp_path / "run/a")
    saved(TOPK_TRANSCODERS["topk-transcoder"], tmp_path / "run/b")
    with pytest.raises(SAEError, match="TopK transcoder"):
        export_sae(tmp_path / "run", "saelens", tmp_path / "theirs")
    assert not (tmp_path / "theirs").exists()


def test_a_run_becomes_a_folder_for_each_sae(tmp_path: Path):
    for name in ("topk", "gated"):
        saved(SAES[name], tmp_path / "run" / name)
    folders = export_sae(tmp_path / "run", "saelens", tmp_path / "theirs")
    assert folders == [tmp_path / "theirs" / name for name in ("gated", "topk")]


def test_two_saes_of_one_hook_have_one_place_in_sparsify(tmp_path: Path):
    for name in ("topk", "hierarchical"):
        saved(SAES[name], tmp_path / "run" / name)
    with pytest.raises(ConfigError, match=r"several SAEs would be .*layers\.1"):
        export_sae(tmp_path / "run", "sparsify", tmp_path / "theirs")


def test_transcoders_of_some_layers_are_no_set(tmp_path: Path):
    config = TopKConfig(features=FEATURES, k=5, hook="blocks.2.mlp.hook_in",
                        target="blocks.2.hook_mlp_out")  # fmt: skip
    saved(config, tmp_path / "tc")
    with pytest.raises(SAEError, match="a transcoder for each layer: 0, 1 missing"):
        export_sae(tmp_path / "tc", "circuit-tracer", tmp_path / "set")


def test_the_same_export_again_does_nothing_and_another_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO, "lmsaes")
    ours = saved(SAES["topk"], tmp_path / "ours")
    other = saved(SAES["gated"], tmp_path / "other")
    for to in ("saelens", "sparsify"):
        out = tmp_path / to
        (folder,) = export_sae(ours, to, out)
        written = {p: p.stat().st_mtime_ns for p in folder.iterdir()}
        export_sae(ours, to, out)
        assert "is there already: nothing to do" in caplog.text
        assert {p: p.stat().st_mtime_ns for p in folder.iterdir()} == written
    with pytest.raises(SAEError, match="holds something else"):
        export_sae(other, "saelens", tmp_path / "saelens")
    export_sae(other, "saelens", tmp_path / "saelens", overwrite=True)
    cfg = json.loads((tmp_path / "saelens/cfg.json").read_text())
    assert cfg["architecture"] == "gated"


def test_no_folder_of_this_machine_stands_in_an_export(tmp_path: Path):
    for name, config in {"topk": SAES["topk"], **TOPK_TRANSCODERS}.items():
        ours = saved(config, tmp_path / "ours" / name)
        for to in ("saelens", "sparsify", "circuit-tracer"):
            try:
                (folder,) = export_sae(ours, to, tmp_path / "out" / to / name)
            except SAEError:
                continue
            for file in folder.iterdir():
                assert b"/home/somebody" not in file.read_bytes()
                assert str(tmp_path).encode() not in file.read_bytes()


def test_the_metadata_that_saelens_needs_is_there(tmp_path: Path):
    (folder,) = export_sae(saved(SAES["hook-z"], tmp_path / "ours"), "saelens", tmp_path / "out")
    cfg = json.loads((folder / "cfg.json").read_text())
    assert cfg["reshape_activations"] == "hook_z"
    assert cfg["apply_b_dec_to_input"] is False
    metadata = cfg["metadata"]
    assert metadata["sae_lens_version"] == "6.0.0"  # below 6 all metadata would be dropped
    assert metadata["hook_name"].endswith("_z")
    assert metadata["prepend_bos"] is True
    assert metadata["lmsaes"]["tokens"] == 100_000


def test_rows_that_are_not_of_norm_1_are_remarked(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    export_sae(saved(SAES["topk-whiten"], tmp_path / "ours", "topk-whiten"), "saelens",
               tmp_path / "out")  # fmt: skip
    assert "decoder rows are not of norm 1, which SAEBench refuses" in caplog.text


def test_the_command_says_where_it_wrote(tmp_path: Path):
    ours = saved(SAES["topk"], tmp_path / "ours")
    words = ["export", str(ours), "--to", "saelens", "--out", str(tmp_path / "theirs")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert f"{tmp_path / 'theirs'} is written" in result.output


def test_what_circuit_tracer_reads_otherwise_is_told(tmp_path: Path, caplog):
    relu = ReLUConfig(**TRANSCODER)
    topk = TopKConfig(k=4, **TRANSCODER)
    for name, config in {"relu": relu, "topk": topk}.items():
        saved(config.model_copy(update={}), tmp_path / name / "layer-0", name)
        caplog.clear()
        with caplog.at_level(logging.WARNING, "lmsaes"):
            export_sae(tmp_path / name, "circuit-tracer", tmp_path / f"{name}-set")
        assert ("takes TopK transcoders for ReLU" in caplog.text) is (name == "topk")
