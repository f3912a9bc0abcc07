"""Makes saelens.json: what SAELens says of the SAE that test_agreement.py evaluates.

    python -m tests.evaluation.golden.make_saelens export FOLDER       in this project's environment
    python tests/evaluation/golden/make_saelens.py measure FOLDER      in one with sae-lens 6.54.12

The first writes the SAE in SAELens' layout with the tokens of its cache, the second runs SAELens'
own `run_evals` on them, with the bundled model in TransformerLens, and rewrites saelens.json.
"""

import json
import sys
from pathlib import Path

HOOK = "blocks.2.hook_resid_post"
CONTEXTS, CONTEXT_SIZE, FEATURES, K = 16, 32, 64, 8
GOLDEN = Path(__file__).with_name("saelens.json")
_MODEL = Path(__file__).parents[3] / "lmsaes" / "demo" / "model"


def make(folder: Path):
    """The cache and the SAE, whose folder it returns too."""
    from lmsaes import TopKConfig, cache_activations
    from tests.support.made_from_rows import sae_from_rows
    from tests.support.small_capture import SMALL

    settings = {**SMALL, "hooks": [HOOK], "tokens": CONTEXTS * CONTEXT_SIZE, "dtype": "float32"}
    settings["context_size"] = CONTEXT_SIZE
    cache = cache_activations(**settings, out=folder / "cache")
    config = TopKConfig(hook=HOOK, k=K, features=FEATURES)
    return cache, sae_from_rows(cache, config, folder / "run" / "sae"), folder / "run" / "sae"


def export(folder: Path) -> None:
    """As `lmsaes export --to saelens` does (docs of SAELens 6): W_enc transposed, b_dec not
    subtracted from inputs."""
    import numpy as np
    from safetensors.torch import save_file

    cache, sae, _ = make(folder)
    weights = {
        "W_enc": sae.W_enc.T.contiguous(),
        "b_enc": sae.b_enc,
        "W_dec": sae.W_dec,
        "b_dec": sae.b_dec,
    }
    out = folder / "saelens"
    out.mkdir()
    save_file({name: tensor.clone() for name, tensor in weights.items()},
              out / "sae_weights.safetensors")  # fmt: skip
    config = {
        "architecture": "topk",
        "d_in": sae.d_in,
        "d_sae": sae.features,
        "k": K,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": False,
        "rescale_acts_by_decoder_norm": False,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {
            "sae_lens_version": "6.54.12",
            "model_name": "gpt2",
            "hook_name": HOOK,
            "context_size": CONTEXT_SIZE,
            "prepend_bos": True,
        },
    }
    (out / "cfg.json").write_text(json.dumps(config, indent=1))
    np.save(folder / "tokens.npy", cache.tokens(0, CONTEXTS).numpy())


def measure(folder: Path) -> None:
    """SAELens' figures of that SAE on those tokens."""
    from importlib.metadata import version

    import datasets
    import numpy as np
    from sae_lens import SAE, ActivationsStore
    from sae_lens.evals import get_eval_everything_config, run_evals
    from sae_lens.training.activation_scaler import ActivationScaler

    tokens = np.load(folder / "tokens.npy")
    sae = SAE.load_from_disk(str(folder / "saelens"))
    model = _hooked_transformer()
    store = ActivationsStore.from_sae(
        model, sae, datasets.Dataset.from_dict({"tokens": tokens.tolist()}),
        streaming=False, context_size=CONTEXT_SIZE, store_batch_size_prompts=CONTEXTS,
    )  # fmt: skip
    config = get_eval_everything_config(CONTEXTS, 1, 1)
    found, features = run_evals(sae, store, model, ActivationScaler(), config)
    assert (store.get_batch_tokens(CONTEXTS).cpu().numpy() == tokens).all()
    densities = features["feature_density"]
    content = {
        "sae_lens": version("sae_lens"),
        "transformer_lens": version("transformer_lens"),
        **found,
        "alive": sum(density > 0 for density in densities) / len(densities),
    }
    GOLDEN.write_text(json.dumps(content, indent=1) + "\n")


def _hooked_transformer():
    """The bundled GPT-2 in TransformerLens, without its processing of weights."""
    import torch
    from transformer_lens import HookedTransformer, HookedTransformerConfig
    from transformer_lens.pretrained.weight_conversions import convert_gpt2_weights
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(_MODEL, dtype=torch.float32)
    facts = model.config
    config = HookedTransformerConfig(
        n_layers=facts.n_layer, d_model=facts.n_embd, n_ctx=facts.n_positions,
        d_head=facts.n_embd // facts.n_head, n_heads=facts.n_head, d_vocab=facts.vocab_size,
        act_fn="gelu_new", eps=facts.layer_norm_epsilon, normalization_type="LN",
    )  # fmt: skip
    hooked = HookedTransformer(config, tokenizer=AutoTokenizer.from_pretrained(_MODEL))
    weights = convert_gpt2_weights(model, config)
    hooked.load_and_process_state_dict(
        weights, fold_ln=False, center_writing_weights=False, center_unembed=False,
        fold_value_biases=False,
    )  # fmt: skip
    return hooked.eval()


if __name__ == "__main__":
    {"export": export, "measure": measure}[sys.argv[1]](Path(sys.argv[2]))
