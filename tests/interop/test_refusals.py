"""What can't be imported is refused in one line that says why; nothing in a file is executed."""

import json
import logging
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from lmsaes import import_sae
from lmsaes.cli.app import app
from lmsaes.errors import ConfigError, LmsaesError, SAEError
from lmsaes.sae import SAE
from tests.interop.test_golden import GOLDEN

GEMMA = "hub/google/gemma-scope-2b-pt-res/layer_1/width_16k/average_l0_71"


def copied(place: str, folder: Path) -> Path:
    return Path(shutil.copytree(GOLDEN / place, folder / "copy"))


def with_settings(folder: Path, name: str = "cfg.json", **changes: Any) -> Path:
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder


Change = Callable[[dict[str, torch.Tensor]], None]


def with_tensors(folder: Path, name: str, change: Change) -> Path:
    tensors = load_file(folder / name)
    change(tensors)
    save_file(tensors, folder / name)
    return folder


@pytest.mark.parametrize(
    ("place", "changes", "why"),
    [
        ("saelens/standard", {"architecture": "temporal"}, "encoder attends to the whole context"),
        ("saelens/topk", {"architecture": "abstopk"}, "features fire below zero too"),
        ("saelens/standard", {"architecture": "matching_pursuit"}, "its encoder is iterative"),
        ("saelens/standard", {"architecture": "brand-new"}, "the kinds that can be are standard"),
        ("saelens/standard", {"normalize_activations": "constant_norm_rescale"}, "to one norm"),
        ("saelens/standard", {"normalize_activations": "covariance_whitening"}, "not among its"),
        ("saelens/transcoder", {"apply_b_dec_to_input": True}, "sae_lens refuses it as well"),
        ("saelens/skip-transcoder", {"normalize_activations": "layer_norm"}, "normalized rows"),
        ("sparsify/topk/layers.1", {"activation": "groupmax"}, "largest of each group"),
        ("sparsify/topk/layers.1", {"signed": True}, "fires above zero alone"),
        ("sparsify/topk/layers.1", {"skip_connection": True}, "only transcoders have one"),
    ],
)
def test_what_no_class_here_can_hold_is_refused_by_name(
    place: str, changes: dict[str, Any], why: str, tmp_path: Path
):
    with pytest.raises(SAEError, match="can't be imported") as raised:
        import_sae(with_settings(copied(place, tmp_path), **changes), tmp_path / "out")
    assert why in f"{raised.value} {raised.value.hint}"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"act_fn": "batchtopk"}, "depend on the rows beside them"),
        ({"norm_activation": "token-wise"}, "a scale of its own"),
        ({"use_glu_encoder": True}, "no SAE here has one"),
        ({"sae_type": "lorsa"}, "only sae and transcoder have a class here"),
    ],
)
def test_kinds_of_openmoss_that_cannot_be_held_are_named(
    changes: dict[str, Any], why: str, tmp_path: Path
):
    place = "hub/fnlp/Llama-Scope-R1-Distill/400M-Slimpajama-400M-OpenR1-Math-220k/L1R"
    folder = with_settings(copied(place, tmp_path), "config.json", **changes)
    with pytest.raises(SAEError, match="can't be imported") as raised:
        import_sae(folder, tmp_path / "out", scale=1.7)
    assert why in f"{raised.value} {raised.value.hint}"


@pytest.mark.parametrize(
    ("place", "settings", "option"),
    [
        ("dictionary_learning/topk/trainer_0", {"submodule_name": "elsewhere"}, "--hook"),
        ("saelens/standard", {"normalize_activations": "expected_average_only_in"}, "--scale"),
    ],
)
def test_what_the_files_do_not_say_is_asked_for(
    place: str, settings: dict[str, Any], option: str, tmp_path: Path
):
    folder = copied(place, tmp_path)
    if "trainer_0" in place:
        config = json.loads((folder / "config.json").read_text())
        settings = {"trainer": config["trainer"] | settings}
        with_settings(folder, "config.json", **settings)
    else:
        with_settings(folder, **settings)
    with pytest.raises(ConfigError) as raised:
        import_sae(folder, tmp_path / "out")
    assert option in str(raised.value.hint)
    given = {"--hook": {"hook": "blocks.1.hook_mlp_out"}, "--scale": {"scale": 2.0}}[option]
    import_sae(folder, tmp_path / "out", **given)


def test_a_scale_is_folded_as_saelens_folds_it(tmp_path: Path):
    """Its fold_activation_norm_scaling_factor: the SAE of x is that of scale · x, over scale."""
    plain = SAE.load(import_sae(GOLDEN / "saelens/standard-no-b-dec", tmp_path / "plain")[0])
    scaled = SAE.load(
        import_sae(GOLDEN / "saelens/standard-no-b-dec", tmp_path / "scaled", scale=3.0)[0]
    )
    x = torch.randn(50, 16)
    torch.testing.assert_close(scaled(x), plain(3 * x) / 3)


def missing(tensors: dict[str, torch.Tensor]) -> None:
    del tensors["W_dec"]


def transposed(tensors: dict[str, torch.Tensor]) -> None:
    tensors["W_enc"] = tensors["W_enc"].T.contiguous()


def infinite(tensors: dict[str, torch.Tensor]) -> None:
    tensors["b_enc"][3] = torch.inf


def whole_numbers(tensors: dict[str, torch.Tensor]) -> None:
    tensors["W_dec"] = tensors["W_dec"].to(torch.int32)


