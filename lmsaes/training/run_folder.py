"""What lies in a run's folder: what was asked for, finished SAEs, metrics.

RUN/
  train.toml        the configuration that repeats the run
  run.json          what its bits depend on
  checkpoints/      while it is not finished
  topk-32/          one SAE: config.json, weights.safetensors, metrics.jsonl
  relu-2/           …
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmsaes.errors import ConfigError
from lmsaes.sae import SAE, Metrics, SAEConfig
from lmsaes.training.checkpoint import remove_checkpoints
from lmsaes.training.settings import RUN_FILE, RunSettings


@dataclass(frozen=True)
class TrainedSAE:
    """One result of a run."""

    name: str
    path: Path
    metrics: Metrics


def check_folder(run: Path, asked: dict[str, Any], overwrite: bool) -> RunSettings | None:
    """The settings of the run to go on with, if there is one.

    Raises ConfigError for a folder that holds something else, or a run with other arguments.
    """
    if not (run / RUN_FILE).is_file():
        if run.exists() and (not run.is_dir() or any(run.iterdir())):
            raise ConfigError(f"{run} is not empty and not a run", "train into another folder")
        return None
    if overwrite:
        return None
    begun = RunSettings.read(run)
    # what memory the pool gets is decided once, and checked where it is made
    settings = RunSettings.model_validate(asked | {"pool_rows": begun.pool_rows})
    if differences := settings.differences(begun):
        raise ConfigError(
            f"{run} holds a run with other arguments: " + "; ".join(differences),
            "train into another folder, or use --overwrite",
        )
    return begun


def remove_run(run: Path) -> None:
    """Removes what a run leaves in its folder, and nothing else."""
    remove_checkpoints(run)
    for folder in {file.parent for file in run.glob("*/metrics.jsonl")}:
        shutil.rmtree(folder)


def finished(run: Path, configs: Sequence[SAEConfig]) -> list[TrainedSAE] | None:
    """The results where every SAE is there."""
    folders = [run / config.name for config in configs]
    if not all((folder / "config.json").is_file() for folder in folders):
        return None
    results: list[TrainedSAE] = []
    for folder in folders:
        provenance = SAE.load(folder).provenance
        assert provenance is not None
        results.append(TrainedSAE(folder.name, folder, provenance.metrics))
    remove_checkpoints(run)
    return results


def forget_later_metrics(file: Path, step: int) -> None:
    """Drops what was measured after the checkpoint that the run continues from."""
    lines = file.read_text().splitlines() if file.is_file() else []
    kept = [line for line in lines if json.loads(line)["step"] <= step]
    file.write_text("".join(line + "\n" for line in kept))
