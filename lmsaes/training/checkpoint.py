"""Checkpoints of a run: safetensors and JSON, named by step, complete or not there.

RUN/checkpoints/step-00001000/
  state.safetensors     weights, optimizer, counters of every SAE, as `name/key`
  state.json            the step, the loader's position, the digest of both files' content

One that takes the place of another of its step is step-00001000-again until that one is removed.

RUN/checkpoints/saes/topk-32/step-00001000/
  the same of one SAE, where each process of a torchrun trains some of the SAEs

None of them says how many processes there were: any number goes on from them.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from lmsaes.atomic import replace_file, replacing, sync_folder
from lmsaes.errors import LmsaesError

STATE, TENSORS = "state.json", "state.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read."""

    step: int
    tensors: dict[str, Tensor]  # as `name/key`
    state: Any

    def of(self, name: str) -> dict[str, Tensor]:
        """The tensors of one SAE, by key."""
        prefix = f"{name}/"
        return {
            key.removeprefix(prefix): value
            for key, value in self.tensors.items()
            if key.startswith(prefix)
        }


def save_checkpoint(
    run: Path, step: int, tensors: dict[str, Tensor], state: Any, name: str | None = None
) -> None:
    """Writes the checkpoint of `step` and then, when it is safely on the disk, removes others.

    name: of the SAE, where it is that of one alone.
    """
    folder = _folder(run, name)
    part = folder / ".part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    with replacing(part / TENSORS) as temporary:
        save_file({k: v.contiguous().cpu() for k, v in tensors.items()}, temporary)
    content = {"step": step, "state": state, "sha256": _digest(part / TENSORS, step, state)}
    replace_file(part / STATE, json.dumps(content).encode())
    final = folder / f"step-{step:08d}"
    # what was saved at this step before stays until the new one is there
    before = sorted(folder.glob(f"{final.name}*"))
    written = before[-1].with_name(f"{before[-1].name}-again") if before else final
    part.rename(written)
    sync_folder(folder)
    for other in folder.glob("step-*"):
        if other != written:
            shutil.rmtree(other)
    if written != final:
        written.rename(final)
        sync_folder(folder)


def checkpoint_of(run: Path, saes: Sequence[Mapping[str, Any]]) -> Checkpoint | None:
    """The newest checkpoint that any of the SAEs, given by their settings, can go on from; None
    where there is none. Its state's `saes` names those of them that it holds.

    Raises LmsaesError when a checkpoint is damaged, be it by a single bit.
    """
    places = [None, *(sae["name"] for sae in saes)]
    found = [each for name in places if (each := load_checkpoint(run, name)) is not None]
    held = [each for each in found if any(sae in saes for sae in each.state.get("saes", []))]
    if not held:
        return None
    step = max(each.step for each in held)
    newest = [each for each in held if each.step == step]
    together = [sae for each in newest for sae in each.state["saes"] if sae in saes]
    tensors = {key: value for each in newest for key, value in each.tensors.items()}
    return Checkpoint(step, tensors, {**newest[0].state, "saes": together})


def load_checkpoint(run: Path, name: str | None = None) -> Checkpoint | None:
    """The newest checkpoint, of the SAE `name` alone where that is given; None where there is none.

    Raises LmsaesError when it is damaged, be it by a single bit.
    """
    found = sorted(_folder(run, name).glob("step-*"))
    if not found:
        return None
    newest = found[-1]
    try:
        content = json.loads((newest / STATE).read_bytes())
        step, state, digest = content["step"], content["state"], content["sha256"]
        if digest != _digest(newest / TENSORS, step, state):
            raise _damaged(newest, "its content has another digest")
        return Checkpoint(step, load_file(newest / TENSORS), state)
    except KeyError as error:
        raise _damaged(newest, f"{STATE} has no {error}") from None
    except (OSError, ValueError, TypeError, SafetensorError) as error:
        raise _damaged(newest, str(error)) from None


def remove_checkpoints(run: Path) -> None:
    """Removes every checkpoint of a run."""
    shutil.rmtree(run / "checkpoints", ignore_errors=True)


def _folder(run: Path, name: str | None) -> Path:
    folder = run / "checkpoints"
    return folder if name is None else folder / "saes" / name


def _digest(tensors: Path, step: int, state: Any) -> str:
    """sha256 of the tensors' file, the step and the state."""
    with tensors.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    digest.update(json.dumps([step, state], sort_keys=True).encode())
    return digest.hexdigest()


def _damaged(folder: Path, why: str) -> LmsaesError:
    return LmsaesError(f"{folder} is damaged: {why}", "remove it, or train again with --overwrite")
