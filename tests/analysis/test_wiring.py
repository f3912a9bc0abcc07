"""Heads and neurons that face features, against products with transformers' own matrices."""

import math

import pytest
import torch
from transformers import AutoModelForCausalLM

from lmsaes.analysis.wiring import find_wiring
from lmsaes.database import WIRED_BY
from lmsaes.demo import MODEL
from lmsaes.model import LanguageModel
from tests.support.tiny_models import tiny_llama

FEATURES = 40


@pytest.fixture(scope="module")
def gpt2():
    return Plain(LanguageModel.load(str(MODEL), "cpu"))


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return Plain(LanguageModel.load(tiny_llama(tmp_path_factory.mktemp("llama") / "model"), "cpu"))


class Plain:
    """A model's matrices, each [outputs, inputs], taken from its state by transformers' names."""

    def __init__(self, lm):
        self.lm = lm
        model = AutoModelForCausalLM.from_pretrained(lm.record.name).double()
        state, config = model.state_dict(), model.config
        self.width, heads = config.hidden_size, config.num_attention_heads
        self.is_gpt2 = config.model_type == "gpt2"
        self.blocks = []
        for layer in range(config.num_hidden_layers):
            if self.is_gpt2:
                own = {k.removeprefix(f"transformer.h.{layer}."): v for k, v in state.items()}
                q, k, v = own["attn.c_attn.weight"].T.chunk(3)
                o, w_in = own["attn.c_proj.weight"].T, own["mlp.c_fc.weight"].T
                gate, w_out = None, own["mlp.c_proj.weight"].T
                norms = own["ln_1.weight"], own["ln_2.weight"]
            else:
                own = {k.removeprefix(f"model.layers.{layer}."): v for k, v in state.items()}
                q, k, v, o = (own[f"self_attn.{name}_proj.weight"] for name in "qkvo")
                w_in, gate, w_out = (own[f"mlp.{n}_proj.weight"] for n in ("up", "gate", "down"))
                norms = own["input_layernorm.weight"], own["post_attention_layernorm.weight"]
            size = len(q) // heads
            split = {"query": q.split(size), "key": k.split(size), "value": v.split(size)}
            neurons = {"in": w_in, "gate": gate}
            self.blocks.append((split, o.split(size, 1), neurons, w_out, norms))

    def read(self, direction, gain):
        """The direction as what stands behind a norm sees it, but for the norm's denominator."""
        centered = direction - direction.mean() if self.is_gpt2 else direction
        return centered * gain

    def expected(self, encoder, decoder, writes, reads):
        """{side: {kind: {part: weight}}} of one feature, of the parts (layer, kind) that count."""
        found = {side: {"heads": {}, "neurons": {}} for side in ("writers", "readers")}
        e, d = (row.double() / row.double().norm() for row in (encoder, decoder))
        for layer, (split, o, neurons, w_out, norms) in enumerate(self.blocks):
            if (layer, "heads") in writes:
                for head, own in enumerate(o):
                    found["writers"]["heads"][layer, head, "output"] = (own.T @ e).norm().item()
            if (layer, "neurons") in writes:
                for neuron, weight in enumerate((w_out.T @ e).tolist()):
                    found["writers"]["neurons"][layer, neuron, "output"] = weight
            if (layer, "heads") in reads:
                seen = self.read(d, norms[0])
                for by, heads in split.items():
                    shared = len(split["query"]) // len(heads)
                    for number, own in enumerate(heads):
                        part = layer, number * shared, by
                        found["readers"]["heads"][part] = (own @ seen).norm().item()
            if (layer, "neurons") in reads:
                seen = self.read(d, norms[1])
                for by, weights in neurons.items():
                    for neuron, weight in enumerate([] if weights is None else (weights @ seen)):
                        found["readers"]["neurons"][layer, neuron, by] = weight.item()
        return found


def check(plain, wiring, encoder, decoder, writes, reads):
    """That the eight of largest ratio over all features are what is kept, with their weights."""
    every = [plain.expected(e, d, writes, reads) for e, d in zip(encoder, decoder, strict=True)]
    for side in ("writers", "readers"):
        for kind, what in (("heads", "head"), ("neurons", "neuron")):
            parts = every[0][side][kind]
            baseline = {
                part: math.sqrt(sum(own[side][kind][part] ** 2 for own in every) / len(every))
                for part in parts
            }
            for feature in (0, 17):
                table = getattr(getattr(wiring.of(feature), side), kind)
                found = [
                    (layer, part, WIRED_BY[by])
                    for layer, part, by in zip(
                        table["layer"], table[what], table["by"], strict=True
                    )
                ]
                own = every[feature][side][kind]
                ratios = {part: abs(own[part]) / baseline[part] for part in parts}
                best = sorted(ratios, key=lambda part: -ratios[part])[:8]
                assert [ratios[part] for part in found] == pytest.approx(
                    [ratios[part] for part in best], rel=1e-3
                )
                assert table["ratio"].tolist() == pytest.approx(
                    [ratios[p] for p in found], rel=1e-3
                )
                assert table["weight"].tolist() == pytest.approx([own[p] for p in found], rel=1e-3)


def parts(*layers, kinds=("heads", "neurons")):
    return {(layer, kind) for layer in layers for kind in kinds}


