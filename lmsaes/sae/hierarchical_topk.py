"""HierarchicalTopK: one SAE that is good at every k up to K (Balagansky et al. 2025).

The SAE's best 1, 2, 4, … features each reconstruct the target as well as they can, so an SAE
trained once may be used with any smaller k.
"""

import torch
from torch import Tensor

from lmsaes.sae.config import HierarchicalTopKConfig
from lmsaes.sae.shards import row_cuts
from lmsaes.sae.sparse.nested_loss import nested_error
from lmsaes.sae.sparse.rows import SparseRows
from lmsaes.sae.topk import TopK, top_of_rows


class HierarchicalTopK(TopK):
    """loss = mean over levels j of ‖y − x̂_j‖²/d, x̂_j from the j largest features.

    The paper averages over every j from 1 to K; a geometric series of levels costs a fraction of
    that and weighs small budgets more.
    """

    config_type = HierarchicalTopKConfig
    starts: Tensor

    def __init__(self, config: HierarchicalTopKConfig, d_in: int, d_out: int | None = None) -> None:
        super().__init__(config, d_in, d_out)
        self.levels = _levels(config)
        self._bounds = torch.empty(0)  # of the levels in the entries last selected
        self.register_buffer("starts", torch.tensor((0, *self.levels)), persistent=False)

    def select(self, pre: Tensor) -> SparseRows:
        values, indices = top_of_rows(pre, min(self.k, self.features))
        values, order = values.sort(dim=1, descending=True)
        entries = SparseRows.from_topk(values, indices.gather(1, order), self.features)
        if self.shards.features.size == 1:
            self._bounds = entries.offsets[:-1, None] + self.starts
            return entries
        # A level takes as many of a row's entries here as are among the row's largest everywhere.
        cuts = row_cuts(values, self.k, self.shards.features)
        counts = (values[:, :, None] >= cuts[:, None, self.starts[1:] - 1]).sum(1)
        entries = entries.where(~(values < cuts[:, -1:]).flatten())
        none = counts.new_zeros(counts.shape[0], 1)
        self._bounds = entries.offsets[:-1, None] + torch.cat([none, counts], 1)
        return entries

    def error_of(self, fired: SparseRows, target: Tensor) -> tuple[Tensor, Tensor]:
        weights = self.W_dec, self.b_dec
        return nested_error(fired, self._bounds, *weights, target, self.shards.features)


def _levels(config: HierarchicalTopKConfig) -> tuple[int, ...]:
    if config.levels is None:
        return tuple(sorted({max(1, config.k >> shift) for shift in range(config.k.bit_length())}))
    return tuple(sorted({*config.levels, config.k}))
