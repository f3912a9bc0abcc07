"""What edits do to a model's logits, against the same made by hand on TransformerLens' bridge."""

import pytest
import torch

from lmsaes import Edit
from lmsaes.errors import ConfigError, SAEError
from lmsaes.sae import ReLUConfig
from lmsaes.sae.origin import Imported
from lmsaes.steering import GrowingText, When, tokenize
from tests.support.made_up_saes import WIDTH, every_kind, made_up_sae

PROMPT = "In the beginning God created the heaven and the earth."
KINDS = ["sae", "layer norm", "transcoder", "crosscoder"]
METHODS = [{"add": 3.0}, {"set": 2.0}, {"scale": 0.5}, {"ablate": True}, {"orthogonal": 0.0}]


@pytest.fixture(params=KINDS)
def sae(request, lm):
    return every_kind(lm.bridge.cfg.d_model)[request.param]


def logits_of(lm, edits, tokens, prompt=None, cache=True):
    return GrowingText(lm, edits, prompt or len(tokens), cache).extend(tokens)


def bridge_logits(lm, tokens, hooks=()):
    lm.mount(None)
    with torch.inference_mode():
        return lm.bridge.run_with_hooks(torch.tensor([tokens]), fwd_hooks=list(hooks))[0]


def firing_feature(lm, sae, tokens):
    """The feature with the largest sum of activations outside special tokens."""
    reads = list(sae.config.inputs)
    found = lm.activations(torch.tensor([tokens]), reads)
    rows = torch.cat([found[hook][0] for hook in reads], 1)
    activations = sae.encode(rows, dense=True)
    return int(activations[1:].sum(0).argmax()), activations, rows


@pytest.mark.parametrize("method", METHODS, ids=lambda m: next(iter(m)))
def test_an_edit_adds_the_difference_through_the_decoder(lm, sae, method):
    """By hand: f is encoded from a clean run, (f′ − f) · W_dec is added at each hook."""
    tokens = tokenize(lm, PROMPT).token_ids
    feature, activations, rows = firing_feature(lm, sae, tokens)
    f = activations[:, feature]
    assert (f[1:] > 0).sum() > 1
    (name, value) = next(iter(method.items()))
    changed = {
        "add": f + value,
        "set": torch.full_like(f, value),
        "scale": f * value,
        "ablate": torch.zeros_like(f),
    }
    hooks = []
    writes = sae.config.outputs
    for index, hook in enumerate(writes):
        width = sae.d_out // len(writes)
        part = slice(index * width, (index + 1) * width)
        direction = sae.W_dec[feature, part]
        if name == "orthogonal":
            unit = direction / direction.norm()

            def edit(h, hook, unit=unit):
                h = h.clone()
                h[0, 1:] -= (h[0, 1:] @ unit)[:, None] * unit
                return h
        else:
            new = activations.clone()
            new[:, feature] = changed[name]
            delta = (sae.decode(new, rows) - sae.decode(activations, rows))[:, part]
            delta[0] = 0  # the beginning-of-text token is left alone

            def edit(h, hook, delta=delta):
                return h + delta

        hooks.append((hook, edit))
    expected = bridge_logits(lm, tokens, hooks)
    found = logits_of(lm, [Edit(sae, feature, **method)], tokens)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=2e-3)
    plain = bridge_logits(lm, tokens)
    assert (found - plain).abs().max() > 10 * (found - expected).abs().max()


@pytest.mark.parametrize("nothing", [{"add": 0.0}, {"scale": 1.0}, {"orthogonal": 1.0}])
def test_an_edit_that_changes_nothing_keeps_the_bits(lm, sae, nothing):
    tokens = tokenize(lm, PROMPT).token_ids
    edit = Edit(sae, 5, **nothing)
    hooks = GrowingText(lm, [edit], 1).edits.hooks
    plain = GrowingText(lm, [], 1, hooks=hooks).extend(tokens)
    assert torch.equal(logits_of(lm, [edit], tokens), plain)


@pytest.mark.parametrize("positions", ["all", "prompt", "generated", [2, 9, 14]])
def test_logits_are_the_same_with_and_without_a_cache(lm, sae, positions):
    """Token by token and in one pass, at positions of the prompt and after it."""
    tokens = tokenize(lm, PROMPT).token_ids
    prompt = len(tokens) - 5
    feature, _, _ = firing_feature(lm, sae, tokens)
    edits = [
        Edit(sae, feature, add=4.0, positions=positions),
        Edit(sae, (feature + 1) % WIDTH, set=1.5, positions=positions, when=When(sae, feature)),
    ]
    whole = logits_of(lm, edits, tokens, prompt, cache=False)
    text = GrowingText(lm, edits, prompt)
    assert text.caches
    parts = [text.extend(tokens[:prompt]), *(text.extend([token]) for token in tokens[prompt:])]
    torch.testing.assert_close(torch.cat(parts), whole, rtol=1e-3, atol=1e-3)
    plain = bridge_logits(lm, tokens)
    differs = (whole - plain).abs().amax(1) > 0.01
    first = {"all": 1, "prompt": 1, "generated": prompt, (2, 9, 14): 2}
    first = first[positions if isinstance(positions, str) else tuple(positions)]
    assert not differs[:first].any()
    assert differs[first:].any()
    if positions == "generated":
        assert differs[prompt]


