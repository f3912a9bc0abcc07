"""A run's SAEs on disk, each for itself: finished, or set aside because it diverged.

RUN/topk-32/              finished: the SAE's folder
RUN/diverged/topk-32/     set aside:
    diverged.json         its settings, the step and the cause; written last
    state.safetensors     the last finite weights, in training units, and the optimizer's state
    metrics.jsonl
"""

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from safetensors.torch import save_file
from torch import Tensor

from lmsaes.atomic import replace_file, replacing, temporary_name
from lmsaes.errors import ConfigError
from lmsaes.sae import SAE, Metrics, SAEConfig
from lmsaes.training.divergence import Divergence
from lmsaes.training.metrics_file import METRICS

DIVERGED = "diverged"
_RECORD, _STATE = "diverged.json", "state.safetensors"
_SAE = ("config.json", "weights.safetensors")


@dataclass(frozen=True)
class TrainedSAE:
    """One result of a run; where the SAE diverged, `path` holds what was kept of it, but no SAE."""

    name: str
    path: Path
    metrics: Metrics | None  # None where it diverged
    diverged: Divergence | None = None


def member(run: Path, config: SAEConfig) -> TrainedSAE | None:
    """What the run has of an SAE with these settings; None where it is still to be trained.

    Raises SAEError for an SAE that is damaged, ConfigError for a damaged record of a divergence.
    """
    folder = run / config.name
    if (folder / "config.json").is_file():
        provenance = SAE.load(folder).provenance
        assert provenance is not None
        return TrainedSAE(config.name, folder, provenance.metrics)
    divergence = diverged(run, config.name)
    if divergence is None or divergence.config != config.model_dump(mode="json"):
        return None
    return TrainedSAE(config.name, run / DIVERGED / config.name, None, divergence)


def diverged(run: Path, name: str) -> Divergence | None:
    """The record of the SAE `name` that diverged in this run, with whatever settings.

    Raises ConfigError when it can't be understood.
    """
    file = run / DIVERGED / name / _RECORD
    try:
        return Divergence.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error.strerror
        raise ConfigError(f"{file} is damaged: {why}", f"remove {file.parent}") from None


def diverged_names(run: Path) -> set[str]:
    """The SAEs of the run that diverged."""
    return {file.parent.name for file in run.glob(f"{DIVERGED}/*/{_RECORD}")}


def set_aside(run: Path, divergence: Divergence, state: Mapping[str, Tensor] | None) -> TrainedSAE:
    """Keeps what there is of an SAE that diverged: its last finite state, if any, and its metrics.

    Cut off at any instant, it leaves the SAE as one that is still to be trained, or set aside.
    """
    name = divergence.name
    folder = run / DIVERGED / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if state is not None:
        with replacing(folder / _STATE) as temporary:
            save_file({k: v.contiguous().cpu() for k, v in state.items()}, temporary)
            with temporary.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        divergence = divergence.model_copy(update={"kept_sha256": digest})
    metrics = run / name / METRICS
    if metrics.is_file():
        replace_file(folder / METRICS, metrics.read_bytes())
    replace_file(folder / _RECORD, (divergence.model_dump_json(indent=2) + "\n").encode())
    shutil.rmtree(run / name, ignore_errors=True)
    return TrainedSAE(name, folder, None, divergence)


def clear_diverged(run: Path, name: str) -> None:
    """Removes what was kept of an SAE that diverged, where it is to be trained again."""
    shutil.rmtree(run / DIVERGED / name, ignore_errors=True)


def remove_members(run: Path) -> None:
    """Removes every SAE of a run, and what was kept of those that diverged."""
    for kept in (run, run / DIVERGED):
        for folder in {file.parent for file in kept.glob(f"*/{METRICS}")}:
            # its metrics last: by them it is found again when this is cut off; what else somebody
            # has put there stays
            for name in (*_SAE, _RECORD, _STATE, METRICS):
                (folder / temporary_name(name)).unlink(missing_ok=True)
                (folder / name).unlink(missing_ok=True)
            if not any(folder.iterdir()):
                folder.rmdir()
    for name in diverged_names(run):
        clear_diverged(run, name)
    if (run / DIVERGED).is_dir() and not any((run / DIVERGED).iterdir()):
        (run / DIVERGED).rmdir()
