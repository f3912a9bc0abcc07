"""A text of one's own through a model and SAEs: which features fire on which token.

    1 − ‖y − ŷ‖² / ‖y − ŷ₀‖²      variance explained, per token

y is what the SAE reconstructs, ŷ its reconstruction, ŷ₀ what it gives when no feature fires: the
decoder's bias (and a transcoder's linear skip).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lmsaes.model import LanguageModel, patched_forward
from lmsaes.sae import SAE, SparseRows, products_at
from lmsaes.steering.edits import check_fits
from lmsaes.steering.tokens import TokenizedText, check_length, tokenize


@dataclass(frozen=True)
class EncodedText:
    """A text's tokens, and for each SAE, in the order given, what it makes of them."""

    text: TokenizedText
    features: list[SparseRows] = field(repr=False)
    """By SAE: activations [positions, features], on the CPU; special tokens have theirs too."""
    reconstruction_shares: list[SparseRows] = field(repr=False)
    """By SAE, at the same entries: c·r, of which Σ over a text's entries is Σ ‖r‖². c is what the
    entry's feature adds to the token's reconstruction, r what all features together add."""
    variance_explained: list[Tensor] = field(repr=False)
    """By SAE: float32 [positions]; NaN where there is no variance."""
    log_probabilities: Tensor = field(repr=False)
    """float32 [positions]: of each token after those before it, in nats; NaN at the first."""

    @property
    def token_ids(self) -> list[int]:
        """The tokens' ids, what was added included."""
        return self.text.token_ids

    @property
    def tokens(self) -> list[str]:
        """The tokens as they stand in running text."""
        return self.text.tokens


def encode_text(
    lm: LanguageModel,
    saes: SAE | Sequence[SAE],
    text: str | Sequence[int] | TokenizedText,
    bos: bool | None = None,
) -> EncodedText:
    """Encodes a text with one or several SAEs in one pass of the model.

    text: a text, or token ids that are taken as they are. bos: begin with the beginning-of-text
    token (default: where the tokenizer has one).

    Raises ConfigError for a text that the model can't take, SAEError or ConfigError for an SAE that
    doesn't fit the model.
    """
    saes = [saes] if isinstance(saes, SAE) else list(saes)
    tokenized = text if isinstance(text, TokenizedText) else tokenize(lm, text, bos)
    check_length(lm, len(tokenized))
    placed = [check_fits(sae, lm) for sae in saes]
    hooks = sorted({hook for own in placed for hook in (*own.reads, *own.writes)})
    ids = torch.tensor([tokenized.token_ids])
    logits, found = patched_forward(lm, hooks).read(ids, hooks)
    features: list[SparseRows] = []
    shares: list[SparseRows] = []
    explained: list[Tensor] = []
    with torch.inference_mode():
        for sae, own in zip(saes, placed, strict=True):
            device = sae.W_dec.device
            x, y = (
                torch.cat([found[hook][0] for hook in names], 1).to(device).float()
                for names in (own.reads, own.writes)
            )
            fired = sae.encode(x)
            features.append(fired.to("cpu"))
            shares.append(_shares(sae, fired, x).to("cpu"))
            explained.append(_variance_explained(sae, fired, x, y).cpu())
        known = logits[0, :-1].float().log_softmax(1).gather(1, ids[0, 1:, None].to(logits.device))
    first = torch.full((1,), torch.nan)
    return EncodedText(
        tokenized, features, shares, explained, torch.cat([first, known[:, 0].cpu()])
    )


def _none_fire(fired: SparseRows) -> SparseRows:
    return fired.where(torch.zeros_like(fired.values, dtype=torch.bool))


def _variance_explained(sae: SAE, fired: SparseRows, x: Tensor, y: Tensor) -> Tensor:
    bias = sae.decode(_none_fire(fired), x)
    missed = (y - sae.decode(fired, x)).square().sum(1)
    there = (y - bias).square().sum(1)
    return torch.where(there > 0, 1 - missed / there, torch.nan)


def _shares(sae: SAE, fired: SparseRows, x: Tensor) -> SparseRows:
    """Each entry's contribution times that of all features of its row."""
    scale = sae.direction_scale(x)
    together = sae.decode(fired, x) - sae.decode(_none_fire(fired), x)
    if scale is not None:
        together = together * scale
    return fired.with_values(fired.values * products_at(fired, together, sae.W_dec))
