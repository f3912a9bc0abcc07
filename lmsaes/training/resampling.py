"""Neuron resampling: dead features start again on rows with a large error.

Bricken et al. 2023, "Neuron Resampling". Where the paper resamples at fixed steps of a long run,
`SAEConfig.resample` gives shares of the run.
"""

import torch
from torch import Tensor
from torch.optim import Optimizer

from lmsaes.sae import SAE, Shards, row_norms
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
    shards, width = sae.shards, sae.config.width(sae.d_in)
    alive = torch.ones(sae.features, dtype=torch.bool, device=x.device)
    alive[dead] = False
    own = slice(shards.features.rank, None, shards.features.size)
    dead_of_all = torch.zeros(width, dtype=torch.int64)
    dead_of_all[own] = (~alive).cpu().long()
    dead_of_all = shards.features.sum(dead_of_all)
    count = int(dead_of_all.sum())
    if count == 0 or count == width:
        return
    loss = _of_all_rows(sae.residual(x, target).square().sum(1), shards)
    chances = loss.square().cpu().double()
    rows = torch.multinomial(chances, count, replacement=True, generator=generator)
    # every rank draws for the features of all, and takes what is for its own
    drawn = torch.zeros(width, dtype=torch.int64)
    drawn[dead_of_all > 0] = rows
    rows = drawn[own][dead.cpu()]
    inputs, outputs = _rows_at(rows, x, shards), _rows_at(rows, target, shards)
    encoder_norm = _ENCODER_SHARE * _mean_norm(sae.W_enc[alive], shards)
    decoder_norm = _mean_norm(sae.W_dec[alive], shards)
    sae.W_enc[dead] = torch.nn.functional.normalize(inputs, dim=1) * encoder_norm
    sae.W_dec[dead] = torch.nn.functional.normalize(outputs, dim=1) * decoder_norm
    sae.b_enc[dead] = 0.0
    for parameter in sae.parameters():
        if parameter.shape[0] == sae.features:
            forget(optimizers, parameter, dead)


def _of_all_rows(values: Tensor, shards: Shards) -> Tensor:
    """`values` [rows here] of the whole batch, in its order: [rows]."""
    if shards.rows.size == 1:
        return values
    whole = values.new_zeros(shards.batch_rows(values.shape[0]))
    whole[shards.places.to(values.device)] = values
    return shards.rows.sum(whole)


def _rows_at(places: Tensor, x: Tensor, shards: Shards) -> Tensor:
    """The rows at `places` int64 [n] of the whole batch, on whichever rank they are: [n, d]."""
    if shards.rows.size == 1:
        return x[places.to(x.device)]
    here = torch.full((shards.batch_rows(x.shape[0]),), -1)
    here[shards.places] = torch.arange(x.shape[0])
    found = here[places]
    rows = x.new_zeros(places.shape[0], x.shape[1])
    rows[(found >= 0).to(x.device)] = x[found[found >= 0].to(x.device)]
    return shards.rows.sum(rows)


def _mean_norm(weight: Tensor, shards: Shards) -> Tensor:
    """Of the rows of `weight` on all ranks that have some of them."""
    norms = row_norms(weight)
    if shards.features.size == 1:
        return norms.mean()
    total = shards.features.sum(torch.stack([norms.sum(), norms.new_tensor(norms.shape[0])]))
    return total[0] / total[1]
