"""Completions with edits beside the model's own."""

import itertools

import pytest
import torch

from lmsaes import Edit, steer
from lmsaes.errors import ConfigError, ModelError
from lmsaes.steering import Finished, GrowingText, NewToken, Sampling, stream, tokenize
from tests.support.made_up_saes import every_kind, made_up_sae

PROMPT = "And it came to pass"


def residual_sae(lm):
    return made_up_sae(lm.bridge.cfg.d_model, hook="blocks.1.hook_resid_post")


def test_adding_nothing_gives_the_defaults_bits(lm):
    for sae in every_kind(lm.bridge.cfg.d_model).values():
        found = steer(lm, PROMPT, [Edit(sae, 3, add=0.0)], tokens=6)
        assert torch.equal(found.edited.logits, found.default.logits)
        assert found.edited.token_ids == found.default.token_ids
        assert found.edited.text == found.default.text
        assert found.kl.tolist() == [0.0] * len(found.default.token_ids)


@pytest.mark.parametrize("cache", [True, False])
def test_default_is_the_plain_models_completion(lm, cache):
    """Its logits are the bridge's on prompt and completion; at temperature 0 the likeliest win."""
    found = steer(
        lm, PROMPT, [Edit(residual_sae(lm), 3, add=1.0)], tokens=8, temperature=0, cache=cache
    )
    ids, prompt = found.default.token_ids, found.prompt.token_ids
    assert found.prompt.bos_added
    assert prompt[0] == lm.tokenizer.bos_token_id
    lm.mount(None)
    with torch.inference_mode():
        logits = lm.bridge(torch.tensor([prompt + ids]))[0, len(prompt) - 1 : -1]
    torch.testing.assert_close(found.default.logits, logits, rtol=1e-3, atol=1e-3)
    assert ids == found.default.logits.argmax(1).tolist()
    assert found.default.logits.shape == (len(ids), lm.vocabulary)
    assert found.default.text == lm.tokenizer.decode(ids, skip_special_tokens=True)


@pytest.mark.parametrize("positions", ["all", "prompt", "generated", [1, 3, 7, 9]])
def test_a_cache_changes_no_completion(lm, positions):
    sae = residual_sae(lm)
    edits = [Edit(sae, 3, add=6.0, positions=positions), Edit(sae, 9, ablate=True)]
    with_cache = steer(lm, PROMPT, edits, tokens=8)
    without = steer(lm, PROMPT, edits, tokens=8, cache=False)
    assert with_cache.edited.token_ids == without.edited.token_ids
    torch.testing.assert_close(
        with_cache.edited.logits, without.edited.logits, rtol=1e-3, atol=1e-3
    )
    torch.testing.assert_close(with_cache.kl, without.kl, rtol=1e-2, atol=1e-4)
    assert with_cache.kl.max() > 1e-3


def test_kl_compares_with_the_plain_model_on_the_same_text(lm):
    found = steer(lm, PROMPT, [Edit(residual_sae(lm), 3, add=8.0)], tokens=8, seed=1)
    ids, prompt = found.edited.token_ids, found.prompt.token_ids
    assert ids != found.default.token_ids
    lm.mount(None)
    with torch.inference_mode():
        plain = lm.bridge(torch.tensor([prompt + ids]))[0, len(prompt) - 1 : -1]
    p, q = found.edited.logits.log_softmax(1), plain.log_softmax(1)
    expected = (p.exp() * (p - q)).sum(1)
    torch.testing.assert_close(found.kl, expected, rtol=1e-2, atol=1e-4)


def test_sets_of_edits_stand_side_by_side_and_do_not_touch_each_other(language_model):
    sae = residual_sae(language_model)
    grid = [[Edit(sae, 3, add=value)] for value in (0.0, 4.0, 9.0)]
    together = steer(language_model, PROMPT, grid, tokens=6, seed=3)
    assert len(together.sets) == 3
    for own, completion in zip(grid, together.sets, strict=True):
        alone = steer(language_model, PROMPT, own, tokens=6, seed=3)
        assert alone.edited.token_ids == completion.token_ids
        assert torch.equal(alone.edited.logits, completion.logits)
        assert torch.equal(alone.default.logits, together.default.logits)
    assert together.sets[1].kl.mean() < together.sets[2].kl.mean()
    with pytest.raises(ConfigError, match="3 sets"):
        _ = together.edited


def test_the_seed_decides_everything(language_model):
    edits = [Edit(residual_sae(language_model), 3, add=1.0)]

    def ids(seed):
        found = steer(language_model, PROMPT, edits, tokens=10, seed=seed)
        return found.default.token_ids, found.edited.token_ids

    assert ids(0) == ids(0)
    assert ids(0) != ids(1)


