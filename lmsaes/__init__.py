"""Sparse autoencoders on cached language-model activations.

    generate ─► ActivationCache ─► ShuffledLoader ─► train ─► SAE ─► analyze ─► Database

Everything that a command of `lmsaes` does is one call of a function here, with the same names.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmsaes.analysis import analyze
    from lmsaes.cache.loader import ShuffledLoader
    from lmsaes.cache.reader import ActivationCache
    from lmsaes.database import Database
    from lmsaes.harvest import generate
    from lmsaes.sae import (
        SAE,
        BatchTopKConfig,
        GatedConfig,
        HierarchicalConfig,
        JumpReLUConfig,
        MatryoshkaConfig,
        PAnnealConfig,
        ReLUConfig,
        SparseRows,
        TopKConfig,
    )
    from lmsaes.training import train

# Imported when first asked for: `import lmsaes` alone loads neither torch nor pymongo.
_HOMES = {
    "ActivationCache": "lmsaes.cache.reader",
    "Database": "lmsaes.database",
    "ShuffledLoader": "lmsaes.cache.loader",
    "analyze": "lmsaes.analysis",
    "generate": "lmsaes.harvest",
    "train": "lmsaes.training",
    **dict.fromkeys(
        (
            "SAE",
            "BatchTopKConfig",
            "GatedConfig",
            "HierarchicalConfig",
            "JumpReLUConfig",
            "MatryoshkaConfig",
            "PAnnealConfig",
            "ReLUConfig",
            "SparseRows",
            "TopKConfig",
        ),
        "lmsaes.sae",
    ),
}


def __getattr__(name: str) -> Any:

    if name not in _HOMES:
        raise AttributeError(f"module 'lmsaes' has no attribute '{name}'")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


__all__ = [
    "SAE",
    "ActivationCache",
    "BatchTopKConfig",
    "Database",
    "GatedConfig",
    "HierarchicalConfig",
    "JumpReLUConfig",
    "MatryoshkaConfig",
    "PAnnealConfig",
    "ReLUConfig",
    "ShuffledLoader",
    "SparseRows",
    "TopKConfig",
    "analyze",
    "generate",
    "train",
]
