"""Which device to compute on, and how much memory it has left."""

import os
from pathlib import Path

import torch

from lmsaes.errors import ConfigError, first_line

_DEVICES = ("cpu", "cuda", "mps", "xpu")


def resolve_device(device: str) -> torch.device:
    """`auto` is the GPU where there is one. Raises ConfigError for a device that isn't there."""
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        if torch.device(device).type not in _DEVICES:
            raise RuntimeError("it computes nothing here")
        return torch.empty(0, device=device).device
    # ValueError: what is no UTF-8; the others are what torch raises for what isn't there
    except (RuntimeError, AssertionError, NotImplementedError, ValueError) as error:
        why = first_line(error)
        if why.startswith(("Expected one of", "Invalid device", "Device string")):
            why = "there is no such device"
        raise ConfigError(
            f"device '{device}' can't be used: {why}", "use auto, cpu, cuda, cuda:1 or mps"
        ) from error


def own_device(device: str) -> str:
    """`device`, or this rank's own GPU where several ranks share a machine's GPUs."""
    local = os.environ.get("LOCAL_RANK")
    if local is None or device not in ("auto", "cuda") or not torch.cuda.is_available():
        return device
    return f"cuda:{int(local) % torch.cuda.device_count()}"


def widest_float(device: torch.device) -> torch.dtype:
    """float64, for sums over many rows; float32 on Apple's GPUs, which have nothing wider."""
    return torch.float32 if device.type == "mps" else torch.float64


def free_memory(device: torch.device) -> int | None:
    """Bytes that can be had on `device`; None where the system doesn't say.

    On a CPU the page cache counts as free, since the system gives it up when asked. On Apple's
    GPUs it is what Metal recommends a process to take, less what this one has taken.
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    facts = Path("/proc/meminfo")
    if not facts.is_file():
        return None
    for line in facts.read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None
