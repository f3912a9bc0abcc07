"""TopK: the k largest pre-activations of each row fire (Gao et al. 2024, arXiv 2406.04093)."""

from typing import Literal, overload

from torch import Tensor

from lmsaes.sae.config import TopKConfig
from lmsaes.sae.shards import row_cuts
from lmsaes.sae.sparse.rows import SparseRows
from lmsaes.sae.topk_family import TopKFamily


class TopK(TopKFamily):
    """f = relu(topk(W_enc·x + b_enc)),  x̂ = W_decᵀ·f + b_dec, decoder rows of unit norm."""

    config_type = TopKConfig

    def activations(self, x: Tensor, features: slice | Tensor | None = None) -> Tensor:
        return self.encode(x, features).dense()

    @overload
    def encode(
        self, x: Tensor, features: slice | Tensor | None = None, *, dense: Literal[False] = False
    ) -> SparseRows: ...
    @overload
    def encode(
        self, x: Tensor, features: slice | Tensor | None = None, *, dense: Literal[True]
    ) -> Tensor: ...
    def encode(
        self, x: Tensor, features: slice | Tensor | None = None, *, dense: bool = False
    ) -> SparseRows | Tensor:
        """As in `SAE.encode`. Which features fire depends on all of them, so a subset costs as
        much as the whole.
        """
        values, indices = top_of_rows(self.linear(x), min(self.k, self.features))
        if self.shards.features.size > 1:
            cuts = row_cuts(values.detach(), self.k, self.shards.features)
            values = values.where(~(values < cuts[:, -1:]), 0)
        indices, order = indices.sort(dim=1)
        rows = SparseRows.from_topk(values.gather(1, order), indices, self.features)
        rows = rows.where(rows.values > 0)
        if features is not None:
            rows = rows.columns(features)
        return rows.dense() if dense else rows

    def select(self, pre: Tensor) -> SparseRows:
        values, indices = top_of_rows(pre, min(self.k, self.features))
        entries = SparseRows.from_topk(values, indices, self.features)
        if self.shards.features.size == 1:
            return entries
        cuts = row_cuts(values, self.k, self.shards.features)
        return entries.where(~(values < cuts[:, -1:]).flatten())  # NaN stays: it is to be found


def top_of_rows(pre: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest values of each row and their columns, both [rows, k], in no order.

    On a CPU torch's selection copies every entry, which takes an eighth of the encoder's time.
    Columns g, g + n, g + 2n, … form group g of n. The k groups with the largest maxima hold the k
    largest entries: whatever else a group would offer lies below k maxima. So a selection among
    the maxima and one among these groups' entries do, and again in the same way.
    """
    rows, features = pre.shape
    size = 1
    while 8 * size * size * k <= features and features % (2 * size) == 0:  # as measured
        size *= 2
    if pre.is_cuda or size < 4:
        values, indices = pre.topk(k, dim=1, sorted=False)
        return values, indices
    groups = pre.view(rows, size, features // size)
    _, best = top_of_rows(groups.amax(1), k)
    candidates = groups.gather(2, best[:, None].expand(rows, size, k)).reshape(rows, size * k)
    values, places = top_of_rows(candidates, k)
    return values, places // k * groups.shape[2] + best.gather(1, places % k)
