"""Makes the golden folders here, with the other libraries' own code, random weights and tiny sizes.

    PEERS_PYTHON tests/interop/golden/make.py [CHECKOUT_OF_OPENAI_SPARSE_AUTOENCODER]

Beside each folder's files lies expected.safetensors: rows x, and the activations and outputs that
the library which owns the format gives for them. Where a library only reads a format (SAELens reads
Gemma Scope, Llama Scope and others), the files are written in its layout and read by its loader.
"""

import json
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from drawing import HERE, OUT, ROWS, D, F, expect, randn, randomize, rows
from safetensors.torch import save_file

# ── SAELens ──────────────────────────────────────────────────────────────────────────────────────

METADATA = {
    "model_name": "gpt2-small",
    "hook_name": "blocks.1.hook_resid_post",
    "prepend_bos": True,
    "context_size": 64,
    "dataset_path": "Skylion007/openwebtext",
    "model_from_pretrained_kwargs": {},
    "sae_lens_version": "6.54.12",
}


def saelens() -> None:
    from sae_lens import registry
    from sae_lens.saes.sae import SAEMetadata

    kinds: dict[str, tuple[str, dict[str, Any]]] = {
        "standard": ("standard", {}),
        "standard-no-b-dec": ("standard", {"apply_b_dec_to_input": False}),
        "gated": ("gated", {}),
        "topk": ("topk", {"k": 5}),
        "topk-rescaled": ("topk", {"k": 5, "rescale_acts_by_decoder_norm": True}),
        "topk-layer-norm": ("topk", {"k": 5, "normalize_activations": "layer_norm"}),
        "jumprelu": ("jumprelu", {}),
        "jumprelu-layer-norm": ("jumprelu", {"normalize_activations": "layer_norm"}),
        "hook-z": ("jumprelu", {"reshape_activations": "hook_z"}),
        "transcoder": ("transcoder", {}),
        "skip-transcoder": ("skip_transcoder", {}),
        "jumprelu-transcoder": ("jumprelu_transcoder", {}),
        "jumprelu-skip-transcoder": ("jumprelu_skip_transcoder", {}),
    }
    for name, (architecture, settings) in kinds.items():
        kind, config = registry.get_sae_class(architecture)
        metadata = dict(METADATA)
        if "transcoder" in name:
            settings = settings | {"d_out": OUT, "apply_b_dec_to_input": False}
            metadata |= {
                "hook_name": "blocks.1.mlp.hook_in",
                "hook_name_out": "blocks.1.hook_mlp_out",
            }
        if name == "hook-z":
            metadata["hook_name"] = "blocks.1.attn.hook_z"
        sae = kind(config(d_in=D, d_sae=F, **settings, metadata=SAEMetadata(**metadata)))
        randomize(sae)
        folder = HERE / "saelens" / name
        sae.save_model(folder)
        x = rows()
        given = x.reshape(ROWS, 4, D // 4) if name == "hook-z" else x
        with torch.no_grad():
            expect(folder, x, sae.encode(given), sae(given).reshape(ROWS, -1))
    _saelens_trained()
    _saelens_legacy()


def _saelens_trained() -> None:
    """Of classes that exist while training: saved for inference as JumpReLU or TopK."""
    from sae_lens import SAE
    from sae_lens.saes.batchtopk_sae import BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig
    from sae_lens.saes.matryoshka_batchtopk_sae import (
        MatryoshkaBatchTopKTrainingSAE,
        MatryoshkaBatchTopKTrainingSAEConfig,
    )
    from sae_lens.saes.sae import SAEMetadata
    from sae_lens.saes.topk_sae import TopKTrainingSAE, TopKTrainingSAEConfig

    size: dict[str, Any] = {"d_in": D, "d_sae": F, "metadata": SAEMetadata(**METADATA)}
    trained = {
        "trained-topk": TopKTrainingSAE(TopKTrainingSAEConfig(k=5, **size)),
        "trained-batchtopk": BatchTopKTrainingSAE(BatchTopKTrainingSAEConfig(k=5, **size)),
        "trained-matryoshka": MatryoshkaBatchTopKTrainingSAE(
            MatryoshkaBatchTopKTrainingSAEConfig(k=5, matryoshka_widths=[4, 12, F], **size)
        ),
    }
    for name, sae in trained.items():
        randomize(sae)
        if hasattr(sae, "topk_threshold"):
            sae.topk_threshold.fill_(0.75)
        folder = HERE / "saelens" / name
        sae.save_inference_model(folder)
        opened, x = SAE.load_from_disk(folder), rows()
        with torch.no_grad():
            expect(folder, x, opened.encode(x), opened(x))


def _saelens_legacy() -> None:
    """As the folders of 2024: flat keys, no architecture, no metadata, a scaling factor of ones."""
    from sae_lens import SAE

    folder = HERE / "saelens" / "legacy-2024"
    folder.mkdir(parents=True, exist_ok=True)
    cfg = {
        "model_name": "gpt2-small",
        "hook_point": "blocks.1.hook_resid_pre",
        "hook_point_layer": 1,
        "hook_point_head_index": None,
        "dataset_path": "Skylion007/openwebtext",
        "is_dataset_tokenized": False,
        "context_size": 128,
        "use_cached_activations": False,
        "d_in": D,
        "d_sae": F,
        "expansion_factor": 2,
        "device": "cpu",
        "dtype": "torch.float32",
        "b_dec_init_method": "geometric_median",
        "l1_coefficient": 8e-05,
        "lr": 0.0004,
        "use_ghost_grads": False,
    }
    (folder / "cfg.json").write_text(json.dumps(cfg))
    tensors = {"W_enc": (D, F), "b_enc": (F,), "W_dec": (F, D), "b_dec": (D,)}
    save_file(
        {name: randn(*shape) for name, shape in tensors.items()}
        | {"scaling_factor": torch.ones(F)},
        folder / "sae_weights.safetensors",
    )
    sae, x = SAE.load_from_disk(folder), rows()
    with torch.no_grad():
        expect(folder, x, sae.encode(x), sae(x))


def for_the_bundled_model() -> None:
    """As wide as lmsaes' bundled model, saved by SAELens' own trainer class."""
    from sae_lens.saes.sae import SAEMetadata
    from sae_lens.saes.topk_sae import TopKTrainingSAE, TopKTrainingSAEConfig

    metadata = SAEMetadata(**METADATA | {"model_name": "lmsaes-demo", "context_size": 32})
    torch.manual_seed(0)  # its own initialization
    sae = TopKTrainingSAE(TopKTrainingSAEConfig(k=4, d_in=256, d_sae=48, metadata=metadata))
    sae.save_inference_model(HERE / "saelens" / "for-the-bundled-model")


# ── formats that SAELens and circuit-tracer read ─────────────────────────────────────────────────

GEMMA = "google/gemma-scope-2b-pt-res/layer_1/width_16k/average_l0_71"
GEMMA_TRANSCODER = "google/gemma-scope-2b-pt-transcoders/layer_1/width_16k/average_l0_20"
GEMMA_EMBEDDING = "google/gemma-scope-2b-pt-res/embedding/width_4k/average_l0_6"
GEMMA_2 = "google/gemma-scope-2-270m-pt/resid_post/layer_1_width_16k_l0_small"
GEMMA_2_SKIP = "google/gemma-scope-2-270m-pt/transcoder/layer_1_width_16k_l0_small_affine"
LLAMA_SCOPE_R1 = "fnlp/Llama-Scope-R1-Distill/400M-Slimpajama-400M-OpenR1-Math-220k/L1R"
GOODFIRE = "Goodfire/Llama-3.1-8B-Instruct-SAE-l19/Llama-3.1-8B-Instruct-SAE-l19.pth"
DEEPSEEK = "qresearch/DeepSeek-R1-Distill-Llama-8B-SAE-l19/DeepSeek-R1-Distill-Llama-8B-SAE-l19.pt"
QWEN = "Qwen/SAE-Res-Qwen3-1.7B-Base-W32K-L0_5/layer1.sae.pt"
MWHANNA = "mwhanna/qwen3-1.7b-transcoders-lowl0/layer_1.safetensors"


def read_by_saelens() -> None:
    from sae_lens import SAE
    from sae_lens.loading import pretrained_sae_loaders as loaders

    hub = HERE / "hub"
    _write_gemma(hub)
    _write_renamed(hub)

    def download(repo_id: str, filename: str, subfolder: str | None = None, **_: Any) -> str:
        path = hub / repo_id / (subfolder or "") / filename
        if not path.is_file():
            raise loaders.EntryNotFoundError(str(path))
        return str(path)

    def shapes(repo_id: str, filename: str) -> dict[str, list[int]]:
        found = loaders.load_safetensors_weights(download(repo_id, filename))
        return {name: list(tensor.shape) for name, tensor in found.items()}

    size = {"d_in": D, "d_sae": F, "dtype": "float32"}
    both = size | {"d_out": D}
    readers: dict[str, tuple[Any, dict[str, Any]]] = {
        GEMMA: (loaders.gemma_2_sae_huggingface_loader, size),
        GEMMA_EMBEDDING: (loaders.gemma_2_sae_huggingface_loader, size),
        GEMMA_TRANSCODER: (loaders.gemma_2_transcoder_huggingface_loader, both),
        GEMMA_2: (loaders.gemma_3_sae_huggingface_loader, {}),
        GEMMA_2_SKIP: (loaders.gemma_3_sae_huggingface_loader, {}),
        LLAMA_SCOPE_R1: (loaders.llama_scope_r1_distill_sae_huggingface_loader, size),
        GOODFIRE: (loaders.get_goodfire_huggingface_loader, size),
        DEEPSEEK: (loaders.deepseek_r1_sae_huggingface_loader, size),
        QWEN: (loaders.qwen_scope_sae_huggingface_loader, size),
        MWHANNA: (loaders.mwhanna_transcoder_huggingface_loader, both),
    }
    with (
        mock.patch.object(loaders, "hf_hub_download", download),
        mock.patch.object(loaders, "get_safetensors_tensor_shapes", shapes),
    ):
        for place, (reader, overrides) in readers.items():
            owner, repo, folder = place.split("/", 2)
            cfg, state, _ = reader(f"{owner}/{repo}", folder, "cpu", False, overrides)
            cfg = loaders.handle_config_defaulting(cfg)
            kind = SAE.get_sae_class_for_architecture(cfg["architecture"])
            config = SAE.get_sae_config_class_for_architecture(cfg["architecture"]).from_dict(cfg)
            sae = kind(config)
            sae.load_state_dict({name: tensor.float() for name, tensor in state.items()})
            if config.normalize_activations == "expected_average_only_in":
                sae.fold_activation_norm_scaling_factor(1.7)
            target, x = hub / place, rows()
            target = target.parent / (target.name + ".expected") if target.suffix else target
            with torch.no_grad():
                expect(target, x, sae.encode(x), sae(x))


def _write_gemma(hub: Path) -> None:
    for place in (GEMMA, GEMMA_TRANSCODER, GEMMA_EMBEDDING):
        tensors = {"W_enc": (D, F), "W_dec": (F, D), "b_enc": (F,), "b_dec": (D,)}
        arrays = {name: randn(*shape).numpy() for name, shape in tensors.items()}
        (hub / place).mkdir(parents=True, exist_ok=True)
        np.savez(hub / place / "params.npz", threshold=randn(F).abs().numpy(), **arrays)
    for place in (GEMMA_2, GEMMA_2_SKIP):
        skip = "affine" in place
        tensors = {"w_enc": (D, F), "w_dec": (F, D), "b_enc": (F,), "b_dec": (D,)}
        weights = {name: randn(*shape) for name, shape in tensors.items()}
        weights["threshold"] = randn(F).abs()
        config = {
            "architecture": "jump_relu",
            "model_name": "google/gemma-3-270m-pt",
            "hf_hook_point_in": "model.layers.1.output",
        }
        if skip:
            weights["affine_skip_connection"] = randn(D, D)
            config |= {
                "hf_hook_point_in": "model.layers.1.pre_feedforward_layernorm.output",
                "hf_hook_point_out": "model.layers.1.post_feedforward_layernorm.output",
                "affine_connection": True,
            }
        (hub / place).mkdir(parents=True, exist_ok=True)
        save_file(weights, hub / place / "params.safetensors")
        (hub / place / "config.json").write_text(json.dumps(config))


def _write_renamed(hub: Path) -> None:
    def linear(encoder: str, decoder: str) -> dict[str, torch.Tensor]:
        return {
            f"{encoder}.weight": randn(F, D),
            f"{encoder}.bias": randn(F),
            f"{decoder}.weight": randn(D, F),
            f"{decoder}.bias": randn(D),
        }

    for place in (LLAMA_SCOPE_R1, GOODFIRE, DEEPSEEK, QWEN, MWHANNA):
        (hub / place).parent.mkdir(parents=True, exist_ok=True)
    folder = hub / LLAMA_SCOPE_R1
    folder.mkdir(exist_ok=True)
    save_file(
        linear("encoder", "decoder") | {"log_jumprelu_threshold": randn(F)},
        folder / "sae_weights.safetensors",
    )
    config = {
        "sae_type": "sae",
        "hook_point_in": "blocks.1.hook_resid_post",
        "hook_point_out": "blocks.1.hook_resid_post",
        "d_model": D,
        "expansion_factor": F // D,
        "act_fn": "jumprelu",
        "norm_activation": "dataset-wise",
        "sparsity_include_decoder_norm": False,
    }
    (folder / "config.json").write_text(json.dumps(config))
    torch.save(linear("encoder_linear", "decoder_linear"), hub / GOODFIRE)
    r1 = {k: t.bfloat16() for k, t in linear("encoder", "decoder").items()}
    torch.save(r1, hub / DEEPSEEK)
    qwen = {"W_enc": randn(F, D), "W_dec": randn(D, F), "b_enc": randn(F), "b_dec": randn(D)}
    torch.save(qwen, hub / QWEN)
    save_file(
        {"W_enc": randn(F, D), "W_dec": randn(F, D), "b_enc": randn(F), "b_dec": randn(D)},
        hub / MWHANNA,
    )
    folder = (hub / MWHANNA).parent
    (folder / "config.yaml").write_text(
        "model_name: Qwen/Qwen3-1.7B\nmodel_kind: transcoder_set\n"
        "feature_input_hook: mlp.hook_in\nfeature_output_hook: hook_mlp_out\n"
    )
    (folder / "wandb-config.yaml").write_text(
        f"d_model:\n  value: {D}\nd_feature:\n  value: {F}\nbatch_size:\n  value: 512\n"
    )


# ── dictionary_learning, sparsify, circuit-tracer, OpenAI ────────────────────────────────────────


def dictionary_learning() -> None:
    from dictionary_learning import AutoEncoder, GatedAutoEncoder, JumpReluAutoEncoder
    from dictionary_learning.dictionary import AutoEncoderNew
    from dictionary_learning.trainers.batch_top_k import BatchTopKSAE
    from dictionary_learning.trainers.matryoshka_batch_top_k import MatryoshkaBatchTopKSAE
    from dictionary_learning.trainers.top_k import AutoEncoderTopK

    made = {
        "auto-encoder": AutoEncoder(D, F),
        "auto-encoder-new": AutoEncoderNew(D, F),
        "gated": GatedAutoEncoder(D, F),
        "jumprelu": JumpReluAutoEncoder(D, F),
        "topk": AutoEncoderTopK(D, F, k=5),
        "batchtopk": BatchTopKSAE(D, F, k=5),
        "batchtopk-no-threshold": BatchTopKSAE(D, F, k=5),
        "matryoshka": MatryoshkaBatchTopKSAE(D, F, k=5, group_sizes=[4, 8, 20]),
    }
    for name, sae in made.items():
        randomize(sae)
        if name in ("batchtopk", "matryoshka"):
            sae.threshold.fill_(0.6)
        folder = HERE / "dictionary_learning" / name / "trainer_0"
        folder.mkdir(parents=True, exist_ok=True)
        state = sae.state_dict()
        torch.save(state, folder / "ae.pt")
        config = {
            "trainer": {
                "dict_class": type(sae).__name__,
                "activation_dim": D,
                "dict_size": F,
                "layer": 1,
                "lm_name": "EleutherAI/pythia-70m-deduped",
                "submodule_name": "resid_post_layer_1",
                **({"k": 5} if hasattr(sae, "k") else {}),
            },
            "buffer": {"d_submodule": D, "io": "out", "ctx_len": 128},
        }
        (folder / "config.json").write_text(json.dumps(config))
        x = rows()
        with torch.no_grad():
            expect(folder, x, sae.encode(x), sae(x))
    backup = HERE / "dictionary_learning" / "auto-encoder" / "trainer_0" / "checkpoints"
    backup.mkdir(exist_ok=True)
    state = made["auto-encoder"].state_dict()
    optimizer = torch.optim.Adam(made["auto-encoder"].parameters()).state_dict()
    torch.save({"step": 3, "ae": state, "optimizer": optimizer}, backup / "ae_3.pt")


def sparsify() -> None:
    from sparsify import SparseCoder, SparseCoderConfig

    kinds = {
        "topk/layers.1": {},
        "transcoder/layers.1.mlp": {"transcode": True},
        "skip-transcoder/layers.1.mlp": {"transcode": True, "skip_connection": True},
    }
    for name, settings in kinds.items():
        coder = SparseCoder(D, SparseCoderConfig(num_latents=F, k=5, **settings))
        randomize(coder)
        folder = HERE / "sparsify" / name
        coder.save_to_disk(folder)
        run = {"model": "EleutherAI/pythia-70m-deduped", "ctx_len": 2048}
        (folder.parent / "config.json").write_text(json.dumps(run))
        x = rows()
        with torch.no_grad():
            top = coder.encode(x)
            dense = torch.zeros(ROWS, F).scatter(1, top.top_indices, top.top_acts)
            expect(folder, x, dense, coder(x).sae_out)


def circuit_tracer() -> None:
    from circuit_tracer.transcoder.activation_functions import JumpReLU
    from circuit_tracer.transcoder.single_layer_transcoder import SingleLayerTranscoder

    for name, skip in (("relu", False), ("jumprelu-skip", True)):
        folder = HERE / "circuit_tracer" / name
        folder.mkdir(parents=True, exist_ok=True)
        expected = {}
        for layer in (0, 1):
            activation = JumpReLU(torch.zeros(F), 0.1) if skip else torch.nn.functional.relu
            transcoder = SingleLayerTranscoder(
                D, F, activation, layer, skip_connection=skip, dtype=torch.float32
            )
            randomize(transcoder)
            if skip:
                transcoder.activation_function.threshold.data.copy_(randn(F).abs())
            transcoder.to_safetensors(str(folder / f"layer_{layer}.safetensors"))
            x = rows()
            with torch.no_grad():
                expected[layer] = (x, transcoder.encode(x), transcoder(x))
        (folder / "config.yaml").write_text(
            "model_name: google/gemma-2-2b\nmodel_kind: transcoder_set\n"
            "feature_input_hook: ln2.hook_normalized\nfeature_output_hook: hook_mlp_out\n"
        )
        for layer, results in expected.items():
            expect(folder / f"expected_{layer}", *results)


def openai(checkout: str) -> None:
    sys.path.insert(0, checkout)
    from sparse_autoencoder.model import Autoencoder, TopK

    for location, activation in (("resid_post_mlp_v5_32k", TopK(5)), ("mlp_post_act", None)):
        kind = activation or torch.nn.ReLU()
        sae = Autoencoder(F, D, activation=kind, normalize=activation is not None)
        randomize(sae)
        folder = HERE / "openai" / "gpt2-small" / location / "autoencoders"
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(sae.state_dict(), folder / "1.pt")
        x = rows()
        with torch.no_grad():
            _, activations, output = sae(x)
        expect(folder / "1.expected", x, activations, output)


if __name__ == "__main__":
    saelens()
    read_by_saelens()
    dictionary_learning()
    sparsify()
    circuit_tracer()
    for_the_bundled_model()
    if len(sys.argv) > 1:
        openai(sys.argv[1])
