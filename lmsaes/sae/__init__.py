"""Sparse autoencoders: one contract, one file per architecture. A feature is also called a latent.

    config.py   every kind's settings       autoencoder.py ─┬─ relu.py ── p_annealing.py
    origin.py   where an SAE comes from                     ├─ gated.py
    io.py       the folder on disk                          ├─ jumprelu.py
    row_norm.py, auxiliary_losses.py                        └─ topk_family.py
    sparse/     products that touch                             ├─ topk.py ── hierarchical_topk.py
                active features alone                           └─ batchtopk.py ── matryoshka.py

`limits.py` and `former_names.py` belong to config.py. Imports torch, numpy, einops, safetensors
and pydantic, and nothing heavier.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