def test_special_tokens_are_edited_only_when_asked(lm):
    sae = made_up_sae(lm.bridge.cfg.d_model, hook="blocks.1.hook_resid_post")
    tokens = [5, 0, 7]
    plain = logits_of(lm, [], tokens)
    for positions, special, changed in [([1], False, []), ([1], True, [1, 2]), ([0], False, [0])]:
        edit = Edit(sae, 3, add=5.0, positions=positions, special=special)
        differs = (logits_of(lm, [edit], tokens) - plain).abs().amax(1) > 1e-3
        assert set(changed) <= set(differs.nonzero()[:, 0].tolist()), (positions, special)
        assert changed or not differs.any()


def test_a_condition_lets_an_edit_act_only_where_it_holds(lm):
    width = lm.bridge.cfg.d_model
    sae = made_up_sae(width, hook="blocks.1.hook_resid_post", kind=ReLUConfig)
    other = made_up_sae(width, hook="blocks.0.hook_resid_post", kind=ReLUConfig, seed=1)
    tokens = tokenize(lm, PROMPT).token_ids
    rows = lm.activations(torch.tensor([tokens]), ["blocks.0.hook_resid_post"])
    fires = other.encode(rows["blocks.0.hook_resid_post"][0], dense=True)
    feature = int(((fires[1:] > 0).sum(0) - len(tokens) // 2).abs().argmin())
    places = [i for i in range(1, len(tokens)) if fires[i, feature] > 0]
    assert 0 < len(places) < len(tokens) - 1
    found = logits_of(lm, [Edit(sae, 3, add=6.0, when=When(other, feature))], tokens)
    expected = logits_of(lm, [Edit(sae, 3, add=6.0, positions=places)], tokens)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    never = When(other, feature, above=1e6)
    hooks = GrowingText(lm, [Edit(sae, 3, add=6.0, when=never)], 1).edits.hooks
    plain = GrowingText(lm, [], 1, hooks=hooks).extend(tokens)
    assert torch.equal(logits_of(lm, [Edit(sae, 3, add=6.0, when=never)], tokens), plain)


def test_edits_of_several_saes_add_up_where_they_meet(lm):
    """Both of one hook read the activations as they came; one above sees what they made of it."""
    width = lm.bridge.cfg.d_model
    a, b = (made_up_sae(width, hook="blocks.0.hook_resid_post", seed=s) for s in (0, 1))
    above = made_up_sae(width, hook="blocks.1.hook_resid_post", seed=2)
    tokens = tokenize(lm, PROMPT).token_ids
    feature, fa, _ = firing_feature(lm, a, tokens)
    other, fb, _ = firing_feature(lm, b, tokens)
    delta = -fa[:, [feature]] * a.W_dec[feature] - fb[:, [other]] * b.W_dec[other]
    delta[0] = 0

    def ablate_above(h, hook):
        f = above.encode(h[0], dense=True)[:, 4].clone()
        f[0] = 0
        return h - f[:, None] * above.W_dec[4]

    hooks = [
        ("blocks.0.hook_resid_post", lambda h, hook: h + delta),
        ("blocks.1.hook_resid_post", ablate_above),
    ]
    edits = [
        Edit(above, 4, ablate=True),
        Edit(a, feature, ablate=True),
        Edit(b, other, ablate=True),
    ]
    found = logits_of(lm, edits, tokens)
    torch.testing.assert_close(found, bridge_logits(lm, tokens, hooks), rtol=1e-3, atol=2e-3)


def test_hooks_that_only_the_bridge_has_are_edited_too(language_model):
    lm = language_model
    sae = made_up_sae(lm.bridge.cfg.d_model, hook="blocks.2.ln2.hook_normalized")
    tokens = tokenize(lm, PROMPT).token_ids
    text = GrowingText(lm, [Edit(sae, 3, add=5.0)], 4)
    assert not text.caches  # each pass runs over the whole text
    parts = [text.extend(tokens[:6]), text.extend(tokens[6:])]

    def add(h, hook):
        h = h.clone()
        h[0, 1:] += 5 * sae.W_dec[3]
        return h

    expected = bridge_logits(lm, tokens, [("blocks.2.ln2.hook_normalized", add)])
    torch.testing.assert_close(torch.cat(parts), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "not 0 of them"),
        ({"add": 1.0, "ablate": True}, "not 2 of them"),
        ({"add": 0.0, "set": 0.0}, "not 2 of them"),
        ({"scale": float("nan")}, "scale=nan"),
        ({"add": 1.0, "positions": "some"}, "no positions 'some'"),
        ({"add": 1.0, "positions": [-1]}, "counted from 0"),
    ],
)
def test_edits_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        Edit(made_up_sae(8, hook="h"), 0, **settings)


def test_features_and_models_that_do_not_fit_are_refused(language_model):
    sae = made_up_sae(8, hook="blocks.0.hook_resid_post")
    with pytest.raises(ConfigError, match="no feature 48"):
        Edit(sae, WIDTH, add=1.0)
    with pytest.raises(SAEError, match=r"reads vectors of 8, and .* has 256"):
        logits_of(language_model, [Edit(sae, 0, add=1.0)], [1])
    with pytest.raises(ConfigError, match="is not in"):
        logits_of(language_model, [Edit(made_up_sae(8, hook="blocks.9.x"), 0, add=1.0)], [1])
    with pytest.raises(SAEError, match="which hook"):
        logits_of(language_model, [Edit(made_up_sae(256), 0, add=1.0)], [1])
    imported = made_up_sae(256)
    imported.imported = Imported(
        format="saelens",
        source="x",
        file_sha256={},
        hooks=("blocks.0.hook_resid_post",),
        weights="processed",
        dtype="float32",
    )
    with pytest.raises(SAEError, match="processed weights"):
        logits_of(language_model, [Edit(imported, 0, add=1.0)], [1])
