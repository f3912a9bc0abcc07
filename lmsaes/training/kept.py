"""SAEs kept along a run: finished SAE folders of steps before the last, by `--keep`.

    RUN/kept/topk-32-step-00000100/      config.json, weights.safetensors, as of any SAE
    RUN/kept/topk-32-step-00000200/

A folder's content is the run's state at that step and nothing else: a run that was stopped and goes
on writes the same bytes, and one with and one without `--keep` train alike.
"""

import re
import shutil
from pathlib import Path

from lmsaes.sae import KEPT

_STEP = re.compile(r"(.+)-step-(\d+)")


def kept_steps(steps: int, count: int, spacing: str) -> list[int]:
    """The steps after which SAEs are kept, ascending: `count` of them before the last, of `steps`.

    linear: as far from each other as from the run's two ends. log: from the first step on, each as
    many times the one before it (rounded, so that a short run has fewer of them).
    """
    if spacing == "log":
        found = {round(steps ** (index / count)) for index in range(count)}
    else:
        found = {round(steps * index / (count + 1)) for index in range(1, count + 1)}
    return sorted(step for step in found if 0 < step < steps)


def kept_folder(run: Path, name: str, step: int) -> Path:
    """Where the SAE `name` of the run is kept as it was after `step`."""
    return run / KEPT / f"{name}-step-{step:08d}"


def forget_later_kept(run: Path, name: str, step: int) -> None:
    """Removes what is kept of the SAE `name` from after `step`, which the run continues from."""
    for folder in (run / KEPT).glob("*-step-*"):
        found = _STEP.fullmatch(folder.name)
        if found is not None and found[1] == name and int(found[2]) > step:
            _remove(folder)


def remove_kept(run: Path) -> None:
    """Removes every SAE that the run has kept; what somebody else put there stays."""
    for folder in (run / KEPT).glob("*-step-*"):
        _remove(folder)
    if (run / KEPT).is_dir() and not any((run / KEPT).iterdir()):
        (run / KEPT).rmdir()


def _remove(folder: Path) -> None:
    (folder / "config.json").unlink(missing_ok=True)  # without it there is no SAE
    shutil.rmtree(folder)
