"""The optimisers one may choose, from torch."""

import torch
from torch.optim import Optimizer

from lmsaes.errors import ConfigError
from lmsaes.sae import SAE

# Adam's ε as in Gao et al. 2024: a feature that fires rarely has gradients near the usual 1e-8.
_EPSILON = 6.25e-10
# Of a matrix whose update has orthonormal columns; docs/training.md says how it was found.
_MUON_LR = 2e-2


def make_optimizers(sae: SAE, lr: float) -> list[Optimizer]:
    """What updates an SAE's parameters; each group keeps its highest rate as `peak`.

    adam: one fused Adam for all parameters, at the rate `lr`.
    muon: Muon for encoder and decoder, Adam at `lr` for the vectors. Raises ConfigError where
    this torch has none.
    """
    config = sae.config
    matrices = [p for p in sae.parameters() if p.dim() == 2]
    others = [p for p in sae.parameters() if p.dim() != 2]
    if config.optimizer == "adam":
        matrices, others = [], matrices + others
    optimizers: list[Optimizer] = [
        torch.optim.Adam(others, lr=lr, betas=(config.beta1, 0.999), eps=_EPSILON, fused=True)
    ]
    if matrices:
        if not hasattr(torch.optim, "Muon"):
            raise ConfigError(f"torch {torch.__version__} has no Muon", "use 2.9 or newer, or adam")
        rate = _MUON_LR if config.lr is None else config.lr
        optimizers.append(torch.optim.Muon(matrices, lr=rate, weight_decay=0.0))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return optimizers