def more(tensors: dict[str, torch.Tensor]) -> None:
    tensors["W_extra"] = torch.zeros(3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (missing, "'W_dec' is missing"),
        (transposed, r"'W_enc' is \[32, 16\], not \[16, 32\]"),
        (infinite, "'b_enc' holds NaN or infinite values"),
        (whole_numbers, "'W_dec' is torch.int32, not a tensor of floats"),
        (more, "'W_extra' is not known here"),
    ],
)
def test_tensors_that_do_not_fit_are_named(change: Change, said: str, tmp_path: Path):
    folder = with_tensors(copied("saelens/standard", tmp_path), "sae_weights.safetensors", change)
    with pytest.raises(SAEError, match=said):
        import_sae(folder, tmp_path / "out")


@pytest.mark.parametrize(
    "changes",
    [
        {"d_in": -1},
        {"d_in": "wide"},
        {"d_in": 1e99},
        {"k": 0},
        {"k": [1]},
        {"architecture": None},
    ],
)
def test_settings_that_make_no_sense_are_one_line(changes: dict[str, Any], tmp_path: Path):
    folder = with_settings(copied("saelens/topk", tmp_path), **changes)
    with pytest.raises(SAEError) as raised:
        import_sae(folder, tmp_path / "out")
    assert "cfg.json" in str(raised.value)
    assert "\n" not in str(raised.value)


class Mine:
    """What a pickle runs when it is loaded."""

    def __reduce__(self) -> Any:
        return (open, (self.path, "w"))

    def __init__(self, path: str) -> None:
        self.path = path


def test_nothing_in_a_torch_file_is_executed(tmp_path: Path):
    place = copied("dictionary_learning/topk/trainer_0", tmp_path)
    torch.save({"ae": Mine(str(tmp_path / "ran"))}, place / "ae.pt")
    with pytest.raises(SAEError, match="can't be read safely"):
        import_sae(place, tmp_path / "out")
    (place / "ae.pt").write_bytes(pickle.dumps(Mine(str(tmp_path / "ran"))))
    with pytest.raises(SAEError, match="can't be read safely"):
        import_sae(place, tmp_path / "out")
    assert not (tmp_path / "ran").exists()


def test_nothing_in_an_npz_file_is_executed(tmp_path: Path):
    place = copied(GEMMA, tmp_path)
    objects = np.array([Mine(str(tmp_path / "ran"))], dtype=object)
    np.savez(place / "params.npz", W_enc=objects, allow_pickle=True)
    with pytest.raises(SAEError, match="can't be read safely"):
        import_sae(place, tmp_path / "out", hook="hook_embed")
    assert not (tmp_path / "ran").exists()


def test_yaml_makes_no_objects(tmp_path: Path):
    place = copied("circuit_tracer/relu", tmp_path)
    (place / "config.yaml").write_text(f"!!python/object/apply:open ['{tmp_path / 'ran'}', 'w']")
    with pytest.raises(SAEError, match="can't be read safely"):
        import_sae(place, tmp_path / "out")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("saelens/standard", "sae_weights.safetensors"),
        ("saelens/standard", "cfg.json"),
        (GEMMA, "params.npz"),
        ("dictionary_learning/topk/trainer_0", "ae.pt"),
        ("circuit_tracer/relu", "config.yaml"),
    ],
)
@pytest.mark.parametrize("content", [b"", b"\x80\x04.", b"{", b"\xff" * 4096])
def test_files_that_are_none_are_one_line(place: str, name: str, content: bytes, tmp_path: Path):
    folder = copied(place, tmp_path)
    (folder / name).write_bytes(content)
    words = ["import", str(folder), "--out", str(tmp_path / "out"), "--hook", "hook_embed"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert "unforeseen" not in result.stderr
    assert len(result.stderr.strip().splitlines()) <= 2
    assert not (tmp_path / "out").exists()


def test_a_damaged_half_of_a_file_is_found(tmp_path: Path):
    for place, name in (
        ("saelens/standard", "sae_weights.safetensors"),
        (GEMMA, "params.npz"),
        ("dictionary_learning/topk/trainer_0", "ae.pt"),
    ):
        folder = copied(place, tmp_path / name)
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(SAEError):
            import_sae(folder, tmp_path / "out", hook="hook_embed")


def test_a_formula_that_gives_something_else_is_no_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A reader that forgets b_dec is found by the source's own formula."""
    from lmsaes.interop import saelens

    right = saelens.assemble

    def forgetful(kind: str, facts: Any, tensors: Any, **settings: Any) -> SAE:
        return right(kind, facts, dict(tensors) | {"input_bias": None}, **settings)

    monkeypatch.setattr(saelens, "assemble", forgetful)
    with pytest.raises(SAEError, match="does not do here what its own formula does"):
        import_sae(GOLDEN / "saelens/standard", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_import_again_does_nothing_and_another_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO, "lmsaes")
    (folder,) = import_sae(GOLDEN / "saelens/standard", tmp_path / "out")
    assert "against its own formula: " in caplog.text
    written = (folder / "config.json").stat().st_mtime_ns
    import_sae(GOLDEN / "saelens/standard", tmp_path / "out")
    assert "is there already: nothing to do" in caplog.text
    assert (folder / "config.json").stat().st_mtime_ns == written
    with pytest.raises(SAEError, match="is not empty and holds something else"):
        import_sae(GOLDEN / "saelens/gated", tmp_path / "out")
    import_sae(GOLDEN / "saelens/gated", tmp_path / "out", overwrite=True)
    assert SAE.load(folder).config.architecture == "gated"


def test_a_folder_of_nothing_known_is_said_so(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    for place in (tmp_path / "empty", tmp_path / "nowhere"):
        with pytest.raises(LmsaesError, match=r"no layout that is known here|does not exist"):
            import_sae(place, tmp_path / "out")
