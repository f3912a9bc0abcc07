"""Own text through SAEs: equal to the cache's activations encoded, and ranked without surprises."""

import numpy as np
import pytest
import torch

from lmsaes import cache_activations, encode_text
from lmsaes.errors import ConfigError
from lmsaes.steering import rank_features
from tests.support.made_up_saes import every_kind, made_up_sae
from tests.support.small_capture import SMALL

TEXT = "In the beginning God created the heaven and the earth."


@pytest.fixture
def encoded(language_model):
    return encode_text(language_model, list(every_kind(256).values()), TEXT)


def test_a_text_in_a_cache_gives_what_the_cache_holds(language_model, tmp_path):
    """The reference: each SAE's own encode on the cached activations."""
    saes = list(every_kind(256).values())
    hooks = sorted({hook for sae in saes for hook in (*sae.config.inputs, *sae.config.outputs)})
    cache = cache_activations(
        **SMALL, hooks=hooks, out=str(tmp_path / "c"), tokens=96, dtype="float32"
    )
    for context in range(3):
        ids = cache.tokens(context, context + 1)[0].tolist()
        found = encode_text(language_model, saes, ids)
        assert found.token_ids == ids
        assert not found.text.bos_added
        for sae, features, explained in zip(
            saes, found.features, found.variance_explained, strict=True
        ):
            x, y = (
                torch.cat([cache.activations(h, context, context + 1)[0] for h in names], 1)
                for names in (sae.config.inputs, sae.config.outputs)
            )
            expected = sae.encode(x, dense=True)
            torch.testing.assert_close(features.dense(), expected, rtol=1e-3, atol=1e-3)
            nothing = sae.decode(torch.zeros_like(expected), x)
            missed = (y - sae.decode(expected, x)).square().sum(1)
            expected = 1 - missed / (y - nothing).square().sum(1)
            torch.testing.assert_close(explained, expected, rtol=1e-3, atol=1e-3)


def test_every_architecture_of_model_is_encoded(llama):
    sae = made_up_sae(32, hook="blocks.1.hook_resid_post")
    found = encode_text(llama, sae, TEXT)
    hook = "blocks.1.hook_resid_post"
    rows = llama.activations(torch.tensor([found.token_ids]), [hook])[hook][0]
    expected = sae.encode(rows, dense=True)
    torch.testing.assert_close(found.features[0].dense(), expected, rtol=1e-3, atol=1e-3)


def test_tokens_say_where_they_stand(language_model, encoded):
    text = encoded.text
    assert text.bos_added
    assert text.special == [True] + [False] * (len(text) - 1)
    assert text.offsets[0] is None
    assert [TEXT[a:b] for a, b in text.offsets[1:]] == encoded.tokens[1:]
    already = encode_text(language_model, [], "<|endoftext|>" + TEXT)
    assert already.token_ids == encoded.token_ids
    assert not already.text.bos_added
    without = encode_text(language_model, [], TEXT, bos=False)
    assert without.token_ids == encoded.token_ids[1:]


def test_log_probabilities_are_of_each_token_after_those_before(language_model, encoded):
    language_model.mount(None)
    ids = torch.tensor([encoded.token_ids])
    with torch.inference_mode():
        logits = language_model.bridge(ids)[0].log_softmax(1)
    expected = logits[torch.arange(len(encoded.text) - 1), ids[0, 1:]]
    assert torch.isnan(encoded.log_probabilities[0])
    torch.testing.assert_close(encoded.log_probabilities[1:], expected, rtol=1e-3, atol=1e-3)


class Analyzed:
    """An analysis that knows even features: maximum 10 + index, density index / 100."""

    def of_even(self, features, values):
        return np.array(
            [v if i % 2 == 0 else np.nan for i, v in zip(features, values, strict=True)]
        )

    def maxima(self, features):
        return self.of_even(features, [10.0 + i for i in features])

    def densities(self, features):
        return self.of_even(features, [i / 100 for i in features])

    def at_least(self, features, activations):
        together = zip(features, activations, strict=True)
        return self.of_even(features, [1 / (1 + i + a) for i, a in together])


