"""What `lmsaes train --dry-run` says: what would be done, and what it would take."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lmsaes.cache import ActivationCache
from lmsaes.configuration import takes
from lmsaes.sae import SAEConfig
from lmsaes.training.checkpoint import checkpoint_of
from lmsaes.training.config import TrainConfig
from lmsaes.training.members import member
from lmsaes.training.memory_plan import MemoryPlan
from lmsaes.training.run import memory_plan, prepared
from lmsaes.training.run_folder import check_folder
from lmsaes.training.schedules import steps_for
from lmsaes.training.source import check_shuffle, loader_of


@dataclass(frozen=True)
class TrainingPlan:
    """A run that has not been started."""

    state: Literal["new", "unfinished", "finished"]
    """Whether the folder holds it already; a new one would replace what is there."""
    steps: int
    rows: int  # that it would draw from: of the cache, or of a running model's text
    memory: MemoryPlan
    checkpoint_bytes: int  # on the disk, while it isn't finished; twice that while one is written
    result_bytes: int  # of all SAE folders


@takes(TrainConfig, "sae")
def plan_training(
    cache: ActivationCache | str | Path | None,
    configs: SAEConfig | Sequence[SAEConfig],
    *,
    out: str | Path,
    overwrite: bool = False,
    **settings: Any,
) -> TrainingPlan:
    """What `train` would do with the same arguments; nothing is written.

    Raises ConfigError and CacheError as `train` does before its first step, but for a run that
    doesn't fit the memory: `TrainingPlan.memory.check` raises that.
    """
    source, config, saes, asked = prepared(cache, configs, out, settings)
    run = Path(config.out)
    begun = check_folder(run, asked, overwrite)
    there = [] if begun is None else [sae for sae in saes if member(run, sae) is not None]
    waiting = [sae for sae in saes if sae not in there] or list(saes)
    with closing(loader_of(source, waiting, config, begun)) as loader:
        if begun is None and not config.allow_poor_shuffle:
            check_shuffle(loader)
        memory = memory_plan(source, waiting, config.batch_size, loader)
        steps = steps_for(config.tokens, loader.rows, config.batch_size, len(loader))
        rows = loader.rows
    asked_of = [sae.model_dump(mode="json") for sae in saes]
    unfinished = begun is not None and checkpoint_of(run, asked_of) is not None
    weights = sum(sae.weights for sae in memory.saes)
    return TrainingPlan(
        "finished" if len(there) == len(saes) else "unfinished" if unfinished else "new",
        steps,
        rows,
        memory,
        weights + sum(sae.optimizer for sae in memory.saes),
        weights,
    )
