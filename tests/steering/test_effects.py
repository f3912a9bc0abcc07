"""What features do to the next token, against the same from whole passes."""

import pytest
import torch

from lmsaes import Edit, encode_text
from lmsaes.errors import ConfigError
from lmsaes.steering import GrowingText, loss_effect, output_scores
from tests.support.made_up_saes import every_kind, made_up_sae

TOKENS = torch.randint(1, 4096, (3, 12), generator=torch.Generator().manual_seed(4))
TOKENS[:, 0] = 0


def whole_passes(lm, edits):
    return torch.stack(
        [GrowingText(lm, edits, TOKENS.shape[1]).extend(row.tolist()) for row in TOKENS]
    )


def busiest(lm, sae):
    found = encode_text(lm, sae, TOKENS[0].tolist())
    return int(found.features[0].dense()[1:].sum(0).argmax())


@pytest.mark.parametrize("kind", ["sae", "layer norm", "transcoder", "crosscoder"])
def test_effects_equal_whole_passes(lm, kind):
    sae = every_kind(lm.bridge.cfg.d_model)[kind]
    feature = busiest(lm, sae)
    plain = whole_passes(lm, []).log_softmax(2)
    without = whole_passes(lm, [Edit(sae, feature, ablate=True)]).log_softmax(2)
    expected = (without - plain)[:, :-1].gather(2, TOKENS[:, 1:, None])[..., 0]
    found = loss_effect(lm, sae, feature, TOKENS)
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(found[:, :-1], expected, rtol=1e-2, atol=1e-3)
    assert torch.isnan(found[:, -1]).all()
    scores = output_scores(lm, sae, [5, 6], [4.0, 0.0], TOKENS)
    for score, value in zip(scores, [4.0, 0.0], strict=True):
        edited = whole_passes(lm, [Edit(sae, score.feature, add=value)])[:, -1].log_softmax(1)
        kl = (edited.exp() * (edited - plain[:, -1])).sum(1).mean()
        assert score.kl == pytest.approx(float(kl), rel=0.02, abs=1e-5)
        rise = (edited.exp() - plain[:, -1].exp()).mean(0)
        if value:
            assert score.raises[0][1] == pytest.approx(float(rise.max()), rel=0.02, abs=1e-5)
        assert len(score.raises) == 5
    assert output_scores(lm, sae, [6], [0.0], TOKENS)[0].kl == pytest.approx(0, abs=1e-9)


def test_a_planted_feature_is_told_by_its_output(language_model):
    """One that writes a token's direction raises that token, and more than a random one does."""
    lm = language_model
    token = lm.tokenizer.encode(" sea")[0]
    sae = made_up_sae(256, hook=f"blocks.{lm.bridge.cfg.n_layers - 1}.hook_resid_post")
    direction = lm.unembedding()[:, token]
    sae.W_dec[7] = direction / direction.norm()
    planted, random = output_scores(lm, sae, [7, 8], [30.0, 30.0], TOKENS)
    assert planted.raises[0][0] == token
    assert planted.kl > 3 * random.kl


@pytest.mark.parametrize("shape", [(0, 4), (3, 1), (4,)])
def test_contexts_without_next_tokens_are_refused(language_model, shape):
    sae = made_up_sae(256, hook="blocks.1.hook_resid_post")
    with pytest.raises(ConfigError, match="no next tokens"):
        loss_effect(language_model, sae, 0, torch.zeros(shape, dtype=torch.int64))