@pytest.mark.parametrize(
    ("hook", "target", "writes", "reads"),
    [
        ("hook_resid_pre", None, parts(0), parts(1, 2)),
        ("hook_resid_mid", None, parts(0) | {(1, "heads")}, {(1, "neurons")} | parts(2)),
        ("hook_resid_post", None, parts(0, 1), parts(2)),
        ("hook_attn_out", None, {(1, "heads")}, {(1, "neurons")} | parts(2)),
        ("hook_mlp_out", None, {(1, "neurons")}, parts(2)),
        ("hook_resid_mid", "hook_mlp_out", parts(0) | {(1, "heads")}, parts(2)),
    ],
)
@pytest.mark.parametrize("model", ["gpt2", "llama"])
def test_parts_are_those_of_the_weights(model, hook, target, writes, reads, request):
    plain = request.getfixturevalue(model)
    later = range(3, len(plain.blocks))
    torch.manual_seed(1)
    encoder, decoder = torch.randn(2, FEATURES, plain.width)
    hooks, targets = [f"blocks.1.{hook}"], [f"blocks.1.{target or hook}"]
    wiring = find_wiring(plain.lm, encoder, decoder, hooks, targets)
    check(plain, wiring, encoder, decoder, writes, reads | parts(*later))
    assert wiring.missing is None


@pytest.mark.parametrize("model", ["gpt2", "llama"])
def test_what_the_mlp_reads_is_carried_through_its_norm(model, request):
    plain = request.getfixturevalue(model)
    torch.manual_seed(1)
    encoder, decoder = torch.randn(2, FEATURES, plain.width)
    gain = plain.blocks[1][4][1]
    before = encoder.double() * gain
    if plain.is_gpt2:
        before = before - before.mean(1, keepdim=True)
    of_stream = find_wiring(
        plain.lm, before, decoder, ["blocks.1.hook_resid_mid"], ["blocks.1.hook_mlp_out"]
    )
    of_input = find_wiring(
        plain.lm, encoder, decoder, ["blocks.1.mlp.hook_in"], ["blocks.1.hook_mlp_out"]
    )
    for feature in (0, 5):
        expected, found = of_stream.of(feature).writers, of_input.of(feature).writers
        # in the same order but for a factor for each feature: its length behind the norm
        assert set(expected.neurons["neuron"]) & set(found.neurons["neuron"])
        scale = before[feature].norm() / encoder[feature].norm()
        strongest = found.neurons["neuron"][0], found.neurons["layer"][0]
        w_out = plain.blocks[strongest[1]][3][:, strongest[0]]
        unit = before[feature] / before[feature].norm()
        assert found.neurons["weight"][0] == pytest.approx(float(w_out @ unit * scale), rel=1e-3)


def test_a_crosscoder_meets_the_stream_where_its_hooks_are(gpt2):
    """What a part writes is seen at all later hooks; what reads sees the last hook before it."""
    torch.manual_seed(1)
    rows = torch.randn(FEATURES, 2 * gpt2.width)
    hooks = ["blocks.1.hook_resid_pre", "blocks.3.hook_resid_pre"]
    wiring = find_wiring(gpt2.lm, rows, rows, hooks, hooks)
    unit = rows / rows.norm(dim=1, keepdim=True)
    first, second = unit.split(gpt2.width, 1)
    for feature in (0, 5):
        found = wiring.of(feature)
        for layer, neuron, weight in zip(
            *(found.writers.neurons[n].tolist() for n in ("layer", "neuron", "weight")), strict=True
        ):
            seen = first + second if layer == 0 else second
            w_out = gpt2.blocks[layer][3][:, neuron].float()
            assert layer < 3
            assert weight == pytest.approx(float(w_out @ seen[feature]), rel=1e-3)
        for layer, neuron, weight in zip(
            *(found.readers.neurons[n].tolist() for n in ("layer", "neuron", "weight")), strict=True
        ):
            own = gpt2.read((second if layer == 3 else first)[feature], gpt2.blocks[layer][4][1])
            w_in = gpt2.blocks[layer][2]["in"][neuron]
            assert layer >= 1
            assert weight == pytest.approx(float(w_in @ own), rel=1e-3)


def test_the_baseline_is_over_all_features_whichever_are_asked_for(gpt2):
    torch.manual_seed(1)
    rows = torch.randn(FEATURES, gpt2.width)
    hooks = ["blocks.1.hook_resid_post"]
    whole = find_wiring(gpt2.lm, rows, rows, hooks, hooks)
    some = find_wiring(gpt2.lm, rows, rows, hooks, hooks, slice(10, 20))
    for side in ("writers", "readers"):
        expected, found = getattr(whole.of(13), side).heads, getattr(some.of(3), side).heads
        assert found["head"].tolist() == expected["head"].tolist()
        assert found["ratio"] == pytest.approx(expected["ratio"], rel=1e-5)


def test_a_hook_without_parts_has_none_and_says_why(gpt2):
    torch.manual_seed(1)
    rows = torch.randn(FEATURES, gpt2.width)
    hook = "blocks.1.attn.hook_q"
    found = find_wiring(gpt2.lm, rows, rows, [hook], ["blocks.1.hook_resid_post"]).of(0)
    assert found.writers is None
    assert found.readers is not None
    assert hook in found.missing
