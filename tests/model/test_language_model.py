"""The language model: names, values and widths of hooks, and what is refused."""

import json
import shutil

import pytest
import torch
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from lmsaes.demo import MODEL
from lmsaes.errors import ConfigError, ModelError
from lmsaes.model.hooks import HookShape
from lmsaes.model.language_model import LanguageModel, resolve_device
from lmsaes.text.tokenizer import token_strings, tokenizer_facts
from tests.support.commands import command, start_function

HOOKS = [
    "hook_embed",
    "blocks.0.hook_resid_pre",
    "blocks.1.hook_resid_mid",
    "blocks.1.hook_attn_out",
    "blocks.1.attn.hook_z",
    "blocks.1.mlp.hook_post",
    "blocks.2.hook_mlp_out",
    "blocks.2.hook_resid_post",
]


def test_activations_equal_run_with_cache(language_model):
    tokens = torch.randint(0, 4096, (3, 40), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        _, expected = language_model.bridge.run_with_cache(tokens)
    found = language_model.activations(tokens, HOOKS)
    assert list(found) == sorted(found, key=list(found).index)
    assert set(found) == set(HOOKS)
    for hook, values in found.items():
        assert torch.allclose(values, expected[hook].flatten(2), atol=1e-5), hook


def test_the_forward_pass_stops_at_the_last_wanted_hook(language_model):
    ran = []
    blocks = language_model.bridge.blocks
    handles = [
        block.register_forward_hook(lambda *_, i=i: ran.append(i)) for i, block in enumerate(blocks)
    ]
    language_model.activations(torch.zeros((1, 4), dtype=torch.int64), ["blocks.2.hook_resid_mid"])
    for handle in handles:
        handle.remove()
    assert ran == [0, 1]


def test_shapes_of_names_and_globs(language_model):
    d_model, heads = language_model.bridge.cfg.d_model, language_model.bridge.cfg.n_heads
    wanted = ["blocks.0.mlp.hook_post", "blocks.1.attn.hook_z", "blocks.*.hook_resid_post"]
    found = language_model.find_hooks(wanted)
    assert found.pop("blocks.0.mlp.hook_post") == HookShape(4 * d_model)
    assert found.pop("blocks.1.attn.hook_z") == HookShape(d_model, heads)
    layers = language_model.bridge.cfg.n_layers
    assert found == {f"blocks.{i}.hook_resid_post": HookShape(d_model) for i in range(layers)}
    # a glob takes what is suitable of what it means
    assert "blocks.0.attn.hook_pattern" not in language_model.find_hooks(["blocks.0.attn.*"])


@pytest.mark.parametrize(
    ("pattern", "message", "hint"),
    [
        ("block.1.hook_resid_pre", "'block.1.hook_resid_pre' is not in", "blocks.1.hook_resid_pre"),
        ("blocks.*.hook_nothing", "is not in", "nearest"),
        ("blocks.0.attn.hook_pattern", "no vector per token", "hook_resid_post"),
        ("blocks.0.ln1.hook_scale", "no vector per token", "hook_resid_post"),
        (
            "blocks.*.attn.hook_pattern",
            r"\[contexts, 8, positions, positions\]",
            "hook_resid_post",
        ),
    ],
)
def test_hooks_that_cannot_be_kept_are_refused_with_help(language_model, pattern, message, hint):
    with pytest.raises(ConfigError, match=message) as error:
        language_model.find_hooks([pattern])
    assert hint in (error.value.hint or "")


def test_unembedding_is_what_a_direction_adds_to_the_logits(language_model):
    """Against the model itself: a tiny step along a direction, with the norm's scale held."""
    lm = language_model
    tokens = torch.randint(0, 4096, (1, 16), generator=torch.Generator().manual_seed(1))
    hf = lm.bridge.original_model
    last = f"blocks.{lm.bridge.cfg.n_layers - 1}.hook_resid_post"
    x = lm.activations(tokens, [last])[last][0, -1].double()
    weight, bias = hf.transformer.ln_f.weight.double(), hf.transformer.ln_f.bias.double()
    scale = (x - x.mean()).pow(2).mean().add(hf.config.layer_norm_epsilon).sqrt()

    def logits(residual):
        centered = residual - residual.mean()
        return hf.lm_head.weight.double() @ (centered / scale * weight + bias)

    direction = torch.randn(len(x), dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    direction -= direction.mean()
    change = logits(x + direction) - logits(x)
    expected = change - change.mean()
    found = direction @ lm.unembedding().double() / scale
    assert torch.allclose(found, expected, atol=1e-4)


def test_token_strings_join_to_the_text(language_model):
    tokenizer = language_model.tokenizer
    strings = token_strings(tokenizer, 4100)
    assert len(strings) == 4100
    text = "In the beginning, 1789: naïve — “quoted” words\nand a tab\t."
    ids = tokenizer.encode(text, add_special_tokens=False)
    joined = "".join(strings[i] for i in ids)
    raw = joined.encode().decode("unicode_escape") if "\\x" in joined else joined
    ascii_only = "".join(c for c in raw if c.isascii())
    assert [c for c in text if c.isascii()] == list(ascii_only)
    assert strings[tokenizer.encode(" the", add_special_tokens=False)[0]] == " the"
    assert strings[4099] == "[4099]"


def test_a_tokenizer_whose_ids_have_gaps_shows_each_ids_own_string(language_model):
    content = json.loads(language_model.tokenizer.backend_tokenizer.to_str())
    vocabulary = content["model"]["vocab"]
    gap, last = 4000, max(vocabulary.values())
    for name, index in vocabulary.items():
        vocabulary[name] = index + 20 * (index >= gap)
    gapped = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(content)))
    expected = token_strings(language_model.tokenizer, last + 1)
    found = token_strings(gapped, last + 41)
    assert found[:gap] == expected[:gap]
    assert found[gap : gap + 20] == [f"[{i}]" for i in range(gap, gap + 20)]
    assert found[gap + 20 : last + 21] == expected[gap:]
    assert found[last + 21 :] == [f"[{i}]" for i in range(last + 21, last + 41)]


