"""Which device a run uses, how much memory it takes, and whether that is there."""

from collections.abc import Sequence
from pathlib import Path

import torch

from lmsaes.cache.reader import ActivationCache
from lmsaes.errors import ConfigError
from lmsaes.quantities import format_bytes
from lmsaes.sae import SAEConfig


def find_device(name: str) -> torch.device:
    """`auto` is the GPU where there is one. Raises ConfigError for one that isn't there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"'{name}' is not a device", "use auto, cpu, cuda or cuda:1") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError("there is no CUDA device here", "use --device cpu")
    return device


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
            "use fewer features, a smaller --batch-size or --shuffle-memory, or fewer SAEs",
        )


def free_memory(device: torch.device) -> int | None:
    """Bytes that can be had, page cache included; None where the system doesn't say."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    facts = Path("/proc/meminfo")
    if not facts.is_file():
        return None
    for line in facts.read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None
