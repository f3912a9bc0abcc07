"""The memory that a training run takes, SAE by SAE, and whether it is there.

            weights   gradients   optimizer   pre-activations
topk-32       48          48          96            256         MiB, say
relu-2        48          48          96            256
shuffle buffer                                      4096
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from lmsaes.cache import HookRecord
from lmsaes.errors import ConfigError, LmsaesError, first_line, is_out_of_memory
from lmsaes.parallel import free_memory, local_ranks
from lmsaes.sae import SAEConfig
from lmsaes.units import format_bytes

# Numbers that an optimizer keeps per weight, each as large as the weight's own.
_MOMENTS = {"adam": 2.0, "muon": 2.0, "schedule-free": 2.0, "signum": 1.0, "adam-8bit": 0.5}


class OutOfMemory(LmsaesError, MemoryError):
    """An SAE whose training needs more memory than there is."""


@dataclass(frozen=True)
class SAEMemory:
    """Bytes that one SAE takes while it trains."""

    name: str
    features: int
    weights: int
    gradients: int
    optimizer: int
    activations: int  # the pre-activations of the rows whose gradients are computed at once

    @staticmethod
    def of(
        config: SAEConfig, d_in: int, d_out: int, batch_size: int, ranks: int = 1
    ) -> "SAEMemory":
        """Of an SAE that reads rows of `d_in` dimensions and reconstructs `d_out`, on one of the
        ranks that share its features.
        """
        features = -(-config.width(d_in) // ranks)
        weights = 4 * features * (d_in + d_out)
        rows = min(config.micro_batch or batch_size, batch_size)
        size = 2 if config.matmul_dtype == "bfloat16" else 4
        moments = round(_MOMENTS[config.optimizer] * weights)
        return SAEMemory(config.name, features, weights, weights, moments, size * rows * features)

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.optimizer + self.activations

    @property
    def hint(self) -> str:
        """What to lower so that it takes less."""
        if self.activations > self.total - self.activations:
            return (
                "compute fewer rows at once with --sae micro_batch=1024, or lower --batch-size or"
                " the features"
            )
        return "lower its features, or train fewer SAEs at once"


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes that a run takes in one process, by part."""

    saes: tuple[SAEMemory, ...]
    pool: int  # of the shuffle buffer, wherever it lies
    pool_on_host: int  # the share of it that lies in the host's memory
    device: str
    free: int | None  # on the device; None where the system doesn't say

    @staticmethod
    def of(
        hooks: Mapping[str, HookRecord],
        configs: Sequence[SAEConfig],
        batch_size: int,
        pool: int,
        pool_on_host: int,
        device: torch.device,
        ranks: int = 1,
    ) -> "MemoryPlan":
        """For these SAEs, whose features so many ranks share. Of a CPU's memory each of a machine's
        ranks has its part.
        """

        def width(of: Sequence[str]) -> int:
            return sum(hooks[hook].d_model for hook in of)

        saes = [
            SAEMemory.of(c, width(c.inputs), width(c.outputs), batch_size, ranks) for c in configs
        ]
        free = free_memory(device)
        if free is not None and device.type == "cpu":
            free //= local_ranks()
        return MemoryPlan(tuple(saes), pool, pool_on_host, str(device), free)

    @property
    def total(self) -> int:
        """Of the device's memory and the host's."""
        return sum(sae.total for sae in self.saes) + self.pool

    @property
    def on_device(self) -> int:
        """Of the device's alone."""
        return self.total - (self.pool_on_host if self.device.startswith("cuda") else 0)

    def check(self) -> None:
        """Raises ConfigError when the run can't fit, with the SAE that takes most of it."""
        if self.free is None or self.on_device <= self.free:
            return
        largest = max(self.saes, key=lambda sae: sae.total)
        raise ConfigError(
            f"training needs about {format_bytes(self.on_device)} of memory,"
            f" {format_bytes(self.free)} are free",
            f"the largest part: {largest.name}, {format_bytes(largest.total)}; {largest.hint}, or"
            " give a smaller --shuffle-buffer",
        )


@contextmanager
def naming_what_needs_memory(
    config: SAEConfig, d_in: int, d_out: int, batch_size: int
) -> Generator[None]:
    """Has an allocation that fails inside end in OutOfMemory, which names the SAE and what to
    lower."""
    try:
        yield
    except OutOfMemory:
        raise
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        needed = SAEMemory.of(config, d_in, d_out, batch_size)
        raise OutOfMemory(
            f"{config.name} ran out of memory: its {needed.features} features take about"
            f" {format_bytes(needed.total)}, of which {format_bytes(needed.activations)} are for"
            f" the rows of a step ({first_line(error)})",
            needed.hint,
        ) from error
