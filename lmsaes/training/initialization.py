"""Initialization of an SAE: its biases and first directions, from a sample of the cache's rows."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lmsaes.cache import ActivationCache
from lmsaes.errors import ConfigError
from lmsaes.sae import SAE, SAEConfig
from lmsaes.training.normalization import Normalization

# A sample's rows: enough for a covariance of d dimensions, from stretches all over the cache, and
# no more than a GiB of them.
_ROWS, _ROWS_PER_DIMENSION, _STRETCHES = 1 << 14, 8, 32
_NUMBERS = 1 << 28
# The active subspace holds this share of the variance and at least this share of the dimensions;
# by variance alone, a residual stream's few huge directions would be all that is left.
_ACTIVE_VARIANCE, _ACTIVE_DIMENSIONS = 0.99, 1 / 4
_WEISZFELD_STEPS = 64


def sample_rows(
    cache: ActivationCache, hooks: Sequence[str], drop_special: bool, contexts: int | None = None
) -> Tensor:
    """Rows of the hooks side by side, float32 [n, d], the same on every call.

    contexts: of the cache's first so many alone. Raises ConfigError where the cache has no row to
    give.
    """
    d = sum(cache.hooks[hook].d_model for hook in hooks)
    wanted = min(max(_ROWS, _ROWS_PER_DIMENSION * d), _NUMBERS // d)
    length = -(-wanted // (_STRETCHES * cache.context_size))  # contexts of a stretch
    contexts = contexts or cache.contexts
    if contexts <= length * _STRETCHES:
        starts, length = [0], contexts
    else:
        last = contexts - length
        starts = [last * index // (_STRETCHES - 1) for index in range(_STRETCHES)]
    parts: list[Tensor] = []
    for start in starts:
        rows = torch.cat([cache.activations(h, start, start + length) for h in hooks], -1)
        valid = cache.valid_positions(cache.tokens(start, start + length))
        parts.append(rows[valid].float() if drop_special else rows.flatten(0, 1).float())
    sample = torch.cat(parts)
    if sample.shape[0] == 0:
        raise ConfigError("the cache has no valid rows", "cache longer contexts")
    return sample


def geometric_median(rows: Tensor) -> Tensor:
    """The point [d] whose mean distance from `rows` [n, d] is least (Weiszfeld 1937)."""
    median = rows.mean(0)
    for _ in range(_WEISZFELD_STEPS):
        weights = 1 / torch.linalg.vector_norm(rows - median, dim=1).clamp(min=1e-8)
        median = weights @ rows / weights.sum()
    return median


def active_directions(rows: Tensor) -> Tensor:
    """Orthonormal directions [r, d] that `rows` [n, d] vary along, the strongest first."""
    centered = (rows - rows.mean(0)).double()
    variances, directions = torch.linalg.eigh(centered.T @ centered)
    shares = variances.flip(0).clamp(min=0).cumsum(0) / variances.clamp(min=0).sum()
    rank = 1 + int((shares < _ACTIVE_VARIANCE).sum())
    least = -(-rows.shape[1] * _ACTIVE_DIMENSIONS // 1)
    return directions.flip(1)[:, : max(rank, int(least))].T.to(rows.dtype)


def new_sae(
    config: SAEConfig,
    inputs: Normalization,
    outputs: Normalization,
    rows_in: Tensor | None = None,
    rows_out: Tensor | None = None,
) -> SAE:
    """An SAE that reconstructs the center of its target before it has learned anything.

    `rows_in` [n, d_in] and `rows_out` [n, d_out] are a sample in training units, needed for the
    geometric median and the active subspace.
    """
    directions = None
    if config.init == "active":
        assert rows_in is not None
        directions = active_directions(rows_in)
    sae = SAE.create(config, inputs.mean.shape[0], outputs.mean.shape[0], directions)
    if config.center == "geometric_median":
        assert rows_in is not None
        assert rows_out is not None
        sae.initialize_bias(geometric_median(rows_in), geometric_median(rows_out))
    else:
        sae.initialize_bias(inputs.center, outputs.center)
    return sae
