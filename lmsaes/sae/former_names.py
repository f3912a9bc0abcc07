"""Settings and architectures that were once called otherwise."""

from collections.abc import Mapping
from typing import Any

RENAMED = {
    "label": "name",
    "dead_after": "dead_window",
    "revive_after": "aux_after",
    "decay": "lr_decay_fraction",
    "precision": "matmul_dtype",
    "centre": "center",
}
"""Settings that format 1 of SAE folders called otherwise."""


def todays_names(settings: Any) -> Any:
    """With the architecture's name of today: it once was p-anneal."""
    if isinstance(settings, Mapping) and settings.get("architecture") == "p-anneal":
        return {**settings, "architecture": "p_annealing"}
    return settings
