"""SAE folders among paths that may be runs, and what an SAE is called by its folder."""

import hashlib
import json
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from lmsaes.addresses import local_path
from lmsaes.errors import SAEError
from lmsaes.sae.autoencoder import SAE
from lmsaes.sae.io import weights_digest

KEPT = "kept"
"""The folder in a run that holds its SAEs of earlier steps."""


def find_saes(paths: Sequence[str | Path], kept: bool = True) -> list[Path]:
    """The SAE folders among `paths`, and those inside the runs among them, of which the ones that
    a run has kept of earlier steps come last, and only with `kept`.

    Raises SAEError for a path that is neither.
    """
    found: list[Path] = []
    for path in map(local_path, paths):
        if (path / "config.json").is_file() or not path.is_dir():
            found.append(path)
            continue
        inside = [*_saes_in(path), *(_saes_in(path / KEPT) if kept else [])]
        if not inside:
            raise SAEError(
                f"'{path}' holds no finished SAE",
                f"train one with: lmsaes train --out {shlex.quote(str(path))}",
            )
        found.extend(inside)
    unique = list(dict.fromkeys(p.resolve() for p in found))
    if not unique:
        raise SAEError("no SAE was given", "name an SAE folder or a run")
    return unique


def _saes_in(folder: Path) -> list[Path]:
    return sorted(p.parent for p in folder.glob("*/config.json"))


def sae_name(folder: Path) -> str:
    """`run:sae`, in letters that a name in the database may have; `run:sae-step-00000100` for one
    that the run has kept of an earlier step."""
    run = folder.parent.parent if folder.parent.name == KEPT else folder.parent
    return re.sub(r"[^A-Za-z0-9._:-]+", "-", f"{run.name}:{folder.name}")


def sae_hash(folder: Path, sae: SAE) -> str:
    """A short hash of an SAE's weights and configuration: what tells one from another."""
    config = sae.config.model_dump(mode="json", exclude_none=True)
    facts = [weights_digest(folder), sae.config.architecture, config]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
