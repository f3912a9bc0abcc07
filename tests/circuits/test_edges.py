"""Edges add up to what they explain, and are what ablations in the frozen model give."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from lmsaes.circuits.edges import edges, feature_targets, logit_targets
from lmsaes.circuits.frozen import freeze
from lmsaes.circuits.heads import split_by_head
from lmsaes.circuits.replacement import Replacement, replace_mlps
from lmsaes.circuits.transcoders import load_transcoders
from lmsaes.errors import ModelError, SAEError
from lmsaes.model import LanguageModel
from tests.support.made_up_transcoders import made_up_transcoders

TOKENS = [0, 311, 97, 1205, 97, 8, 3020]


def replacement_of(
    lm: LanguageModel, out: Path, kinds: Sequence[str | None], **options: object
) -> Replacement:
    blocks = len(lm.bridge.blocks)
    made_up_transcoders(lm, out, kinds[:blocks], **options)  # pyright: ignore[reportArgumentType]
    transcoders = load_transcoders([out], blocks, lm.device)
    return replace_mlps(freeze(lm, TOKENS), transcoders, [token == 0 for token in TOKENS])


@pytest.mark.parametrize(
    ("kinds", "options"),
    [
        (["batchtopk", "jumprelu", "relu", "gated"], {}),
        (["batchtopk", "gated", "topk", "relu"], {"skip": True}),
        (["relu", None, "matryoshka", None], {"skip": True}),
        ([None, "hierarchical", "p_annealing", "relu"], {"reads": "hook_resid_mid"}),
        (["jumprelu", "topk", None, "relu"], {"reads": "ln2.hook_normalized"}),
        (["relu", "batchtopk", "gated", "topk"], {"normalize": "layer_norm", "skip": True}),
    ],
)
def test_edges_and_constant_sum_to_activations_and_logits(
    lm: LanguageModel, tmp_path: Path, kinds: list[str | None], options: dict[str, object]
):
    found = replacement_of(lm, tmp_path, kinds, **options)
    assert found.features > 20
    generator = torch.Generator().manual_seed(0)
    some = torch.randperm(found.features, generator=generator)[:200]
    for targets in (feature_targets(found, some), logit_targets(found, torch.tensor([5, 700]))):
        sums = edges(found, targets).sum(1) + targets.constant
        size = targets.value.square().mean().sqrt()
        assert (sums - targets.value).abs().max() < 1e-4 * size


def test_activations_are_those_of_the_transcoders(gpt2: LanguageModel, tmp_path: Path):
    found = replacement_of(gpt2, tmp_path, ["relu", "gated", "jumprelu", "batchtopk"])
    for layer, transcoder in found.transcoders.items():
        dense = transcoder.sae.encode(found.model.blocks[layer].mlp_in, dense=True)
        dense[0] = 0  # the special token's position is an error, whole
        here = found.layer == layer
        again = torch.zeros_like(dense)
        again[found.position[here], found.feature[here]] = found.activation[here]
        torch.testing.assert_close(again, dense)


def test_an_error_is_what_the_transcoder_misses_and_all_where_there_is_none(
    gpt2: LanguageModel, tmp_path: Path
):
    found = replacement_of(gpt2, tmp_path, ["relu", None, "batchtopk", "topk"], skip=True)
    for layer, block in enumerate(found.model.blocks):
        expected = block.mlp_out.clone()
        if layer in found.transcoders:
            expected[1:] -= found.transcoders[layer].sae(block.mlp_in)[1:].detach()
        torch.testing.assert_close(found.errors[layer], expected, atol=1e-4, rtol=1e-4)


def test_a_batch_gives_the_edges_of_its_targets_alone(gpt2: LanguageModel, tmp_path: Path):
    found = replacement_of(gpt2, tmp_path, ["relu", "relu", "topk", "gated"], skip=True)
    chosen = torch.tensor([found.features - 1, 3, found.features // 2, 0, found.features // 3])
    together = edges(found, feature_targets(found, chosen))
    for row, number in enumerate(chosen):
        alone = edges(found, feature_targets(found, number[None]))
        torch.testing.assert_close(together[row], alone[0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("skip", [False, True])
def test_heads_and_stream_share_an_edge_out_at_every_block(
    lm: LanguageModel, tmp_path: Path, skip: bool
):
    found = replacement_of(lm, tmp_path, ["relu", "relu", "relu", "relu"], skip=skip)
    top = len(found.model.blocks) - 1
    last = int(torch.nonzero(found.layer == top)[-1])
    for targets in (
        feature_targets(found, torch.tensor([last])),
        logit_targets(found, torch.tensor([9])),
    ):
        row = edges(found, targets)[0]
        strongest = int((row[: found.features].abs() * (found.layer == 0)).argmax())
        for source in (strongest, found.error(0, 2), found.token(3)):
            split = split_by_head(found, targets, source)
            assert split.heads.shape[0] == len(split.layers) > 0
            parts = split.heads.sum(1) + split.stream
            torch.testing.assert_close(parts, row[source].expand_as(parts), atol=1e-5, rtol=1e-3)


def test_an_edge_within_a_block_or_downward_has_nothing_to_split(
    gpt2: LanguageModel, tmp_path: Path
):
    found = replacement_of(gpt2, tmp_path, ["relu", "relu", "relu", "relu"])
    target = feature_targets(found, torch.tensor([0]))
    assert split_by_head(found, target, found.features - 1).layers == []


def test_a_model_that_is_built_otherwise_is_refused_by_name(
    gpt2: LanguageModel, monkeypatch: pytest.MonkeyPatch
):
    attention = gpt2.bridge.blocks[1].attn
    monkeypatch.setattr(type(attention), "W_O", property(lambda self: self.W_V.mT * 2))
    with pytest.raises(ModelError, match="can't be traced"):
        freeze(gpt2, TOKENS)


def test_sets_that_are_no_transcoders_of_mlps_are_refused(gpt2: LanguageModel, tmp_path: Path):
    elsewhere = made_up_transcoders(gpt2, tmp_path / "a", ["relu"], reads="hook_resid_pre")
    with pytest.raises(SAEError, match="not the input of the MLP of block 0"):
        load_transcoders([elsewhere], 4, gpt2.device)
    twice = [made_up_transcoders(gpt2, tmp_path / name, ["relu"]) for name in "bc"]
    with pytest.raises(SAEError, match="both transcoders of block 0"):
        load_transcoders(twice, 4, gpt2.device)
    with pytest.raises(SAEError, match="the model has 0 blocks"):
        load_transcoders(twice[:1], 0, gpt2.device)
