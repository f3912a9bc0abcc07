"""Auxiliary losses for dead features: AuxK and ghost gradients."""

import torch
from torch import Tensor

from lmsaes.sae.shards import ALONE, Shards, row_cuts
from lmsaes.sae.sparse.ops import linear_at, rows_of, sparse_decode, sum_of_squares
from lmsaes.sae.sparse.rows import SparseRows

# Up to so many dead features per one that may fire, multiplying by all of them is the cheaper way.
_DENSE_UP_TO = 4
_TINY = 1e-12


def aux_k_loss(
    x: Tensor,
    residual: Tensor,
    pre: Tensor,
    W_enc: Tensor,
    b_enc: Tensor,
    W_dec: Tensor,
    dead: Tensor,
    k: int,
    shards: Shards = ALONE,
) -> Tensor:
    """How badly the dead features alone would explain what the SAE misses (Gao et al. 2024, A.2).

        ê = Σ over the k largest dead pre-activations of relu(z)·d
        loss = mean ‖e − ê‖² / mean ‖e‖²

    Divided by the residual, so that it means the same however much the live ones explain.
    `residual` e [rows, d_out] carries no gradient: live features learn nothing from this loss.
    `pre` [rows, features] holds the pre-activations of `x`; `dead` int64 [n] the dead features.
    """
    k_here = min(k, dead.shape[0])
    if dead.shape[0] <= _DENSE_UP_TO * k:
        values = torch.nn.functional.linear(x, rows_of(W_enc, dead), b_enc[dead]).relu()
        if shards.features.size > 1:
            top = values.detach().topk(k_here, dim=1, sorted=False).values
            values = values * (values.detach() >= row_cuts(top, k, shards.features)[:, -1:])
        elif k < dead.shape[0]:
            kept = values.detach().topk(k, dim=1, sorted=False).indices
            values = values * torch.zeros_like(values).scatter_(1, kept, 1.0)
        explained = values @ rows_of(W_dec, dead)
    else:
        top, indices = pre.index_select(1, dead).topk(k_here, dim=1, sorted=False)
        entries = SparseRows.from_topk(top, dead[indices], pre.shape[1])
        if shards.features.size > 1:
            entries = entries.where((top >= row_cuts(top, k, shards.features)[:, -1:]).flatten())
        entries = entries.ordered()
        values = linear_at(entries, x, W_enc, b_enc).relu()
        explained = sparse_decode(entries.with_values(values), W_dec)
    explained = shards.features.sum(explained)
    scale = shards.row_sum(sum_of_squares(residual)).clamp(min=_TINY)
    return sum_of_squares(residual - explained) / scale


def ghost_loss(
    x: Tensor,
    residual: Tensor,
    W_enc: Tensor,
    b_enc: Tensor,
    W_dec: Tensor,
    dead: Tensor,
    shards: Shards = ALONE,
) -> Tensor:
    """Ghost gradients: the `dead` features as if they fired (Jermyn & Templeton 2024, Anthropic's
    January update).

        ĝ = Σ over dead features of exp(z)·d, scaled to half of the residual's norm on each row
        loss = mean ‖e − ĝ‖² / d, scaled to the residual's own mean square

    Neither `residual` e [rows, d_out] nor the two scales carry a gradient.
    """
    pre = torch.nn.functional.linear(x, rows_of(W_enc, dead), b_enc[dead])
    # A row's common factor is undone by the scale, so the exponentials need not overflow.
    largest = pre.new_full((pre.shape[0], 1), -torch.inf)
    if dead.shape[0]:
        largest = pre.detach().amax(1, keepdim=True)
    largest = shards.features.gather(largest).amax(0)
    ghost = shards.features.sum((pre - largest).exp() @ rows_of(W_dec, dead))
    norms = torch.linalg.vector_norm(ghost.detach(), dim=1, keepdim=True).clamp(min=_TINY)
    half = torch.linalg.vector_norm(residual, dim=1, keepdim=True) / 2
    numbers = max(residual.numel(), 1)
    loss = (residual - ghost * (half / norms)).square().sum() / numbers
    own = residual.square().sum() / numbers
    means = shards.row_mean(torch.stack([own, loss.detach()]))
    return loss * (means[0] / means[1].clamp(min=_TINY))
