"""What a graph explains: the likeliest next tokens, tokens by name, or features."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lmsaes.circuits.edges import Targets, feature_targets, logit_targets
from lmsaes.circuits.replacement import Replacement
from lmsaes.errors import ConfigError, nearest
from lmsaes.model import LanguageModel
from lmsaes.text import strings_of

_FEATURE = re.compile(r"(\d+):(\d+)@(\d+)")


@dataclass(frozen=True)
class Target:
    """One thing that a graph explains."""

    name: str  # the token's string, or LAYER:INDEX@POSITION
    token_id: int | None  # None of a feature
    source: int | None  # the feature's number among sources; None of a token
    weight: float  # the token's probability; 1 of a feature


def likeliest(model_logits: Tensor, most: int, probability: float) -> list[int]:
    """The fewest likeliest tokens that hold `probability` together, at most `most` of them."""
    found = model_logits.softmax(-1).topk(min(most, len(model_logits)))
    held = found.values.cumsum(0)
    count = int((held < probability).sum()) + 1
    return found.indices[:count].tolist()


def choose_targets(
    lm: LanguageModel,
    replacement: Replacement,
    named: Sequence[str],
    most: int,
    probability: float,
) -> tuple[list[Target], Targets]:
    """The targets that `named` say, or the likeliest next tokens.

    Raises ConfigError for a name that is no single token, or a feature that doesn't fire there, and
    where tokens and features are mixed.
    """
    features = [match for name in named if (match := _FEATURE.fullmatch(name))]
    if features and len(features) < len(named):
        raise ConfigError("tokens and features can't be explained in one graph", "make one of each")
    if features:
        numbers = [_number(replacement, *map(int, match.groups())) for match in features]
        chosen = [
            Target(match[0], None, number, 1 / len(features))
            for match, number in zip(features, numbers, strict=True)
        ]
        return chosen, feature_targets(replacement, torch.tensor(numbers))
    logits = replacement.model.logits[-1]
    ids = [_token(lm, name) for name in named] or likeliest(logits, most, probability)
    chances = logits.softmax(-1)[ids].tolist()
    names = strings_of(lm.tokenizer, ids)
    chosen = [
        Target(name, token, None, chance)
        for name, token, chance in zip(names, ids, chances, strict=True)
    ]
    device = replacement.model.embeddings.device
    return chosen, logit_targets(replacement, torch.tensor(ids, device=device))


def _token(lm: LanguageModel, name: str) -> int:
    if lm.tokenizer is None:
        if name.isdigit() and int(name) < lm.vocabulary:
            return int(name)
        raise ConfigError(f"the model has no tokenizer, so '{name}' is no token", "give a token id")
    ids = lm.tokenizer(name, add_special_tokens=False)["input_ids"]
    if len(ids) != 1:
        parts = ", ".join(repr(part) for part in strings_of(lm.tokenizer, ids))
        raise ConfigError(
            f"target '{name}' is {len(ids)} tokens: {parts}" if ids else "a target is empty",
            'give one token; most begin with a space, as " the"',
        )
    return int(ids[0])


def _number(replacement: Replacement, layer: int, feature: int, position: int) -> int:
    here = (replacement.layer == layer) & (replacement.position == position)
    found = torch.nonzero(here & (replacement.feature == feature))
    if not len(found):
        firing = [str(index) for index in replacement.feature[here].tolist()]
        close = nearest(str(feature), firing) if firing else []
        raise ConfigError(
            f"feature {feature} of layer {layer} does not fire at position {position}",
            f"{len(firing)} features fire there" + (f": {', '.join(close)}, …" if close else ""),
        )
    return int(found[0, 0])
