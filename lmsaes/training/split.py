"""How the processes of a `torchrun` share a training run.

    saes       each rank trains some of the SAEs, on all rows               nothing is exchanged
    features   each rank has some of every SAE's features, and all rows     reconstructions, cuts
    rows       each rank has all SAEs, and some of each batch's rows        gradients

docs/scaling.md says which is for what, and what each costs.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from lmsaes.errors import ConfigError
from lmsaes.parallel import Collectives, OneRank, free_memory, own_device, resolve_device
from lmsaes.sae import SAEConfig
from lmsaes.training.config import TrainConfig
from lmsaes.training.memory_plan import SAEMemory
from lmsaes.training.source import Source
from lmsaes.units import format_bytes

_log = logging.getLogger("lmsaes")


@dataclass(frozen=True)
class Split:
    """One rank's part of a run."""

    mode: Literal["alone", "saes", "features", "rows"]
    ranks: Collectives
    saes: tuple[SAEConfig, ...]  # that this rank trains, or takes part in

    @property
    def lead(self) -> bool:
        """Whether this rank writes what becomes of its SAEs."""
        return self.mode == "saes" or self.ranks.rank == 0

    @property
    def together(self) -> Collectives:
        """The ranks that take each step together."""
        return OneRank() if self.mode == "saes" else self.ranks

    @property
    def rows(self) -> Collectives:
        """The ranks among which a batch's rows are shared out."""
        return self.ranks if self.mode == "rows" else OneRank()

    @property
    def features(self) -> Collectives:
        """The ranks among which an SAE's features are shared out."""
        return self.ranks if self.mode == "features" else OneRank()


def split_run(
    config: TrainConfig,
    saes: Sequence[SAEConfig],
    source: Source,
    ranks: Collectives,
) -> Split:
    """This rank's part, the same division on every rank; the first one says what was chosen, why,
    and what memory each takes. Raises ConfigError for a division that can't be.
    """
    if ranks.size == 1:
        return Split("alone", ranks, tuple(saes))
    parts = balanced([_parameters(sae, source) for sae in saes], ranks.size)
    mode, why = config.parallel, "as asked"
    if mode == "auto":
        # the first one's, so that all choose alike
        free = free_memory(resolve_device(own_device(config.device))) or 0
        free = int(ranks.gather(torch.tensor(free))[0])
        mode, why = _chosen(saes, source, config.batch_size, ranks.size, free)
    elif refusal := _refusal(mode, saes, source, ranks.size):
        raise ConfigError(f"--parallel {mode}: {refusal}", "use another mode, or auto")
    if ranks.rank == 0:
        _log.info("%d ranks, --parallel %s: %s", ranks.size, mode, why)
        for line in _plan(mode, saes, source, config.batch_size, ranks.size, parts):
            _log.info("%s", line)
    own = tuple(saes[i] for i in parts[ranks.rank]) if mode == "saes" else tuple(saes)
    return Split(mode, ranks, own)


def _chosen(
    saes: Sequence[SAEConfig], source: Source, batch_size: int, ranks: int, free: int
) -> tuple[Literal["saes", "features", "rows"], str]:
    """What suits these SAEs, and why."""
    if len(saes) >= ranks:
        return "saes", f"{len(saes)} SAEs are enough for all, and nothing is exchanged"
    refusals = {mode: _refusal(mode, saes, source, ranks) for mode in ("features", "rows")}
    largest = max(_bytes(sae, source, batch_size, 1) for sae in saes)
    if free and largest > free and refusals["features"] is None:
        return "features", (
            f"an SAE takes {format_bytes(largest)} of memory, and a rank has {format_bytes(free)}"
        )
    if 2 * len(saes) > ranks:
        return "saes", f"{len(saes)} SAEs keep most ranks busy, and nothing is exchanged"
    gradients = sum(4 * _parameters(sae, source) for sae in saes)
    sums = sum(4 * batch_size * (_d_out(sae, source) + ranks * round(sae.active)) for sae in saes)
    numbers = (
        f"a step exchanges {format_bytes(sums)} by features, {format_bytes(gradients)} by rows"
    )
    if refusals["features"] is None and (sums <= gradients or refusals["rows"] is not None):
        return "features", numbers if refusals["rows"] is None else str(refusals["rows"])
    if refusals["rows"] is None:
        return "rows", numbers if refusals["features"] is None else str(refusals["features"])
    return "saes", f"{refusals['features']}, and {refusals['rows']}"


def _refusal(mode: str, saes: Sequence[SAEConfig], source: Source, ranks: int) -> str | None:
    """Why these SAEs can't be divided so; None where they can."""
    tuned = [sae.name for sae in saes if sae.fine_tune is not None]
    if mode != "saes" and tuned:
        return f"{tuned[0]} is fine-tuned, which one process does alone"
    for sae in saes:
        if mode == "features" and sae.optimizer in ("muon", "adam-8bit"):
            return f"{sae.name}'s optimizer {sae.optimizer} needs whole matrices"
        if mode == "features" and sae.width(_d_in(sae, source)) < ranks:
            return f"{sae.name} has fewer features than there are ranks"
        if mode == "rows" and sae.micro_batch is not None:
            return f"{sae.name}'s micro_batch would cut batches that are cut already"
    return None


def _plan(
    mode: str,
    saes: Sequence[SAEConfig],
    source: Source,
    batch_size: int,
    ranks: int,
    parts: Sequence[Sequence[int]],
) -> list[str]:
    """What each rank has, and the memory that it takes for its SAEs."""
    if mode == "saes":
        lines: list[str] = []
        for rank, part in enumerate(parts):
            needed = sum(_bytes(saes[i], source, batch_size, 1) for i in part)
            names = ", ".join(saes[i].name for i in part) or "nothing to do"
            lines.append(f"  rank {rank}: {names}; {format_bytes(needed)} of memory")
        return lines
    rows = -(-batch_size // ranks) if mode == "rows" else batch_size
    size = ranks if mode == "features" else 1
    needed = format_bytes(sum(_bytes(sae, source, rows, size) for sae in saes))
    share = f"{rows} of {batch_size} rows" if mode == "rows" else f"1/{ranks} of the features"
    return [f"  each rank: {share}; {needed} of memory"]


def _bytes(config: SAEConfig, source: Source, rows: int, ranks: int) -> int:
    return SAEMemory.of(config, _d_in(config, source), _d_out(config, source), rows, ranks).total


def _d_in(config: SAEConfig, source: Source) -> int:
    return sum(source.hooks[hook].d_model for hook in config.inputs)


def _d_out(config: SAEConfig, source: Source) -> int:
    return sum(source.hooks[hook].d_model for hook in config.outputs)


def _parameters(config: SAEConfig, source: Source) -> int:
    d_in = _d_in(config, source)
    return config.width(d_in) * (d_in + _d_out(config, source))


def balanced(costs: Sequence[float], parts: int) -> list[list[int]]:
    """Indices shared out so that the dearest part costs little: the dearest first, each to the part
    that has least so far.
    """
    shares: list[list[int]] = [[] for _ in range(parts)]
    sums = [0.0] * parts
    for index in sorted(range(len(costs)), key=lambda i: -costs[i]):
        least = sums.index(min(sums))
        shares[least].append(index)
        sums[least] += costs[index]
    return [sorted(share) for share in shares]