def test_tokens_are_drawn_by_their_probabilities(language_model):
    """Against the softmax of the first token's logits; top_p keeps the likeliest."""
    text = tokenize(language_model, PROMPT)

    def first(seed, **how):
        event = next(stream(language_model, text, [], 1, Sampling(seed=seed, **how)))
        return event.token_id, event.logits

    drawn = torch.tensor([first(seed)[0] for seed in range(300)])
    p = first(0)[1].softmax(0)
    top = p.topk(5)
    shares = torch.stack([(drawn == token).float().mean() for token in top.indices])
    assert ((shares - top.values).abs() < 4 * (top.values / 300).sqrt() + 0.01).all()
    likeliest = {first(seed, top_p=float(top.values[0]) / 2)[0] for seed in range(20)}
    assert likeliest == {int(top.indices[0])}


def test_a_planted_feature_makes_its_token(language_model):
    """A feature that writes a token's unembedding direction: adding it raises that token, more
    of it more, and taking it away leaves the model as it was."""
    lm = language_model
    token = lm.tokenizer.encode(" sea")[0]
    last = f"blocks.{lm.bridge.cfg.n_layers - 1}.hook_resid_post"
    sae = made_up_sae(lm.bridge.cfg.d_model, hook=last)
    direction = lm.unembedding()[:, token]
    sae.W_dec[7] = direction / direction.norm()
    grid = [[Edit(sae, 7, add=value)] for value in (0.0, 10.0, 30.0, 300.0)]
    found = steer(lm, PROMPT, grid, tokens=5, temperature=0)
    shares = [completion.logits[0].softmax(0)[token].item() for completion in found.sets]
    assert shares == sorted(shares)
    assert shares[1] > 1.5 * shares[0]
    assert found.sets[3].text == " sea" * 5
    assert found.sets[0].text == found.default.text


def test_a_stream_gives_a_token_of_each_in_turn(language_model):
    text = tokenize(language_model, PROMPT)
    sae = residual_sae(language_model)
    events = list(stream(language_model, text, [[Edit(sae, 3, add=2.0)], []], 5))
    new = [event for event in events if isinstance(event, NewToken)]
    done = {event.set: event.completion for event in events if isinstance(event, Finished)}
    assert [(e.place, e.set) for e in new] == [
        (place, which) for place in range(5) for which in (0, 1, None)
    ]
    for which, completion in done.items():
        assert "".join(e.text for e in new if e.set == which) == completion.text
        assert [e.token_id for e in new if e.set == which] == completion.token_ids
    assert isinstance(events[-1], Finished)
    assert list(done) == [0, 1, None]


def test_a_closed_stream_leaves_the_model_as_it_was(language_model):
    lm = language_model
    hook = "blocks.1.hook_resid_post"
    tokens = torch.tensor([[1, 2, 3]])
    before = lm.activations(tokens, [hook])[hook]
    events = stream(lm, tokenize(lm, PROMPT), [Edit(residual_sae(lm), 3, add=9.0)], 20)
    for _ in itertools.islice(events, 3):
        torch.testing.assert_close(lm.activations(tokens, [hook])[hook], before)
    events.close()
    assert torch.equal(lm.activations(tokens, [hook])[hook], before)


def test_pieces_of_characters_are_held_back_until_they_are_whole(language_model, monkeypatch):
    ids = language_model.tokenizer.encode("漢é", add_special_tokens=False)
    assert len(ids) > 2
    coming = iter([token for token in ids for _ in range(2)])  # an edited one, the model's own

    def one_hot(*_):
        return torch.nn.functional.one_hot(torch.tensor([next(coming)]), 4096) * 99.0

    monkeypatch.setattr(GrowingText, "extend", one_hot)
    events = stream(language_model, tokenize(language_model, PROMPT), [], len(ids))
    new = [e for e in events if isinstance(e, NewToken) and e.set == 0]
    assert [e.token_id for e in new] == ids
    assert not any("�" in e.text for e in new)
    assert "".join(e.text for e in new) == "漢é"


def test_a_text_ends_with_its_end_token(language_model):
    lm = language_model
    sae = made_up_sae(lm.bridge.cfg.d_model, hook="blocks.3.hook_resid_post")
    direction = lm.unembedding()[:, lm.tokenizer.eos_token_id]
    sae.W_dec[0] = direction / direction.norm()
    found = steer(lm, PROMPT, [Edit(sae, 0, add=400.0)], tokens=6)
    assert found.edited.token_ids == [lm.tokenizer.eos_token_id]
    assert found.edited.text == ""
    assert found.kl.shape == (1,)
    assert len(found.default.token_ids) > 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokens": 0}, "0 tokens"),
        ({"tokens": 300}, "more than the 256"),
        ({"prompt": "", "bos": False}, "no text"),
        ({"prompt": [1, 5000]}, "no token 5000"),
        ({"temperature": -1.0}, "temperature"),
        ({"top_p": 0.0}, "top_p"),
        ({"seed": -1}, "seed"),
    ],
)
def test_requests_that_cannot_be_are_refused(language_model, changes, message):
    edits = [Edit(residual_sae(language_model), 3, add=1.0)]
    with pytest.raises(ConfigError, match=message):
        steer(language_model, **{"prompt": PROMPT, "edits": edits, **changes})


def test_edits_that_break_the_model_are_told(language_model):
    with pytest.raises(ModelError, match="not finite"):
        steer(language_model, PROMPT, [Edit(residual_sae(language_model), 3, add=1e38)])