@pytest.mark.parametrize("which", range(4))
@pytest.mark.parametrize("by", ["maximum", "sum", "share", "relative", "surprise"])
def test_features_are_ranked_before_they_are_cut(encoded, which, by):
    """Against a dense loop over all features."""
    dense = encoded.features[which].dense()
    shares = encoded.reconstruction_shares[which].dense()
    positions = [0, 2, 3, 5]
    kept = [p for p in positions if not encoded.text.special[p]]
    expected = []
    for i in range(dense.shape[1]):
        values = dense[kept, i]
        if values.max() <= 0:
            continue
        maximum = float(values.max())
        score = {
            "maximum": maximum,
            "sum": float(values.sum()),
            "share": float(shares[kept, i].sum() / shares[kept].sum()),
            "relative": maximum / (10 + i) if i % 2 == 0 else None,
            "surprise": float(np.log2(1 + i + maximum)) if i % 2 == 0 else None,
        }[by]
        expected.append((score, i))
    expected.sort(key=lambda pair: (pair[0] is None, -(pair[0] or 0), pair[1]))
    found = rank_features(encoded, which, by, limit=5, positions=positions, analyzed=Analyzed())
    assert found.total == len(expected)
    assert [f.index for f in found.features] == [i for _, i in expected[:5]]
    for feature, (score, index) in zip(found.features, expected, strict=False):
        assert feature.score == (None if score is None else pytest.approx(score, rel=1e-4))
        assert feature.values.tolist() == dense[:, index].tolist()
        assert feature.position in kept
        assert dense[feature.position, index] == pytest.approx(feature.maximum)


def test_shares_of_the_reconstruction_sum_to_one(encoded):
    for which in range(4):
        everything = rank_features(encoded, which, "share", limit=1000)
        assert sum(f.share for f in everything.features) == pytest.approx(1, rel=1e-4)


def test_a_tokens_shares_are_of_what_its_features_add(language_model, encoded):
    for which, sae in enumerate(every_kind(256).values()):
        found = language_model.activations(torch.tensor([encoded.token_ids]), sae.config.inputs)
        x = torch.cat([found[hook][0] for hook in sae.config.inputs], 1)
        added = sae.decode(sae.encode(x), x) - sae.decode(torch.zeros(len(x), sae.features), x)
        shares = encoded.reconstruction_shares[which].dense().sum(1)
        torch.testing.assert_close(shares, added.square().sum(1), rtol=1e-3, atol=1e-3)


def test_filters_come_before_the_cut_and_say_what_they_hide(encoded):
    every = rank_features(encoded, 0, limit=1000, analyzed=Analyzed())
    dense = {f.index for f in every.features if f.density is not None and f.density > 0.1}
    assert dense
    found = rank_features(encoded, 0, limit=3, density_max=0.1, analyzed=Analyzed())
    assert found.hidden_dense == len(dense)
    assert found.total == every.total - len(dense)
    assert len(found.features) == 3
    assert not dense & {f.index for f in found.features}
    with_special = rank_features(encoded, 0, limit=1000, ignore_special=False)
    assert with_special.total == every.total + every.hidden_special


def test_every_special_token_is_ignored_wherever_it_stands(language_model):
    sae = made_up_sae(256, hook="blocks.1.hook_resid_post")
    found = encode_text(language_model, sae, [5, 0, 0, 9])
    assert found.text.special == [False, True, True, False]
    ranked = rank_features(found, limit=1000)
    assert {f.position for f in ranked.features} <= {0, 3}
    dense = found.features[0].dense()
    only_special = ((dense[1:3].amax(0) > 0) & (dense[[0, 3]].amax(0) == 0)).sum()
    assert ranked.hidden_special == int(only_special)


def test_an_sae_that_never_fires_ranks_nothing(language_model):
    sae = made_up_sae(256, hook="blocks.1.hook_resid_post")
    sae.b_enc.fill_(-1e6)
    found = encode_text(language_model, sae, TEXT)
    ranked = rank_features(found, by="share")
    assert (ranked.features, ranked.total) == ([], 0)
    assert found.variance_explained[0].tolist() == [0.0] * len(found.text)


def test_what_cannot_be_is_refused(language_model, encoded):
    with pytest.raises(ConfigError, match="surprise compares with an analysis"):
        rank_features(encoded, by="surprise")
    with pytest.raises(ConfigError, match="density_max compares"):
        rank_features(encoded, density_max=0.1)
    with pytest.raises(ConfigError, match="no position 99"):
        rank_features(encoded, positions=[99])
    with pytest.raises(ConfigError, match="300 tokens are more than the 256"):
        encode_text(language_model, [], [1] * 300)
