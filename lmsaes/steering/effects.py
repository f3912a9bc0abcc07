"""What a feature does to the next token: taken out of a text, or added to texts.

    loss effect    log p(next token) without the feature − log p(next token) with it, per token
    output score   KL between next-token distributions with the feature added and without, as a
                   mean over contexts, and the tokens that it makes likelier

Features chosen by what they do to the output steer better than those chosen by what they fire on
(Arad et al. 2025, arXiv 2505.20063).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from lmsaes.analysis import OutputScore, score_outputs
from lmsaes.errors import ConfigError
from lmsaes.model import Entry, LanguageModel, patched_forward
from lmsaes.sae import SAE
from lmsaes.steering.edited_forward import FeatureEdits
from lmsaes.steering.edits import Edit, check_fits
from lmsaes.steering.tokens import check_length, special_ids


def loss_effect(lm: LanguageModel, sae: SAE, feature: int, tokens: Tensor) -> Tensor:
    """Change of each next token's log-probability when a feature is ablated everywhere.

    tokens: int64 [contexts, positions]. Returns float32 [contexts, positions] in nats, on the CPU:
    at each position the change for the token after it, below 0 where the feature helped; NaN at the
    last position. Special tokens keep the feature. Raises as `Edit` and `encode_text` do.
    """
    _checked(lm, tokens)
    edits, nothing = FeatureEdits(lm, [Edit(sae, feature, ablate=True)]), FeatureEdits(lm, [])
    effects: list[Tensor] = []
    for context in tokens.split(1):  # one alone: logits are wide
        run = _Contexts(lm, context, edits.hooks)
        following = context[0, 1:, None].to(lm.device)
        without, plain = (
            run.logits(own)[0, :-1].float().log_softmax(1).gather(1, following)[:, 0]
            for own in (edits, nothing)
        )
        effects.append((without - plain).cpu())
    unknown = torch.full((len(tokens), 1), torch.nan)
    return torch.cat([torch.stack(effects), unknown], 1)


def loss_effects(
    lm: LanguageModel, sae: SAE, feature: int, contexts: Iterable[Sequence[int]]
) -> Iterator[list[float | None]]:
    """`loss_effect` of contexts of any lengths, one after the other, None where it has no value."""
    for tokens in contexts:
        changes = loss_effect(lm, sae, feature, torch.tensor([list(tokens)]))[0]
        yield [change if math.isfinite(change) else None for change in changes.tolist()]


def output_scores(
    lm: LanguageModel,
    sae: SAE,
    features: Sequence[int],
    values: Sequence[float],
    tokens: Tensor,
    raised: int = 5,
) -> list[OutputScore]:
    """What adding `values` of `features`, one at a time, does to the token after each context.

    values: in units of each feature's activation, such as its 99th percentile. tokens: int64
    [contexts, positions]; the feature is added at every token that isn't special. raised: how many
    of the tokens that become likelier to name. Of the model only what lies above the SAE's hook
    runs again for each feature. Raises as `Edit` and `encode_text` do.
    """
    _checked(lm, tokens)
    edits = [Edit(sae, feature, add=value) for feature, value in zip(features, values, strict=True)]
    hooks = check_fits(sae, lm)
    ids = torch.tensor(special_ids(lm), dtype=torch.int64, device=tokens.device)
    pairs = [(edit.feature, float(edit.add or 0)) for edit in edits]
    where = torch.isin(tokens, ids)
    return list(score_outputs(lm, sae, (hooks.reads, hooks.writes), pairs, tokens, where, raised))


class _Contexts:
    """Contexts whose pass below the edited hooks is made once."""

    def __init__(self, lm: LanguageModel, tokens: Tensor, hooks: Sequence[str]) -> None:
        self.tokens = tokens
        self.forward = patched_forward(lm, hooks)
        special = torch.tensor(special_ids(lm), dtype=torch.int64, device=lm.device)
        self.special = torch.isin(tokens.to(lm.device), special)
        self._entry: Entry | None = None
        if block := min(map(self.forward.block_of, hooks), default=0):
            into = self.forward.input_of(block)
            self._entry = Entry(block, self.forward.read(tokens, [into])[1][into])

    def logits(self, edits: FeatureEdits) -> Tensor:
        """[contexts, positions, vocabulary]"""
        reference: dict[str, Tensor] = {}
        if edits.reference_hooks:
            _, reference = self.forward.read(self.tokens, edits.reference_hooks)
        with torch.inference_mode():
            positions = torch.arange(self.tokens.shape[1], device=self.special.device)
            at = edits.at_hooks(positions, len(positions), self.special, reference)
        return self.forward.logits(self.tokens, at, self._entry)


def _checked(lm: LanguageModel, tokens: Tensor) -> Tensor:
    if tokens.dim() != 2 or tokens.shape[0] == 0 or tokens.shape[1] < 2:
        raise ConfigError(
            f"contexts of shape {list(tokens.shape)} have no next tokens",
            "give [contexts, positions] of two positions or more",
        )
    check_length(lm, tokens.shape[1])
    return tokens
