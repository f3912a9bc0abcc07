"""BatchTopK: k features per row on average, chosen over the whole batch (Bussmann et al. 2024)."""

import torch
from torch import Tensor

from lmsaes.parallel import Collectives
from lmsaes.sae.config import BatchTopKConfig
from lmsaes.sae.shards import batch_cut
from lmsaes.sae.sparse.rows import SparseRows
from lmsaes.sae.topk_family import TopKFamily

# How fast the threshold follows the batches' cuts. A cut is a quantile of millions of numbers and
# hardly noisy, so twenty batches are plenty; a hundred lag behind in a short run.
_FOLLOW = 0.05
_SAMPLE = 1 << 16
# Of its even part of the values that fire, what a rank sends: parts are hardly ever uneven by more.
_TO_SPARE = 1.25
_TINY = 1e-38


class BatchTopK(TopKFamily):
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

    def select(self, pre: Tensor) -> SparseRows:
        entries, cut = self._largest(pre, self.k * self.shards.batch_rows(pre.shape[0]))
        if cut is not None:
            cut = cut.clamp(min=0).to(self.threshold.dtype)
            # a batch that overflows leaves it as it was: what is kept of the SAE stays finite
            cut = torch.where(cut.isfinite(), cut, self.threshold)
            self.threshold.lerp_(cut, torch.where(self.threshold > 0, _FOLLOW, 1.0).to(cut.dtype))
        return entries

    def _largest(self, pre: Tensor, count: int) -> tuple[SparseRows, Tensor | None]:
        """The `count` largest entries of the batch that are on this rank, and the smallest of them
        on any; None where there are none.
        """
        if self.shards.entries.size > 1:
            return largest_of_all(pre, count, self.shards.entries)
        entries = largest(pre, count)
        return entries, entries.values.min() if entries.nnz else None

    def scale_activations(self, factor: Tensor) -> None:
        super().scale_activations(factor)
        self.threshold.mul_(factor)


def largest(pre: Tensor, count: int) -> SparseRows:
    """The `count` largest entries of `pre` [rows, features], columns ascending.

    On a CPU only positive ones, and all that equal the smallest of them. On a GPU torch's
    selection is fast and the host need not wait for it; on a CPU it sorts for longer than the
    encoder takes.
    """
    return largest_by_selection(pre, count) if pre.is_cuda else largest_by_bound(pre, count)


def largest_of_all(pre: Tensor, count: int, ranks: Collectives) -> tuple[SparseRows, Tensor | None]:
    """As `largest`, of the entries of all ranks' `pre`: those that are on this rank, and the
    smallest of all; None where no rank has any.

    Each rank sends somewhat more than its part of the values that will fire; where that turns out
    not to suffice, twice as many. Only positive entries are taken, and all that equal the smallest.
    """
    entries = pre.numel()
    sent = int(_TO_SPARE * count / ranks.size) + 1
    while True:
        mine = largest(pre, min(sent, entries))
        values = mine.values.clamp(min=0)
        values = values.topk(min(sent, values.shape[0])).values  # without what equals the smallest
        cut, enough = batch_cut(
            torch.nn.functional.pad(values, (0, sent - values.shape[0])), count, ranks
        )
        if enough:
            break
        sent *= 2
    return mine.where(mine.values >= cut.clamp(min=_TINY)), cut if cut > 0 else None


def largest_by_selection(pre: Tensor, count: int) -> SparseRows:
    """As `largest`, by one top-k over everything."""
    rows, features = pre.shape
    flat = pre.reshape(-1)
    places = flat.topk(min(count, flat.shape[0]), sorted=False).indices.sort().values
    starts = torch.arange(0, rows * features + 1, features, device=pre.device)
    offsets = torch.searchsorted(places, starts)
    return SparseRows(offsets, places % features, flat[places], features)


def largest_by_bound(pre: Tensor, count: int) -> SparseRows:
    """As `largest`, for positive entries, in one pass over `pre`.

    Sorting millions of pre-activations to find the k·rows largest would take longer than making
    them. The quantile of a sample is a lower bound that a few more than `count` entries exceed;
    these few are collected and cut exactly. Where the bound was too high (a sample is only a
    sample), it is lowered and the pass repeated, so that the result never depends on the sample.
    """
    if pre.numel() == 0:  # other ranks have the batch's rows
        return SparseRows.above(pre, 0.0)
    flat = pre.reshape(-1)
    # An odd stride, so that the sample doesn't meet the same few features again and again.
    sample = flat[:: max(1, flat.shape[0] // _SAMPLE) | 1]
    expected = count / flat.shape[0] * sample.shape[0]
    while True:
        rank = int(expected + 4 * expected**0.5) + 1  # four standard deviations to spare
        bound = max(0.0, float(sample.topk(rank).values[-1])) if rank < sample.shape[0] else 0.0
        candidates = SparseRows.above(pre, bound)
        if candidates.nnz >= count or bound == 0:
            break
        expected *= 2
    if candidates.nnz <= count:
        return candidates
    cut = candidates.values.kthvalue(candidates.nnz - count + 1).values
    return candidates.where(candidates.values >= cut)
