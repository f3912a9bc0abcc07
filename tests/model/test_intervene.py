"""The model with activations replaced gives TransformerLens' own logits, entered anywhere."""

import shutil

import pytest
import torch

from lmsaes.demo import MODEL
from lmsaes.errors import ConfigError
from lmsaes.model import Entry, LanguageModel, PatchedForward, replaced_at

RESIDUAL = ["blocks.0.hook_resid_pre", "blocks.1.hook_resid_post", "blocks.3.hook_resid_post"]
INSIDE = ["blocks.2.hook_mlp_out", "blocks.1.attn.hook_z"]
ON_THE_BRIDGE = ["blocks.2.ln2.hook_normalized"]


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Rotary embeddings, grouped queries and RMSNorm, with the bundled tokenizer."""
    from transformers import AutoModelForCausalLM, LlamaConfig

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("llama") / "model"
    shutil.copytree(MODEL, folder, ignore=shutil.ignore_patterns("*.safetensors", "config.json"))
    config = LlamaConfig(
        vocab_size=4096,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("weights", ["raw", "processed"])
@pytest.mark.parametrize("hooks", [RESIDUAL, INSIDE, ON_THE_BRIDGE])
def test_replaced_activations_give_the_bridges_logits(weights, hooks):
    _compare(str(MODEL), weights, hooks, direct=weights == "raw" and hooks is not ON_THE_BRIDGE)


@pytest.mark.parametrize("hooks", [RESIDUAL, INSIDE])
def test_another_architecture_is_entered_in_the_middle_too(llama, hooks):
    _compare(llama, "raw", hooks, direct=True)


def _compare(model, weights, hooks, direct):
    bridge = LanguageModel.load(model, "cpu", weights=weights).bridge
    forward = PatchedForward(LanguageModel.load(model, "cpu", weights=weights), hooks)
    assert (forward._direct is not None) == direct
    assert forward._skips
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(0, 4096, (3, 20), generator=generator)
    whole, found = forward.read(tokens, hooks)
    with torch.inference_mode():
        torch.testing.assert_close(whole, bridge(tokens), rtol=1e-4, atol=1e-4)
    for hook in hooks:
        new = torch.randn(found[hook].shape, generator=generator)
        with torch.inference_mode():
            expected = bridge.run_with_hooks(
                tokens, fwd_hooks=[(hook, lambda old, hook, new=new: new.reshape(old.shape))]
            )
        edits = {hook: lambda _, new=new: new}
        block = forward.boundary(hook)
        if block is not None:
            entered = forward.logits(tokens, entry=Entry(block, new))
        else:
            entry = forward.input_of(forward.block_of(hook))
            stream = forward.read(tokens, [entry])[1][entry]
            entered = forward.logits(tokens, edits, Entry(forward.block_of(hook), stream))
        torch.testing.assert_close(forward.logits(tokens, edits), expected, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(entered, expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(forward.read(tokens, hooks)[0], whole)  # nothing is left behind


def test_blocks_below_the_entry_do_not_run():
    forward = PatchedForward(LanguageModel.load(str(MODEL), "cpu"), RESIDUAL)
    ran = []
    for index, block in enumerate(forward._blocks):
        block.ln_1.register_forward_hook(lambda *_, index=index: ran.append(index))
    tokens = torch.zeros((1, 5), dtype=torch.int64)
    forward.logits(tokens, entry=Entry(2, torch.randn(1, 5, 256)))
    assert ran == [2, 3]
    ran.clear()
    forward.logits(tokens)
    assert ran == [0, 1, 2, 3]


def test_replaced_at_keeps_the_other_positions():
    old, new = torch.zeros(1, 3, 2), torch.ones(1, 3, 2)
    edit = replaced_at(torch.tensor([[True, False, True]]), new)
    assert edit(old)[0, :, 0].tolist() == [1, 0, 1]


def test_a_hook_that_the_model_has_not_is_refused():
    lm = LanguageModel.load(str(MODEL), "cpu")
    with pytest.raises(ConfigError, match="is not in"):
        PatchedForward(lm, ["blocks.9.hook_resid_post"])
