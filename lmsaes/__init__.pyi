from .analysis import analyze
from .cache import ActivationCache
from .capture import cache_activations
from .database import Database, show
from .evaluation import evaluate
from .interop import export_sae, import_sae
from .loader import ShuffledLoader
from .model import LanguageModel
from .sae import (
    SAE,
    BatchTopKConfig,
    GatedConfig,
    HierarchicalTopKConfig,
    JumpReLUConfig,
    MatryoshkaConfig,
    PAnnealingConfig,
    ReLUConfig,
    SparseRows,
    TopKConfig,
)
from .steering import Edit, encode_text, steer
from .training import train

__all__ = [
    "SAE",
    "ActivationCache",
    "BatchTopKConfig",
    "Database",
    "Edit",
    "GatedConfig",
    "HierarchicalTopKConfig",
    "JumpReLUConfig",
    "LanguageModel",
    "MatryoshkaConfig",
    "PAnnealingConfig",
    "ReLUConfig",
    "ShuffledLoader",
    "SparseRows",
    "TopKConfig",
    "analyze",
    "cache_activations",
    "encode_text",
    "evaluate",
    "export_sae",
    "import_sae",
    "show",
    "steer",
    "train",
]
