"""Makes the golden folders of OpenMOSS' layouts, with OpenMOSS' own code.

    PEERS_PYTHON tests/interop/golden/make_openmoss.py CHECKOUT_OF_2024 CHECKOUT_OF_2026

Two checkouts of Language-Model-SAEs: commit 8bb94706, of the time of Llama Scope (`lm_saes`), and
95281ac7 (`llamascopium`). Only their modules of SAEs are loaded; what these import for training
alone need not be installed.
"""

import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import torch
from drawing import HERE, D, F, expect, randn, rows

HOOK, READS, WRITES = (
    "blocks.1.hook_resid_post",
    "blocks.1.ln2.hook_normalized",
    "blocks.1.hook_mlp_out",
)
NORMS = {"in": 6.5, "out": 9.25}


def package(name: str, checkout: str, without: Iterable[str] = ()) -> None:
    """Lets a package's modules be imported without what its `__init__` imports."""
    module = ModuleType(name)
    module.__path__ = [str(Path(checkout) / "src" / name)]
    sys.modules[name] = module
    for missing in without:
        sys.modules[missing] = mock.MagicMock(__path__=[])


def llama_scope(checkout: str) -> None:
    """Llama Scope of 2024, and what else its configuration can say of JumpReLU."""
    package("lm_saes", checkout, ["lm_saes.activation.activation_store", "lm_saes.activation"])
    config, sae = import_module("lm_saes.config"), import_module("lm_saes.sae")
    kinds: dict[str, dict[str, Any]] = {
        "Llama3_1-8B-Base-L1R-8x": {"act_fn": "jumprelu", "jump_relu_threshold": 0.9},
        "subtracting": {
            "act_fn": "jumprelu", "jump_relu_threshold": 0.8,
            "apply_decoder_bias_to_pre_encoder": True,
        },
        "free-norms": {
            "act_fn": "jumprelu", "jump_relu_threshold": 0.8,
            "sparsity_include_decoder_norm": False, "init_decoder_norm": 1.0,
        },
        "transcoder": {
            "act_fn": "jumprelu", "jump_relu_threshold": 0.6,
            "hook_point_in": READS, "hook_point_out": WRITES,
            "init_encoder_with_decoder_transpose": False,
        },
    }  # fmt: skip
    for name, settings in kinds.items():
        settings = {
            "hook_point_in": HOOK, "d_model": D, "expansion_factor": F // D,
            "norm_activation": "dataset-wise", "dataset_average_activation_norm": dict(NORMS),
            "apply_decoder_bias_to_pre_encoder": False, "init_decoder_norm": 1.0,
            **settings,
        }  # fmt: skip
        made = sae.SparseAutoEncoder(config.SAEConfig(**settings))
        draw(made)
        folder = HERE / "llama_scope" / name
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        with mock.patch.object(sae, "version", return_value="0.1.0"):
            made.save_pretrained(str(folder / "checkpoints" / "final.safetensors"))
        made.cfg.save_hyperparameters(str(folder))
        opened, x = sae.SparseAutoEncoder.from_pretrained(str(folder)), rows(3.0)
        with torch.no_grad():
            acts = opened.encode(x)
            expect(folder, x, acts, opened.decode(acts))


def llamascopium(checkout: str) -> None:
    package("llamascopium", checkout)
    found = import_module("llamascopium.models.sae")
    kinds: dict[str, dict[str, Any]] = {
        "relu": {"act_fn": "relu"},
        "topk": {"act_fn": "topk", "top_k": 5},
        "topk-free": {"act_fn": "topk", "top_k": 5, "sparsity_include_decoder_norm": False},
        "jumprelu": {"act_fn": "jumprelu"},
        "jumprelu-free": {"act_fn": "jumprelu", "sparsity_include_decoder_norm": False},
        "no-decoder-bias": {"act_fn": "relu", "use_decoder_bias": False},
        "transcoder": {"act_fn": "jumprelu", "hook_point_in": READS, "hook_point_out": WRITES},
        "folded": {"act_fn": "topk", "top_k": 5},
    }
    for name, settings in kinds.items():
        hooks = {"hook_point_in": HOOK, "hook_point_out": HOOK}
        cfg = found.SAEConfig(d_model=D, expansion_factor=F / D, **(hooks | settings))
        made = found.SparseAutoEncoder(cfg)
        draw(made)
        norms = {cfg.hook_point_in: NORMS["in"]}
        norms[cfg.hook_point_out] = NORMS["out" if name == "transcoder" else "in"]
        made.set_dataset_average_activation_norm(norms)
        folder = HERE / "llamascopium" / name
        module = import_module("llamascopium.models.sparse_dictionary")
        with mock.patch.object(module, "version", return_value="2.0.0b34"):
            made.save_pretrained(folder, fold_activation_scale=name == "folded")
        made.cfg.save_hyperparameters(folder)
        opened, x = found.SparseAutoEncoder.from_pretrained(str(folder)), rows(3.0)
        batch = {cfg.hook_point_in: x, cfg.hook_point_out: x}
        with torch.no_grad():
            given, scales = opened.normalize_activations(batch, return_scale_factor=True)
            acts = opened.encode(given[cfg.hook_point_in])
            output = opened.decode(acts)
            output = output / scales[cfg.hook_point_out]
            expect(folder, x, acts, output)


def draw(sae: Any) -> None:
    """Weights of no particular length, biases away from zero."""
    with torch.no_grad():
        for parameter in sae.parameters():
            parameter.copy_(randn(*parameter.shape))


if __name__ == "__main__":
    llama_scope(sys.argv[1])
    llamascopium(sys.argv[2])
