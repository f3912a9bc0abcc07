"""What lmsaes exports, opened by the unmodified libraries: `make test-interop`."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from lmsaes import export_sae, import_sae
from lmsaes.sae import SAE, JumpReLUConfig, ReLUConfig, SAEConfig, TopKConfig
from tests.interop.made_up import (
    FEATURES,
    SAES,
    TOPK_TRANSCODERS,
    TRANSCODERS,
    D,
    made_up,
)
from tests.support.made_up_cache import made_up_cache

pytestmark = pytest.mark.interop

ROOT = Path(__file__).parents[2]
PYTHON = Path(os.environ.get("PEERS_PYTHON", ROOT / ".venv-peers/bin/python"))
# Ours adds nothing to a row's deviation, SAELens 1e-5.
LAYER_NORM_EPS = {"relu-our-layer-norm": 1e-4}


def open_with(library: str, folders: Mapping[str, Path], x: torch.Tensor) -> None:
    """Has the library put what it gives for `x` beside each folder's files."""
    for folder in folders.values():
        save_file({"x": x}, folder / "rows.safetensors")
    run_peers(library, *folders.values())


def run_peers(library: str, *folders: Path) -> None:
    if not PYTHON.exists():
        pytest.skip("the other libraries are not installed: make test-interop")
    script = Path(__file__).with_name("open_with_peers.py")
    words = [str(PYTHON), str(script), library, *map(str, folders)]
    environment = os.environ | {"SPARSIFY_DISABLE_TRITON": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr


def rows() -> torch.Tensor:
    return torch.randn(1016, D, generator=torch.Generator().manual_seed(2))


def exported(configs: Mapping[str, SAEConfig], to: str, out: Path) -> dict[str, Path]:
    """Each SAE saved and exported."""
    places: dict[str, Path] = {}
    for name, config in configs.items():
        made_up(config, name).save(out / "ours" / name)
        (places[name],) = export_sae(out / "ours" / name, to, out / "theirs" / name)
    return places


@pytest.fixture(scope="module")
def in_saelens(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    places = exported(SAES | TRANSCODERS, "saelens", tmp_path_factory.mktemp("saelens"))
    open_with("saelens", places, rows())
    return places


@pytest.fixture(scope="module")
def in_sparsify(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    configs = {"topk": SAES["topk"], "hierarchical": SAES["hierarchical"]} | TOPK_TRANSCODERS
    places = exported(configs, "sparsify", tmp_path_factory.mktemp("sparsify"))
    open_with("sparsify", places, rows())
    return places


def assert_same(name: str, config: SAEConfig, folder: Path, most: float = 1e-6) -> None:
    sae, x = made_up(config, name), rows()
    peer = load_file(folder / "peer.safetensors")
    assert int((peer["activations"] != 0).sum()) > len(x)
    assert torch.equal(peer["activations"] != 0, sae.encode(x, dense=True) != 0)
    output = sae(x).double()
    assert float((peer["output"].double() - output).norm() / output.norm()) < most


@pytest.mark.parametrize("name", SAES | TRANSCODERS)
def test_an_export_gives_in_saelens_what_it_gives_here(name: str, in_saelens: dict[str, Path]):
    config = (SAES | TRANSCODERS)[name]
    assert_same(name, config, in_saelens[name], LAYER_NORM_EPS.get(name, 1e-6))


def test_saelens_keeps_the_metadata(in_saelens: dict[str, Path]):
    known = json.loads((in_saelens["matryoshka"] / "peer.json").read_text())
    metadata = known["metadata"]
    assert known["class"] == "JumpReLUSAE"
    assert metadata["hook_name"] == "blocks.1.hook_resid_post"
    assert (metadata["model_name"], metadata["dataset_path"]) == ("tiny", "text.jsonl")
    assert (metadata["context_size"], metadata["prepend_bos"]) == (64, True)
    assert metadata["model_from_pretrained_kwargs"]["center_writing_weights"] is True
    assert metadata["training_architecture_details"]["matryoshka_widths"][-1] == FEATURES
    known = json.loads((in_saelens["relu-transcoder"] / "peer.json").read_text())
    assert known["class"] == "Transcoder"
    assert known["metadata"]["hook_name_out"] == "blocks.0.hook_mlp_out"


@pytest.mark.parametrize("name", ["topk", "hierarchical", *TOPK_TRANSCODERS])
def test_an_export_gives_in_sparsify_what_it_gives_here(name: str, in_sparsify: dict[str, Path]):
    assert_same(name, (SAES | TOPK_TRANSCODERS)[name], in_sparsify[name])


def test_hookpoints_are_what_sparsify_calls_them(in_sparsify: dict[str, Path]):
    assert [in_sparsify[name].name for name in ("topk", "topk-transcoder")] == [
        "layers.1",
        "layers.0.mlp",
    ]


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (ReLUConfig, {}),
        (JumpReLUConfig, {"threshold": 0.4}),
        (type(TRANSCODERS["batchtopk-skip-transcoder"]), {"k": 5, "skip": True}),
    ],
)
def test_a_set_of_transcoders_opens_in_circuit_tracer(
    kind: Any, settings: dict[str, Any], tmp_path: Path
):
    configs = [
        kind(
            name=f"tc-{layer}", features=FEATURES, hook=f"blocks.{layer}.mlp.hook_in",
            target=f"blocks.{layer}.hook_mlp_out", **settings,
        )
        for layer in (0, 1)
    ]  # fmt: skip
    for config in configs:
        made_up(config).save(tmp_path / "run" / config.name)
    (folder,) = export_sae(tmp_path / "run", "circuit-tracer", tmp_path / "set")
    open_with("circuit-tracer", {"set": folder}, rows())
    peer, x = load_file(folder / "peer.safetensors"), rows()
    for layer, config in enumerate(configs):
        sae = made_up(config)
        assert torch.equal(peer["activations"][layer] != 0, sae.encode(x, dense=True) != 0)
        torch.testing.assert_close(peer["output"][layer], sae(x))
    assert json.loads((folder / "peer.json").read_text())["config"]["model_name"] == "tiny"


def test_what_was_trained_with_sparsify_opens_in_saelens(tmp_path: Path):
    """By way of lmsaes: SAELens' own reader of sparsify's folders fails on today's."""
    place = Path(__file__).parent / "golden/sparsify/topk/layers.1"
    (ours,) = import_sae(place, tmp_path / "ours")
    (theirs,) = export_sae(ours, "saelens", tmp_path / "theirs")
    expected = load_file(place / "expected.safetensors")
    open_with("saelens", {"one": theirs}, expected["x"])
    peer = load_file(theirs / "peer.safetensors")
    assert torch.equal(peer["activations"] != 0, expected["activations"] != 0)
    torch.testing.assert_close(peer["output"], expected["output"])


def test_topk_transcoders_for_circuit_tracer_say_k(tmp_path: Path):
    config = TOPK_TRANSCODERS["topk-transcoder"]
    assert isinstance(config, TopKConfig)
    made_up(config).save(tmp_path / "tc")
    (folder,) = export_sae(tmp_path / "tc", "circuit-tracer", tmp_path / "set")
    assert "activation: topk\nk: 5\n" in (folder / "config.yaml").read_text()
    assert SAE.load(import_sae(folder, tmp_path / "back")[0]).config.k == 5  # pyright: ignore


def test_delphi_reads_every_firing(tmp_path: Path):
    """By its own LatentDataset, split by split and latent by latent."""
    hook = "blocks.1.hook_resid_post"
    cache = made_up_cache(tmp_path / "cache", 30, context_size=8, hooks={hook: 6})
    sae = SAE.create(TopKConfig(features=40, k=4, hook=hook), 6)
    sae.save(tmp_path / "sae")
    (folder,) = export_sae(
        tmp_path / "sae", "delphi", tmp_path / "latents", cache=str(cache.path), splits=3
    )
    run_peers("delphi", folder)
    peer = load_file(folder.parent / "peer.safetensors")
    assert torch.equal(peer["tokens"], cache.tokens(0, 30))
    latent, context, position = peer["firings"][:, :3].long().T
    found = torch.zeros(30, 8, 40)
    found[context, position, latent] = peer["firings"][:, 3].float()
    rows = cache.activations(hook, 0, 30).flatten(0, 1)
    expected = sae.encode(rows, dense=True).reshape(30, 8, 40)
    expected = expected * cache.valid_positions(cache.tokens(0, 30))[..., None]
    assert int((expected > 0).sum()) == len(latent)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
