"""BatchTopK: k features per row on average, chosen over the whole batch (Bussmann et al. 2024)."""

from typing import Literal

import torch
from torch import Tensor

from lmsaes.sae.autoencoder import SAE
from lmsaes.sae.sparse_rows import SparseRows
from lmsaes.sae.topk import TopK, TopKConfig

# How fast the threshold follows the batches' cuts. A cut is a quantile of millions of numbers and
# hardly noisy, so a hundred batches are plenty, also in a short run.
_FOLLOW = 0.01
_SAMPLE = 1 << 16


class BatchTopKConfig(TopKConfig, frozen=True):
    """k·batch features per batch; a threshold takes their place after training."""

    architecture: Literal["batchtopk"] = "batchtopk"  # pyright: ignore[reportIncompatibleVariableOverride]


class BatchTopK(TopK, architecture="batchtopk"):
    """Training: f = relu(z) where z is among the k·rows largest of the batch.

    Inference: f = z·1[z ≥ threshold], which depends on no other row; the threshold is a running
    mean of the smallest value that fired in training.
    """

    config_type = BatchTopKConfig
    threshold: Tensor

    def __init__(self, config: BatchTopKConfig, d_in: int, d_out: int | None = None) -> None:
        super().__init__(config, d_in, d_out)
        self.register_buffer("threshold", torch.zeros(()))

    def activations(self, x: Tensor, features: slice | Tensor | None = None) -> Tensor:
        pre = self.linear(x, features)
        return pre.relu() * (pre >= self.threshold)

    # A feature's activation does not depend on the others here, so a subset is cheap again.
    encode = SAE.encode

    def select(self, pre: Tensor) -> SparseRows:
        entries = largest(pre, self.k * pre.shape[0])
        cut = entries.values.min() if entries.nnz else torch.zeros_like(self.threshold)
        follow = torch.where(self.threshold > 0, _FOLLOW, 1.0)
        self.threshold.lerp_(cut.to(self.threshold.dtype), follow.to(self.threshold.dtype))
        return entries

    def scale_activations(self, factor: Tensor) -> None:
        super().scale_activations(factor)
        self.threshold.mul_(factor)


def largest(pre: Tensor, count: int) -> SparseRows:
    """The `count` largest positive entries of `pre` [rows, features], columns ascending.

    Entries equal to the smallest of them come too. A sample tells a bound which a few more than
    `count` entries exceed; these are found in one pass and cut exactly, so that nothing sorts the
    whole. Where the bound was too high it is lowered and the pass repeated.
    """
    flat = pre.reshape(-1)
    sample = flat[:: max(1, flat.shape[0] // _SAMPLE) | 1]
    share = count / flat.shape[0]
    while True:
        # Four standard deviations of the sampled count above what is wanted.
        rank = share * sample.shape[0]
        rank = int(rank + 4 * rank**0.5) + 1
        bound = float(sample.topk(rank).values[-1]) if rank < sample.shape[0] else 0.0
        candidates = SparseRows.from_mask(pre, pre > max(bound, 0.0))
        if candidates.nnz >= count or bound <= 0:
            break
        share *= 2
    if candidates.nnz <= count:
        return candidates
    cut = candidates.values.kthvalue(candidates.nnz - count + 1).values
    return candidates.where(candidates.values >= cut)
