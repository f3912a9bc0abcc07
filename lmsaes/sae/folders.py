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


def find_saes(paths: Sequence[str | Path]) -> list[Path]:
    """The SAE folders among `paths`, and those inside the runs among them.

    Raises SAEError for a path that is neither.
    """
    found: list[Path] = []
    for path in map(local_path, paths):
        if (path / "config.json").is_file() or not path.is_dir():
            found.append(path)
            continue
        inside = sorted(p.parent for p in path.glob("*/config.json"))
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


def sae_name(folder: Path) -> str:
    """`run:sae`, in letters that a name in the database may have."""
    return re.sub(r"[^A-Za-z0-9._:-]+", "-", f"{folder.parent.name}:{folder.name}")


def sae_hash(folder: Path, sae: SAE) -> str:
    """A short hash of an SAE's weights and configuration: what tells one from another."""
    config = sae.config.model_dump(mode="json", exclude_none=True)
    facts = [weights_digest(folder), sae.config.architecture, config]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
