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

from lmsaes.cache import ActivationCache
from lmsaes.parallel import Collectives, OneRank
from lmsaes.sae import SAEConfig
from lmsaes.training.config import ParallelMode

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
    parallel: ParallelMode,
    saes: Sequence[SAEConfig],
    cache: ActivationCache,
    ranks: Collectives,
) -> Split:
    """This rank's part, the same division on every rank; the first one says what was chosen."""
    if ranks.size == 1:
        return Split("alone", ranks, tuple(saes))
    mode = "saes"
    costs = [_cost(sae, cache) for sae in saes]
    parts = balanced(costs, ranks.size)
    if ranks.rank == 0:
        idle = sum(not part for part in parts)
        _log.info(
            "%d ranks, each with its own SAEs (--parallel saes): %s",
            ranks.size,
            "; ".join(", ".join(saes[i].name for i in part) or "none" for part in parts),
        )
        if idle:
            _log.warning("%d of the ranks have nothing to do: there are %d SAEs", idle, len(saes))
    return Split(mode, ranks, tuple(saes[i] for i in parts[ranks.rank]))


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


def _cost(config: SAEConfig, cache: ActivationCache) -> float:
    d_in = sum(cache.hooks[hook].d_model for hook in config.inputs)
    d_out = sum(cache.hooks[hook].d_model for hook in config.outputs)
    return float(config.width(d_in)) * (d_in + d_out)
