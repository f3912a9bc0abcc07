"""Losses that give features which have long been silent something to learn."""

import torch
from torch import Tensor

from lmsaes.sae.sparse_ops import linear_at, sparse_decode
from lmsaes.sae.sparse_rows import SparseRows

# Up to so many dead features per one that may fire, multiplying by all of them is the cheaper way.
_DENSE_UP_TO = 4


def aux_k_loss(
    x: Tensor,
    residual: Tensor,
    pre: Tensor,
    W_enc: Tensor,
    b_enc: Tensor,
    W_dec: Tensor,
    dead: Tensor,
    k: int,
) -> Tensor:
    """How badly the dead features alone would explain what the SAE misses (Gao et al. 2024, A.2).

        ê = Σ over the k largest dead pre-activations of relu(z)·d,   loss = mean ‖e − ê‖² / d

    `residual` e [rows, d_out] is taken as given: live features get no gradient from it. `pre`
    [rows, features] holds the pre-activations of `x`; `dead` int64 [n] the dead features' ids.
    """
    if dead.shape[0] <= _DENSE_UP_TO * k:
        values = torch.nn.functional.linear(x, W_enc[dead], b_enc[dead]).relu()
        if k < dead.shape[0]:
            kept = values.detach().topk(k, dim=1, sorted=False).indices
            values = values * torch.zeros_like(values).scatter_(1, kept, 1.0)
        explained = values @ W_dec[dead]
    else:
        top, indices = pre[:, dead].topk(k, dim=1, sorted=False)
        entries = SparseRows.from_topk(top, dead[indices], pre.shape[1]).ordered()
        values = linear_at(entries, x, W_enc, b_enc).relu()
        explained = sparse_decode(entries.with_values(values), W_dec)
    return (residual - explained).square().sum() / residual.numel()
