"""Checkpoints of a run: safetensors and JSON, named by step, complete or not there.

RUN/checkpoints/step-00001000/
  state.safetensors     weights, optimizer, counters of every SAE, as `name/key`
  state.json            the step, the loader's place
"""

import json
import shutil
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from lmsaes.errors import LmsaesError


def save_checkpoint(run: Path, step: int, tensors: dict[str, Tensor], state: Any) -> None:
    """Writes the checkpoint of `step` and then removes older ones."""
    folder = run / "checkpoints"
    part = folder / ".part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    save_file({k: v.contiguous().cpu() for k, v in tensors.items()}, part / "state.safetensors")
    (part / "state.json").write_text(json.dumps({"step": step, "state": state}))
    final = folder / f"step-{step:08d}"
    shutil.rmtree(final, ignore_errors=True)
    part.rename(final)
    for other in folder.glob("step-*"):
        if other != final:
            shutil.rmtree(other)


def load_checkpoint(run: Path) -> tuple[int, dict[str, Tensor], Any] | None:
    """Step, tensors and state of the newest checkpoint; None where there is none."""
    found = sorted((run / "checkpoints").glob("step-*"))
    if not found:
        return None
    try:
        content = json.loads((found[-1] / "state.json").read_text())
        return content["step"], load_file(found[-1] / "state.safetensors"), content["state"]
    except (OSError, ValueError, KeyError) as error:
        raise LmsaesError(
            f"{found[-1]} is damaged: {error}", "remove it, or train again with --overwrite"
        ) from None


def remove_checkpoints(run: Path) -> None:
    """Removes every checkpoint of a run."""
    shutil.rmtree(run / "checkpoints", ignore_errors=True)
