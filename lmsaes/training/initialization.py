"""Initialization of SAEs: normalization, biases and first directions, from the cache's rows."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lmsaes.cache import ActivationCache, finite_rows
from lmsaes.capture import LiveRows
from lmsaes.errors import ConfigError
from lmsaes.sae import SAE, NormalizationKind, SAEConfig
from lmsaes.training.exchange import Exchange
from lmsaes.training.memory_plan import naming_what_needs_memory
from lmsaes.training.normalization import FROM_ROWS, Normalization
from lmsaes.training.settings import RunSettings
from lmsaes.training.source import Source
from lmsaes.training.start_from import started_sae
from lmsaes.training.trainer import SAETrainer

# A sample's rows: enough for a covariance of d dimensions, from stretches all over the cache, and
# no more than a GiB of them.
_ROWS, _ROWS_PER_DIMENSION, _STRETCHES = 1 << 14, 8, 32
_NUMBERS = 1 << 28
# The active subspace holds this share of the variance and at least this share of the dimensions;
# by variance alone, a residual stream's few huge directions would be all that is left.
_ACTIVE_VARIANCE, _ACTIVE_DIMENSIONS = 0.99, 1 / 4
_WEISZFELD_STEPS = 64


def new_trainers(
    source: Source,
    configs: Sequence[SAEConfig],
    settings: RunSettings,
    steps: int,
    device: torch.device,
    exchange: Exchange,
) -> list[SAETrainer]:
    """A trainer of each SAE before its first step; those that can share a normalization do, so that
    each batch is normalized once for them.
    """
    known: dict[tuple[tuple[str, ...], str, float, int], Normalization] = {}

    def normalization(
        hooks: tuple[str, ...], kind: NormalizationKind, config: SAEConfig
    ) -> Normalization:
        key = (hooks, kind, config.layer_norm_eps, config.layer_norm_ddof)
        if key not in known:
            parts = [_normalization(source, hook, settings, *key[1:]) for hook in hooks]
            known[key] = Normalization.joined(parts).to(device)
        return known[key]

    trainers: list[SAETrainer] = []
    for config in configs:
        inputs = normalization(config.inputs, config.normalize, config)
        outputs = normalization(config.outputs, config.target_normalize, config)
        rows_in = rows_out = None
        if _starts_from_rows(config):
            rows_in, rows_out = (
                normalize(_sample(source, hooks, settings).to(device)).cpu()
                for hooks, normalize in ((config.inputs, inputs), (config.outputs, outputs))
            )
        d_in, d_out = inputs.mean.shape[0], outputs.mean.shape[0]
        with naming_what_needs_memory(config, d_in, d_out, settings.batch_size):
            sae = new_sae(config, inputs.to("cpu"), outputs.to("cpu"), rows_in, rows_out)
            sae.keep_shard(exchange.shards)
            sae = sae.to(device)
            trainers.append(
                SAETrainer(
                    sae, steps, settings.tokens, inputs, outputs, exchange, settings.log_every
                )
            )
    return trainers


def samples_rows(config: SAEConfig) -> bool:
    """Whether an SAE's normalization or first weights depend on rows, not on statistics alone."""
    kinds = {config.normalize, config.target_normalize}
    return bool(kinds & set(FROM_ROWS)) or _starts_from_rows(config)


def _starts_from_rows(config: SAEConfig) -> bool:
    return config.init == "active" or config.center == "geometric_median"


def _normalization(
    source: Source,
    hook: str,
    settings: RunSettings,
    kind: NormalizationKind,
    eps: float,
    ddof: int,
) -> Normalization:
    record = source.hooks[hook]
    statistics = record.valid if settings.drop_special else record.statistics
    if statistics is None:
        raise ConfigError(
            f"the cache holds no finite rows of {hook}", "cache the text again, or another hook"
        )
    rows = None
    if kind in FROM_ROWS:
        rows = _sample(source, (hook,), settings)
    return Normalization.of(statistics, kind, rows, eps, ddof)


def _sample(source: Source, hooks: Sequence[str], settings: RunSettings) -> Tensor:
    if isinstance(source, LiveRows):
        return torch.cat([source.samples[hook].float() for hook in hooks], 1)
    return sample_rows(source, hooks, settings.drop_special, settings.contexts)


def rows_of_sample(d: int) -> int:
    """How many rows of `d` dimensions a sample has, where there are so many."""
    return min(max(_ROWS, _ROWS_PER_DIMENSION * d), _NUMBERS // d)


def sample_rows(
    cache: ActivationCache, hooks: Sequence[str], drop_special: bool, contexts: int | None = None
) -> Tensor:
    """Rows of the hooks side by side that are finite, float32 [n, d], the same on every call.

    contexts: of the cache's first so many alone. Raises ConfigError where the cache has no row to
    give.
    """
    d = sum(cache.hooks[hook].d_model for hook in hooks)
    length = -(-rows_of_sample(d) // (_STRETCHES * cache.context_size))  # contexts of a stretch
    contexts = contexts or cache.contexts
    if contexts <= length * _STRETCHES:
        starts, length = [0], contexts
    else:
        last = contexts - length
        starts = [last * index // (_STRETCHES - 1) for index in range(_STRETCHES)]
    parts: list[Tensor] = []
    for start in starts:
        rows = torch.cat([cache.activations(h, start, start + length) for h in hooks], -1)
        kept = finite_rows(rows)
        if drop_special:
            kept &= cache.valid_positions(cache.tokens(start, start + length))
        parts.append(rows[kept].float())
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
    if config.start_from is not None:
        return started_sae(config, inputs, outputs)
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