def test_tokenizer_facts(language_model):
    facts = tokenizer_facts(language_model.tokenizer)
    assert facts.bos_id == facts.eos_id == 0
    assert facts.special_ids == (0,)


def test_folders_without_a_model_are_told(tmp_path):
    with pytest.raises(ModelError, match="there is no folder"):
        LanguageModel.load(str(tmp_path / "nowhere"))
    with pytest.raises(ModelError, match=r"no config\.json"):
        LanguageModel.load(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="can't load the model in"):
        LanguageModel.load(str(tmp_path))


def test_weights_that_would_be_unpickled_are_refused(tmp_path):
    shutil.copytree(MODEL, tmp_path / "m")
    (tmp_path / "m/model.safetensors").unlink()
    torch.save({}, tmp_path / "m/pytorch_model.bin")
    with pytest.raises(ModelError) as error:
        LanguageModel.load(str(tmp_path / "m"))
    assert "safetensors" in (error.value.hint or "")


def test_a_name_that_cannot_be_downloaded_is_told_in_one_line():
    with pytest.raises(ModelError, match="neither a local folder nor to be had") as error:
        LanguageModel.load("gpt2-small")
    assert "\n" not in str(error.value)


def test_unknown_dtypes_and_devices_are_told():
    with pytest.raises(ConfigError, match="int4"):
        LanguageModel.load(str(MODEL), dtype="int4")
    with pytest.raises(ConfigError, match="device 'abacus'"):
        resolve_device("abacus")


def test_a_fine_tuned_model_has_another_hash(tmp_path, language_model):
    from safetensors.torch import load_file, save_file

    shutil.copytree(MODEL, tmp_path / "m")
    path = tmp_path / "m/model.safetensors"
    weights = load_file(path)
    name = next(n for n in weights if n.endswith("mlp.c_fc.weight"))
    weights[name] = weights[name] + 0.01
    save_file(weights, path, metadata={"format": "pt"})
    other = LanguageModel.load(str(tmp_path / "m"), device="cpu")
    assert other.record.weights_hash != language_model.record.weights_hash
    assert other.record.config_hash == language_model.record.config_hash
    json.dumps(other.record.model_dump())


def tiny_model(folder, kind):
    """A randomly initialized model of another architecture, with the bundled tokenizer."""
    from transformers import (
        GPT2Config,
        GPT2LMHeadModel,
        GPTNeoXConfig,
        GPTNeoXForCausalLM,
        LlamaConfig,
        LlamaForCausalLM,
    )

    torch.manual_seed(0)
    ids = {"vocab_size": 4096, "bos_token_id": 0, "eos_token_id": 0}
    shape = {
        "hidden_size": 24,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        # as many heads as a probe has positions: they must not be taken for them
        "num_attention_heads": 3,
        "max_position_embeddings": 64,
    }
    match kind:
        case "llama":
            model = LlamaForCausalLM(LlamaConfig(**ids, **shape, num_key_value_heads=1))
        case "neox":
            model = GPTNeoXForCausalLM(GPTNeoXConfig(**ids, **shape))
        case _:
            config = GPT2Config(**ids, n_embd=24, n_layer=2, n_head=3, n_positions=64)
            model = GPT2LMHeadModel(config)
    # weights as large as trained ones, so that every part of a block shows
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(5)
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(MODEL / name, folder / name)
    return str(folder)


KINDS = [
    "hook_resid_pre",
    "hook_resid_mid",
    "hook_resid_post",
    "hook_attn_out",
    "hook_mlp_out",
    "mlp.hook_post",
    "attn.hook_z",
]


