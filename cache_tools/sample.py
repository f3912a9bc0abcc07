"""Some contexts of a cache with their tokens and the norm of each hook's activation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lmsaes.cache import ActivationCache
from lmsaes.errors import ConfigError

from .selection import select_hooks


@dataclass(frozen=True)
class Sample:
    """One context: its number, token ids [context_size], and norms [context_size] by hook."""

    context: int
    tokens: list[int]
    valid: list[bool]
    norms: dict[str, list[float]]


def sample(
    cache: ActivationCache,
    count: int = 1,
    contexts: Sequence[int] = (),
    hooks: Sequence[str] = (),
    seed: int = 0,
) -> list[Sample]:
    """The named contexts, or `count` that `seed` draws, in the cache's order.

    hooks: names or globs; all by default. Raises ConfigError for what the cache does not hold.
    """
    chosen = select_hooks(cache, hooks)
    for context in contexts:
        if not 0 <= context < cache.contexts:
            raise ConfigError(
                f"context {context} is not in {cache.path}, which holds 0 to {cache.contexts - 1}"
            )
    if not contexts:
        count = min(count, cache.contexts)
        contexts = np.random.default_rng(seed).choice(cache.contexts, count, False).tolist()
    return [_sample(cache, context, chosen) for context in sorted(contexts)]


def _sample(cache: ActivationCache, context: int, hooks: Sequence[str]) -> Sample:
    tokens = cache.tokens(context, context + 1)
    norms = {
        hook: cache.activations(hook, context, context + 1)[0].float().norm(dim=-1).tolist()
        for hook in hooks
    }
    valid = cache.valid_positions(tokens)[0].tolist()
    return Sample(context, tokens[0].tolist(), valid, norms)
