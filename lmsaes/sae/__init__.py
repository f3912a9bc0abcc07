"""Sparse autoencoders: one file per architecture, one contract (`autoencoder.py`)."""

from typing import Annotated

from pydantic import Discriminator

from lmsaes.sae.autoencoder import SAE, Metrics, Provenance, StepOutput
from lmsaes.sae.config import SAEConfig
from lmsaes.sae.relu import ReLU, ReLUConfig
from lmsaes.sae.sparse_rows import SparseRows
from lmsaes.sae.topk import TopK, TopKConfig

AnyConfig = Annotated[ReLUConfig | TopKConfig, Discriminator("architecture")]

__all__ = [
    "SAE",
    "AnyConfig",
    "Metrics",
    "Provenance",
    "ReLU",
    "ReLUConfig",
    "SAEConfig",
    "SparseRows",
    "StepOutput",
    "TopK",
    "TopKConfig",
]
