"""What runs on the disk hold, without their weights: `lmsaes runs`."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lmsaes.errors import ConfigError, SAEError
from lmsaes.sae import SAEConfig, saved_settings
from lmsaes.training.members import DIVERGED, diverged
from lmsaes.training.metrics_file import read_metrics
from lmsaes.training.settings import RUN_FILE, RunSettings
from lmsaes.training.speed import mean_speed

State = Literal["finished", "unfinished", "diverged", "damaged"]

_log = logging.getLogger("lmsaes")


@dataclass(frozen=True)
class MemberSummary:
    """An SAE of a run: its figures at the end, or as last measured; None where not measured."""

    name: str
    path: str
    state: State
    architecture: str
    features: int | None
    seed: int
    step: int | None
    tokens: int | None
    fvu: float | None
    l0: float | None
    dead_fraction: float | None
    ce_recovered_zero: float | None  # by `lmsaes eval`


@dataclass(frozen=True)
class RunSummary:
    """A run: what it was asked for, and its SAEs."""

    path: str
    state: State
    tokens: int
    batch_size: int
    seed: int
    tokens_per_second: float | None  # while it trained, on the first process
    share_waited: float | None  # of that time, for rows
    saes: list[MemberSummary]


def find_runs(paths: Sequence[str | Path]) -> list[Path]:
    """The runs among these folders, and those one or two folders inside the others, by name.

    Raises ConfigError for a folder that is not there.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if not path.is_dir():
            raise ConfigError(f"{path} is not a folder", "give a run, or a folder of runs")
        patterns = (RUN_FILE, f"*/{RUN_FILE}", f"*/*/{RUN_FILE}")
        found += sorted({file.parent for pattern in patterns for file in path.glob(pattern)})
    return list(dict.fromkeys(found))


def run_summary(run: Path) -> RunSummary:
    """What the run in a folder holds. Raises ConfigError where there is none, or no whole one."""
    if not (run / RUN_FILE).is_file():
        raise ConfigError(f"{run} is not a run", "see: lmsaes runs list")
    settings = RunSettings.read(run)
    saes = [_member(run, config) for config in settings.saes]
    states = {sae.state for sae in saes}
    state: State = "finished" if states <= {"finished"} else "diverged"
    if "unfinished" in states:
        state = "unfinished"
    if "damaged" in states:
        state = "damaged"
    return RunSummary(
        str(run), state, settings.tokens, settings.batch_size, settings.seed, *mean_speed(run), saes
    )


def _member(run: Path, config: SAEConfig) -> MemberSummary:
    folder = run / config.name
    if not (folder / "config.json").is_file():
        lost = diverged(run, config.name)
        last = (read_metrics(folder if lost is None else run / DIVERGED / config.name) or [{}])[-1]
        return MemberSummary(
            config.name, str(folder), "unfinished" if lost is None else "diverged",
            config.architecture, config.features, config.seed,
            last.get("step") if lost is None else lost.step, last.get("tokens"), last.get("fvu"),
            last.get("l0"), last.get("dead_fraction"), None,
        )  # fmt: skip
    try:
        saved = saved_settings(folder)
    except SAEError as error:
        _log.warning("%s; %s", error, error.hint)
        return MemberSummary(
            config.name, str(folder), "damaged", config.architecture, config.features, config.seed,
            None, None, None, None, None, None,
        )  # fmt: skip
    trained, evaluation = saved.provenance, saved.evaluation or {}
    metrics = None if trained is None else trained.metrics
    return MemberSummary(
        config.name, str(folder), "finished", config.architecture, saved.features, config.seed,
        trained and trained.steps, trained and trained.tokens, metrics and metrics.fvu,
        metrics and metrics.l0, metrics and metrics.dead_fraction,
        evaluation.get("ce_recovered_zero"),
    )  # fmt: skip
