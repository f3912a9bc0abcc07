"""Folders made by other libraries' own code give here what those libraries give."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from lmsaes import import_sae
from lmsaes.sae import SAE, Matryoshka

GOLDEN = Path(__file__).parent / "golden"
GEMMA = "hub/google/gemma-scope"
RELATIVE = 1e-6

# By place: the format that is recognized, the architecture here, and settings the files leave out.
PLACES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "saelens/standard": ("saelens", "relu", {}),
    "saelens/standard-no-b-dec": ("saelens", "relu", {}),
    "saelens/gated": ("saelens", "gated", {}),
    "saelens/topk": ("saelens", "topk", {}),
    "saelens/topk-rescaled": ("saelens", "topk", {}),
    "saelens/topk-layer-norm": ("saelens", "topk", {}),
    "saelens/jumprelu": ("saelens", "jumprelu", {}),
    "saelens/jumprelu-layer-norm": ("saelens", "jumprelu", {}),
    "saelens/hook-z": ("saelens", "jumprelu", {}),
    "saelens/transcoder": ("saelens", "relu", {}),
    "saelens/skip-transcoder": ("saelens", "relu", {}),
    "saelens/jumprelu-transcoder": ("saelens", "jumprelu", {}),
    "saelens/jumprelu-skip-transcoder": ("saelens", "jumprelu", {}),
    "saelens/trained-topk": ("saelens", "topk", {}),
    "saelens/trained-batchtopk": ("saelens", "batchtopk", {}),
    "saelens/trained-matryoshka": ("saelens", "matryoshka", {}),
    "saelens/legacy-2024": ("saelens", "relu", {}),
    f"{GEMMA}-2b-pt-res/layer_1/width_16k/average_l0_71": ("gemma-scope", "jumprelu", {}),
    f"{GEMMA}-2b-pt-res/embedding/width_4k/average_l0_6": ("gemma-scope", "jumprelu", {}),
    f"{GEMMA}-2b-pt-transcoders/layer_1/width_16k/average_l0_20": ("gemma-scope", "jumprelu", {}),
    f"{GEMMA}-2-270m-pt/resid_post/layer_1_width_16k_l0_small": ("gemma-scope", "jumprelu", {}),
    f"{GEMMA}-2-270m-pt/transcoder/layer_1_width_16k_l0_small_affine": (
        "gemma-scope", "jumprelu", {},
    ),
    "dictionary_learning/auto-encoder/trainer_0": ("dictionary-learning", "relu", {}),
    "dictionary_learning/auto-encoder-new/trainer_0": ("dictionary-learning", "relu", {}),
    "dictionary_learning/gated/trainer_0": ("dictionary-learning", "gated", {}),
    "dictionary_learning/jumprelu/trainer_0": ("dictionary-learning", "jumprelu", {}),
    "dictionary_learning/topk/trainer_0": ("dictionary-learning", "topk", {}),
    "dictionary_learning/batchtopk/trainer_0": ("dictionary-learning", "batchtopk", {}),
    "dictionary_learning/batchtopk-no-threshold/trainer_0": (
        "dictionary-learning", "batchtopk", {},
    ),
    "dictionary_learning/matryoshka/trainer_0": ("dictionary-learning", "matryoshka", {}),
    "sparsify/topk/layers.1": ("sparsify", "topk", {}),
    "sparsify/transcoder/layers.1.mlp": ("sparsify", "topk", {}),
    "sparsify/skip-transcoder/layers.1.mlp": ("sparsify", "topk", {}),
    "hub/Goodfire/Llama-3.1-8B-Instruct-SAE-l19/Llama-3.1-8B-Instruct-SAE-l19.pth": (
        "goodfire", "relu", {},
    ),
    "hub/qresearch/DeepSeek-R1-Distill-Llama-8B-SAE-l19/DeepSeek-R1-Distill-Llama-8B-SAE-l19.pt": (
        "deepseek-r1", "relu", {},
    ),
    "hub/Qwen/SAE-Res-Qwen3-1.7B-Base-W32K-L0_5/layer1.sae.pt": ("qwen-scope", "topk", {}),
    "hub/fnlp/Llama-Scope-R1-Distill/400M-Slimpajama-400M-OpenR1-Math-220k/L1R": (
        "llamascopium", "jumprelu", {"scale": 1.7},
    ),
    **{
        f"llama_scope/{name}": ("llama-scope", "jumprelu", {})
        for name in ("Llama3_1-8B-Base-L1R-8x", "subtracting", "free-norms", "transcoder")
    },
    "llamascopium/relu": ("llamascopium", "relu", {}),
    "llamascopium/topk": ("llamascopium", "topk", {}),
    "llamascopium/topk-free": ("llamascopium", "topk", {}),
    "llamascopium/jumprelu": ("llamascopium", "jumprelu", {}),
    "llamascopium/jumprelu-free": ("llamascopium", "jumprelu", {}),
    "llamascopium/no-decoder-bias": ("llamascopium", "relu", {}),
    "llamascopium/transcoder": ("llamascopium", "jumprelu", {}),
    "llamascopium/folded": ("llamascopium", "topk", {}),
    "openai/gpt2-small/resid_post_mlp_v5_32k/autoencoders/1.pt": ("openai", "topk", {}),
    "openai/gpt2-small/mlp_post_act/autoencoders/1.pt": ("openai", "relu", {}),
}  # fmt: skip


def expected_of(place: Path) -> dict[str, torch.Tensor]:
    """Rows, and what the library that owns the format gives for them."""
    if place.is_dir():
        return load_file(place / "expected.safetensors")
    beside = [place.with_suffix(".expected"), place.with_name(place.name + ".expected")]
    return load_file(next(each for each in beside if each.exists()) / "expected.safetensors")


def assert_gives(sae: SAE, expected: dict[str, torch.Tensor]) -> None:
    x, activations, output = (expected[name] for name in ("x", "activations", "output"))
    assert int((activations != 0).sum()) > len(x)
    assert torch.equal(sae.encode(x, dense=True) != 0, activations != 0)
    assert torch.equal(sae.encode(x).dense() != 0, activations != 0)
    assert relative(sae(x), output) < RELATIVE


def relative(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((found.double() - wanted.double()).norm() / wanted.double().norm())


@pytest.mark.parametrize("place", PLACES)
def test_an_sae_of_another_library_gives_here_what_it_gives_there(place: str, tmp_path: Path):
    format, architecture, settings = PLACES[place]
    (folder,) = import_sae(GOLDEN / place, tmp_path / "out", **settings)
    sae = SAE.load(folder)
    assert_gives(sae, expected_of(GOLDEN / place))
    facts = sae.imported
    assert facts is not None
    assert (facts.format, sae.config.architecture) == (format, architecture)
    assert facts.hooks == sae.config.inputs
    assert facts.target == sae.config.target
    assert facts.max_relative_difference is not None
    assert facts.max_relative_difference < RELATIVE
    assert facts.file_sha256
    assert all(len(digest) == 64 for digest in facts.file_sha256.values())


@pytest.mark.parametrize("name", ["relu", "jumprelu-skip"])
def test_a_set_of_transcoders_becomes_one_sae_for_each_layer(name: str, tmp_path: Path):
    place = GOLDEN / "circuit_tracer" / name
    folders = import_sae(place, tmp_path / "set")
    assert [folder.name for folder in folders] == ["layer_0", "layer_1"]
    for layer, folder in enumerate(folders):
        sae = SAE.load(folder)
        assert_gives(sae, load_file(place / f"expected_{layer}/expected.safetensors"))
        assert sae.config.inputs == (f"blocks.{layer}.ln2.hook_normalized",)
        assert sae.config.target == f"blocks.{layer}.hook_mlp_out"
        assert sae.imported is not None
        assert sae.imported.model == "google/gemma-2-2b"


def test_one_file_of_a_set_is_one_transcoder(tmp_path: Path):
    place = GOLDEN / "hub/mwhanna/qwen3-1.7b-transcoders-lowl0/layer_1.safetensors"
    (folder,) = import_sae(place, tmp_path / "set")
    sae = SAE.load(folder)
    assert_gives(sae, expected_of(place))
    assert sae.config.inputs == ("blocks.1.mlp.hook_in",)
    assert sae.imported is not None
    assert sae.imported.model == "Qwen/Qwen3-1.7B"


def test_a_checkpoint_with_an_optimizer_beside_it_is_its_sae(tmp_path: Path):
    place = GOLDEN / "dictionary_learning/auto-encoder/trainer_0"
    (folder,) = import_sae(place / "checkpoints/ae_3.pt", tmp_path / "backup")
    assert_gives(SAE.load(folder), expected_of(place))


def test_groups_of_matryoshka_saes_come_back(tmp_path: Path):
    for place, ends in (
        ("saelens/trained-matryoshka", [4, 12, 32]),
        ("dictionary_learning/matryoshka/trainer_0", [4, 12, 32]),
    ):
        (folder,) = import_sae(GOLDEN / place, tmp_path / place)
        sae = SAE.load(folder)
        assert isinstance(sae, Matryoshka)
        assert (sae.k, sae.ends) == (5, ends)


def test_only_what_the_files_say_is_recorded(tmp_path: Path):
    import_sae(GOLDEN / "saelens/standard", tmp_path / "out")
    saved = json.loads((tmp_path / "out/config.json").read_text())
    assert saved["config"] == {
        "architecture": "relu",
        "name": "relu",
        "normalize": "none",
        "features": 32,
        "hook": "blocks.1.hook_resid_post",
    }
    imported = saved["imported"]
    assert imported["model"] == "gpt2-small"
    assert imported["weights"] == "raw"
    assert imported["prepend_bos"] is True
    assert imported["context_size"] == 64


def test_hooks_of_the_places_are_transformerlens_names(tmp_path: Path):
    wanted = {
        f"{GEMMA}-2b-pt-res/layer_1/width_16k/average_l0_71": (
            "google/gemma-2-2b", "blocks.1.hook_resid_post", None,
        ),
        f"{GEMMA}-2b-pt-res/embedding/width_4k/average_l0_6": (
            "google/gemma-2-2b", "hook_embed", None,
        ),
        f"{GEMMA}-2b-pt-transcoders/layer_1/width_16k/average_l0_20": (
            "google/gemma-2-2b", "blocks.1.ln2.hook_normalized", "blocks.1.hook_mlp_out",
        ),
        f"{GEMMA}-2-270m-pt/transcoder/layer_1_width_16k_l0_small_affine": (
            "google/gemma-3-270m", "blocks.1.mlp.hook_in", "blocks.1.hook_mlp_out",
        ),
        "sparsify/topk/layers.1": (
            "EleutherAI/pythia-70m-deduped", "blocks.1.hook_resid_post", None,
        ),
        "sparsify/transcoder/layers.1.mlp": (
            "EleutherAI/pythia-70m-deduped", "blocks.1.mlp.hook_in", "blocks.1.hook_mlp_out",
        ),
        "dictionary_learning/topk/trainer_0": (
            "EleutherAI/pythia-70m-deduped", "blocks.1.hook_resid_post", None,
        ),
        "openai/gpt2-small/resid_post_mlp_v5_32k/autoencoders/1.pt": (
            "gpt2", "blocks.1.hook_resid_post", None,
        ),
        "openai/gpt2-small/mlp_post_act/autoencoders/1.pt": (
            "gpt2", "blocks.1.mlp.hook_post", None,
        ),
        "llama_scope/Llama3_1-8B-Base-L1R-8x": (
            "meta-llama/Llama-3.1-8B", "blocks.1.hook_resid_post", None,
        ),
        "llamascopium/transcoder": (
            None, "blocks.1.ln2.hook_normalized", "blocks.1.hook_mlp_out",
        ),
        "hub/Qwen/SAE-Res-Qwen3-1.7B-Base-W32K-L0_5/layer1.sae.pt": (
            "Qwen/Qwen3-1.7B-Base", "blocks.1.hook_resid_post", None,
        ),
        "saelens/legacy-2024": ("gpt2-small", "blocks.1.hook_resid_pre", None),
    }  # fmt: skip
    for place, facts in wanted.items():
        (folder,) = import_sae(GOLDEN / place, tmp_path / place)
        found = SAE.load(folder).imported
        assert found is not None
        assert (found.model, *found.hooks, found.target) == facts, place
    legacy = SAE.load(tmp_path / "saelens/legacy-2024").imported
    assert legacy is not None
    assert legacy.weights == "processed"  # as SAELens loaded models then
