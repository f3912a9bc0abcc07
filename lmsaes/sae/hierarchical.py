"""HierarchicalTopK: one SAE that is good at every k up to K (Balagansky et al. 2025).

The SAE's best 1, 2, 4, … features each reconstruct the target as well as they can, so an SAE
trained once may be used with any smaller k.
"""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from lmsaes.sae.nested import nested_error
from lmsaes.sae.sparse_rows import SparseRows
from lmsaes.sae.topk import TopK, TopKConfig, top_of_rows


class HierarchicalConfig(TopKConfig, frozen=True):
    """TopK whose loss is averaged over several k."""

    architecture: Literal["hierarchical"] = "hierarchical"  # pyright: ignore[reportIncompatibleVariableOverride]
    levels: Annotated[
        tuple[int, ...] | None,
        Field(description="the k whose losses are averaged (default: k, k/2, k/4, … 1)"),
    ] = None


class Hierarchical(TopK, architecture="hierarchical"):
    """loss = mean over levels j of ‖y − x̂_j‖²/d, x̂_j from the j largest features.

    The paper averages over every j from 1 to K; a geometric series of levels costs a fraction of
    that and weighs small budgets more.
    """

    config_type = HierarchicalConfig
    starts: Tensor

    def __init__(self, config: HierarchicalConfig, d_in: int, d_out: int | None = None) -> None:
        super().__init__(config, d_in, d_out)
        self.levels = _levels(config)
        self.register_buffer("starts", torch.tensor((0, *self.levels)), persistent=False)

    def select(self, pre: Tensor) -> SparseRows:
        values, indices = top_of_rows(pre, self.k)
        values, order = values.sort(dim=1, descending=True)
        return SparseRows.from_topk(values, indices.gather(1, order), self.features)

    def error_of(self, fired: SparseRows, target: Tensor) -> tuple[Tensor, Tensor]:
        bounds = fired.offsets[:-1, None] + self.starts
        return nested_error(fired, bounds, self.W_dec, self.b_dec, target)


def _levels(config: HierarchicalConfig) -> tuple[int, ...]:
    if config.levels is None:
        return tuple(sorted({max(1, config.k >> shift) for shift in range(config.k.bit_length())}))
    return tuple(sorted({*config.levels, config.k}))
