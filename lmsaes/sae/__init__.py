"""Sparse autoencoders: one file per architecture, one contract (`autoencoder.py`)."""

from typing import Annotated

from pydantic import Discriminator

from lmsaes.sae.autoencoder import SAE, Metrics, Provenance, StepOutput
from lmsaes.sae.batchtopk import BatchTopK, BatchTopKConfig
from lmsaes.sae.config import SAEConfig
from lmsaes.sae.gated import Gated, GatedConfig
from lmsaes.sae.hierarchical import Hierarchical, HierarchicalConfig
from lmsaes.sae.jumprelu import JumpReLU, JumpReLUConfig
from lmsaes.sae.matryoshka import Matryoshka, MatryoshkaConfig
from lmsaes.sae.p_anneal import PAnneal, PAnnealConfig
from lmsaes.sae.relu import ReLU, ReLUConfig
from lmsaes.sae.sparse_rows import SparseRows
from lmsaes.sae.topk import TopK, TopKConfig

AnyConfig = Annotated[
    ReLUConfig
    | GatedConfig
    | TopKConfig
    | BatchTopKConfig
    | HierarchicalConfig
    | JumpReLUConfig
    | MatryoshkaConfig
    | PAnnealConfig,
    Discriminator("architecture"),
]

__all__ = [
    "SAE",
    "AnyConfig",
    "BatchTopK",
    "BatchTopKConfig",
    "Gated",
    "GatedConfig",
    "Hierarchical",
    "HierarchicalConfig",
    "JumpReLU",
    "JumpReLUConfig",
    "Matryoshka",
    "MatryoshkaConfig",
    "Metrics",
    "PAnneal",
    "PAnnealConfig",
    "Provenance",
    "ReLU",
    "ReLUConfig",
    "SAEConfig",
    "SparseRows",
    "StepOutput",
    "TopK",
    "TopKConfig",
]
