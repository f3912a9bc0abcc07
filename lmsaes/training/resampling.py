"""Neuron resampling: dead features start again on rows with a large error.

Bricken et al. 2023, "Neuron Resampling". Where the paper resamples at fixed steps of a long run,
`SAEConfig.resample` gives shares of the run.
"""

import torch
from torch import Tensor
from torch.optim import Optimizer

from lmsaes.sae import SAE, row_norms
from lmsaes.training.optimizers import forget

_ENCODER_SHARE = 0.2


@torch.no_grad()
def resample(
    sae: SAE,
    optimizers: list[Optimizer],
    dead: Tensor,
    x: Tensor,
    target: Tensor,
    generator: torch.Generator,
) -> None:
    """Gives each feature of `dead` int64 [n] a row of the batch to stand for.

    Rows are drawn with probability proportional to their squared loss. The decoder row becomes
    the target's direction, as long as live ones are on average; the encoder row the input's, a
    fifth as long as live ones; the bias zero. The optimizer forgets what it knew of them.
    """
    alive = torch.ones(sae.features, dtype=torch.bool, device=x.device)
    alive[dead] = False
    if dead.shape[0] == 0 or not alive.any():
        return
    loss = sae.residual(x, target).square().sum(1)
    chances = loss.square().cpu().double()
    rows = torch.multinomial(chances, dead.shape[0], replacement=True, generator=generator)
    inputs, outputs = x[rows.to(x.device)], target[rows.to(x.device)]
    encoder_norm = _ENCODER_SHARE * row_norms(sae.W_enc[alive]).mean()
    decoder_norm = row_norms(sae.W_dec[alive]).mean()
    sae.W_enc[dead] = torch.nn.functional.normalize(inputs, dim=1) * encoder_norm
    sae.W_dec[dead] = torch.nn.functional.normalize(outputs, dim=1) * decoder_norm
    sae.b_enc[dead] = 0.0
    for parameter in sae.parameters():
        if parameter.shape[0] == sae.features:
            forget(optimizers, parameter, dead)
