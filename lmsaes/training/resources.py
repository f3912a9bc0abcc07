"""Which device a run uses, how much memory it takes, and whether that is there."""

from collections.abc import Sequence

import torch

from lmsaes.cache import ActivationCache
from lmsaes.errors import ConfigError
from lmsaes.parallel import free_memory
from lmsaes.sae import SAEConfig
from lmsaes.units import format_bytes


def memory_needed(
    cache: ActivationCache, configs: Sequence[SAEConfig], batch_size: int, pool: int
) -> int:
    """Bytes for weights, gradients and Adam's moments, one batch's work, and the loader's pool."""
    total = 0
    hooks: set[str] = set()
    for config in configs:
        d_in = sum(cache.hooks[hook].d_model for hook in config.inputs)
        d_out = sum(cache.hooks[hook].d_model for hook in config.outputs)
        width = config.width(d_in)
        # Weights, gradients, two moments; the pre-activations live once per SAE.
        total += 4 * (4 * width * (d_in + d_out) + batch_size * width)
        hooks |= {*config.inputs, *config.outputs}
    row = sum(cache.hooks[hook].d_model for hook in hooks)
    return total + min(pool, 4 * cache.rows * row)


def check_memory(needed: int, pool: int, device: torch.device) -> None:
    """Raises ConfigError when a run that needs so many bytes can't fit."""
    free = free_memory(device)
    if device.type == "cuda":
        needed -= pool  # which lies in the host's memory
    if free is not None and needed > free:
        raise ConfigError(
            f"training needs about {format_bytes(needed)} of memory, {format_bytes(free)} are free",
            "use fewer features, a smaller --batch-size or --shuffle-buffer, or fewer SAEs",
        )
