"""What this room offers to others; `__init__.py` loads each name when it is first asked for."""

from .architectures import ARCHITECTURES
from .autoencoder import SAE, StepOutput
from .batchtopk import BatchTopK
from .config import (
    CONFIGS,
    AnyConfig,
    BatchTopKConfig,
    GatedConfig,
    HierarchicalTopKConfig,
    JumpReLUConfig,
    MatryoshkaConfig,
    NormalizationKind,
    PAnnealingConfig,
    ReLUConfig,
    SAEConfig,
    TopKConfig,
    TopKFamilyConfig,
)
from .folders import KEPT, find_saes, sae_hash, sae_name
from .former_names import RENAMED, todays_names
from .gated import Gated
from .hierarchical_topk import HierarchicalTopK
from .io import first_not_finite, read_evaluation, saved_settings, weights_digest, write_evaluation
from .jumprelu import JumpReLU
from .matryoshka import Matryoshka
from .origin import Imported, Metrics, Provenance
from .p_annealing import PAnnealing
from .relu import ReLU
from .row_norm import normalize_rows
from .shards import ALONE, Shards
from .sparse.ops import products_at, row_norms
from .sparse.rows import SparseRows
from .topk import TopK

__all__ = [
    "ALONE",
    "ARCHITECTURES",
    "CONFIGS",
    "KEPT",
    "RENAMED",
    "SAE",
    "AnyConfig",
    "BatchTopK",
    "BatchTopKConfig",
    "Gated",
    "GatedConfig",
    "HierarchicalTopK",
    "HierarchicalTopKConfig",
    "Imported",
    "JumpReLU",
    "JumpReLUConfig",
    "Matryoshka",
    "MatryoshkaConfig",
    "Metrics",
    "NormalizationKind",
    "PAnnealing",
    "PAnnealingConfig",
    "Provenance",
    "ReLU",
    "ReLUConfig",
    "SAEConfig",
    "Shards",
    "SparseRows",
    "StepOutput",
    "TopK",
    "TopKConfig",
    "TopKFamilyConfig",
    "find_saes",
    "first_not_finite",
    "normalize_rows",
    "products_at",
    "read_evaluation",
    "row_norms",
    "sae_hash",
    "sae_name",
    "saved_settings",
    "todays_names",
    "weights_digest",
    "write_evaluation",
]