@pytest.mark.parametrize("weights", ["raw", "processed"])
@pytest.mark.parametrize("kind", ["gpt2", "llama", "neox"])
def test_every_kind_of_hook_equals_run_with_cache(tmp_path, kind, weights):
    lm = LanguageModel.load(tiny_model(tmp_path, kind), device="cpu", weights=weights)
    tokens = torch.randint(0, 4096, (2, 48), generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        _, cache = lm.bridge.run_with_cache(tokens)
    # attention and mlp run side by side in GPT-NeoX: there is nothing between them
    hooks = [f"blocks.1.{k}" for k in KINDS if kind != "neox" or k != "hook_resid_mid"]
    shapes = lm.find_hooks(hooks)
    assert shapes["blocks.1.attn.hook_z"] == HookShape(24, heads=3)
    assert lm.specialize(hooks) == ("sdpa" if weights == "raw" else "eager")
    together = lm.activations(tokens, hooks)
    for hook in hooks:
        expected = cache[hook].flatten(2)
        assert expected.shape[2] == shapes[hook].width
        for found in (together, lm.activations(tokens, [hook])):
            error = (found[hook] - expected).norm() / expected.norm()
            assert error < 2e-6, hook
    assert lm.unembedding().shape == (lm.bridge.cfg.d_model, 4096)


def test_a_compiled_forward_gives_the_same(tmp_path):
    hooks = ["blocks.0.attn.hook_z", "blocks.0.hook_resid_post"]
    lm = LanguageModel.load(tiny_model(tmp_path, "gpt2"), device="cpu")
    batches = torch.randint(0, 4096, (2, 2, 16), generator=torch.Generator().manual_seed(3))
    expected = [lm.activations(tokens, hooks) for tokens in batches]
    assert lm.specialize(hooks, compile=True, batch=(2, 16)) == "sdpa"
    for tokens, values in zip(batches, expected, strict=True):
        found = lm.activations(tokens, hooks)
        assert list(found) == hooks
        for hook in hooks:
            assert torch.allclose(found[hook], values[hook], atol=1e-5), hook


def without_a_compiler(compiler: str, *words: str) -> None:
    from torch._inductor import config

    config.cpp.cxx = (compiler,)
    command(*words)


def test_a_machine_without_a_compiler_is_told_in_one_line(tmp_path):
    (tmp_path / "text.txt").write_text("In the beginning. " * 50)
    words = [
        "cache", "--compile", "--model", tiny_model(tmp_path / "m", "gpt2"), "--dataset",
        str(tmp_path / "text.txt"), "--hook", "blocks.0.hook_resid_post", "--out",
        str(tmp_path / "c"), "--device", "cpu", "--tokens", "64", "--context-size", "16",
        "--batch-size", "2",
    ]  # fmt: skip
    # a process of its own: torch remembers for good that there is no compiler
    done = start_function(
        without_a_compiler, str(tmp_path / "no-compiler"), *words,
        environment={"TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "i")},
    )  # fmt: skip
    assert done.wait() == 1
    *_, error, hint = done.stderr.strip().splitlines()
    assert error.startswith("error: the model can't be compiled here: ")
    assert "--compile" in hint
    assert not (tmp_path / "c").exists()


def test_what_only_the_bridge_can_do_runs_on_the_bridge():
    lm = LanguageModel.load(str(MODEL), device="cpu")
    tokens = torch.zeros((1, 8), dtype=torch.int64)
    before = lm.activations(tokens, ["blocks.1.attn.hook_q"])
    assert lm.specialize(["blocks.1.attn.hook_q"]) == "eager"
    after = lm.activations(tokens, ["blocks.1.attn.hook_q"])
    assert torch.equal(before["blocks.1.attn.hook_q"], after["blocks.1.attn.hook_q"])
    with pytest.raises(ConfigError, match="can't be compiled"):
        lm.specialize(["blocks.1.attn.hook_q"], compile=True)


def test_unwrapping_makes_no_second_copy_of_the_weights():
    lm = LanguageModel.load(str(MODEL), device="cpu")

    def storages():
        return {p.untyped_storage().data_ptr() for p in lm.bridge.original_model.parameters()}

    before = storages()
    assert lm.specialize(["blocks.1.hook_resid_post"]) == "sdpa"
    assert storages() == before


def test_a_failure_keeps_its_cause(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError) as error:
        LanguageModel.load(str(tmp_path))
    assert error.value.__cause__ is not None


DAMAGED = {
    "half of the weights": ("model.safetensors", lambda data: data[: len(data) // 2]),
    "weights of another kind": ("model.safetensors", lambda data: b"\xff" * 64),
    "no weights": ("model.safetensors", lambda data: b""),
    "a tokenizer of no kind": ("tokenizer.json", lambda data: b'{"model": {"type": "BPE"}}'),
    "half of a tokenizer": ("tokenizer.json", lambda data: data[: len(data) // 2]),
    "half of a configuration": ("config.json", lambda data: data[: len(data) // 2]),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_of_a_model_is_refused(tmp_path, name):
    file, damage = DAMAGED[name]
    shutil.copytree(MODEL, tmp_path / "m")
    (tmp_path / "m" / file).write_bytes(damage((MODEL / file).read_bytes()))
    with pytest.raises(ModelError) as error:
        LanguageModel.load(str(tmp_path / "m"))
    assert str(tmp_path / "m") in str(error.value)
    assert "\n" not in str(error.value)
