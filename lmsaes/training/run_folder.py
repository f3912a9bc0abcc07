"""What lies in a run's folder: what was asked for, SAEs, metrics.

RUN/
  train.toml        the configuration that repeats the run
  run.json          what its bits depend on
  speed.jsonl       how fast it went (speed.py)
  .lock             held by the process that trains
  checkpoints/      while it is not finished
  topk-32/          one SAE: config.json, weights.safetensors, metrics.jsonl
  relu-2/           …
  kept/             SAEs of earlier steps, by --keep (kept.py)
  diverged/         SAEs that diverged, if any (members.py)
"""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lmsaes.atomic import temporary_name
from lmsaes.errors import ConfigError
from lmsaes.parallel import try_lock
from lmsaes.training.members import diverged_names
from lmsaes.training.settings import RUN_FILE, RunSettings

LOCK_FILE = ".lock"


@contextmanager
def lock_run(run: Path) -> Generator[None]:
    """Keeps other processes from training into the folder; a process that dies lets go of it.

    Raises ConfigError while another process trains there, where the folder holds something else
    than a run, or where it can't be written to.
    """
    _refuse_other_content(run)  # before a file is put into somebody's folder
    try:
        lock = try_lock(run / LOCK_FILE)
    except OSError as error:
        raise ConfigError(
            f"can't write to {run}: {error.strerror}", "train into another folder"
        ) from None
    if lock is None:
        raise ConfigError(
            f"another process is training into {run}", "wait for it, or train into another folder"
        )
    try:
        yield
    finally:
        lock.release()


def check_folder(run: Path, asked: dict[str, Any], overwrite: bool) -> RunSettings | None:
    """The settings of the run to go on with, if there is one.

    They may differ in SAEs that diverged: one can be left out, or be asked for otherwise. Raises
    ConfigError for a folder that holds something else, or a run with other arguments.
    """
    _refuse_other_content(run)
    if overwrite or not (run / RUN_FILE).is_file():
        return None
    begun = RunSettings.read(run)
    # what memory the pool gets is decided once, and checked where it is made
    settings = RunSettings.model_validate(asked | {"pool_rows": begun.pool_rows})
    if differences := settings.differences(begun, diverged_names(run)):
        raise ConfigError(
            f"{run} holds a run with other arguments: " + "; ".join(differences),
            "train into another folder, or use --overwrite",
        )
    return begun


def _refuse_other_content(run: Path) -> None:
    if not run.exists() or (run / RUN_FILE).is_file():
        return
    ours = {LOCK_FILE, temporary_name(RUN_FILE)}
    if not run.is_dir() or any(file.name not in ours for file in run.iterdir()):
        raise ConfigError(f"{run} is not empty and not a run", "train into another folder")
