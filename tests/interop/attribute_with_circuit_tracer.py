"""A graph by circuit-tracer's own code, of a GPT-2 folder and an exported set of transcoders.

    PEERS_PYTHON attribute_with_circuit_tracer.py MODEL SET TOKEN_IDS OUT

Its loader only knows models by their names on the hub, so the model is built from its configuration
and its weights are put in, as TransformerLens converts them. OUT is a safetensors file.
"""

# ruff: noqa: E402 - a constant has to be there before circuit-tracer is imported

import json
import sys
from pathlib import Path

import huggingface_hub.constants
import torch
import yaml

# what its downloads ask for and newer versions of the hub's client lack; nothing is downloaded
huggingface_hub.constants.HF_HUB_ENABLE_HF_TRANSFER = False

from circuit_tracer.attribution.attribute import attribute
from circuit_tracer.replacement_model.replacement_model_transformerlens import (
    TransformerLensReplacementModel,
)
from circuit_tracer.transcoder.single_layer_transcoder import load_transcoder_set
from safetensors.torch import save_file
from transformer_lens import HookedTransformer, HookedTransformerConfig
from transformer_lens.pretrained.weight_conversions import convert_gpt2_weights
from transformers import AutoModelForCausalLM, AutoTokenizer


def main(model: Path, folder: Path, token_ids: list[int], out: Path) -> None:
    theirs = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    has = theirs.config
    cfg = HookedTransformerConfig(
        n_layers=has.n_layer,
        d_model=has.n_embd,
        n_ctx=has.n_positions,
        d_head=has.n_embd // has.n_head,
        n_heads=has.n_head,
        d_mlp=4 * has.n_embd,
        d_vocab=has.vocab_size,
        act_fn="gelu_new",
        normalization_type="LN",
        eps=has.layer_norm_epsilon,
        model_name="gpt2",
        original_architecture="GPT2LMHeadModel",
        device="cpu",
        seed=0,
    )
    plain = HookedTransformer(cfg)
    plain.load_and_process_state_dict(
        convert_gpt2_weights(theirs, cfg),
        fold_ln=False,
        center_writing_weights=False,
        center_unembed=False,
        fold_value_biases=False,
    )
    config = yaml.safe_load((folder / "config.yaml").read_text())
    paths = {int(p.stem[6:]): str(p) for p in folder.glob("layer_*.safetensors")}
    transcoders = load_transcoder_set(
        paths, "scan", config["feature_input_hook"], config["feature_output_hook"],
        device=torch.device("cpu"), lazy_encoder=False, lazy_decoder=False,
    )  # fmt: skip
    replacement = TransformerLensReplacementModel(cfg, AutoTokenizer.from_pretrained(model))
    replacement.load_state_dict(plain.state_dict(), strict=False)
    replacement._configure_replacement_model(transcoders)
    graph = attribute(
        torch.tensor(token_ids), replacement, max_n_logits=5, desired_logit_prob=0.99,
        batch_size=64,
    )  # fmt: skip
    assert graph.input_tokens.tolist() == token_ids, "other tokens were attributed"
    save_file(
        {
            "adjacency": graph.adjacency_matrix.float().contiguous(),
            "features": graph.active_features[graph.selected_features].contiguous(),
            "activations": graph.activation_values.float().contiguous(),
            "logits": torch.tensor([each.vocab_idx for each in graph.logit_targets]),
            "probabilities": graph.logit_probabilities.float().contiguous(),
        },
        out,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]), Path(sys.argv[4]))
