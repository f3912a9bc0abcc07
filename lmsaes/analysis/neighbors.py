"""Features whose directions point the same way: by the cosine of decoder or encoder rows."""

import torch
from torch import Tensor

_CELLS = 1 << 24


def nearest(vectors: Tensor, others: Tensor, count: int, same: bool) -> tuple[Tensor, Tensor]:
    """The `count` rows of `others` with the largest cosine to each row of `vectors`.

    vectors [n, d], others [m, d]. same: they are the same rows, and none is its own neighbor.
    Returns (ids int64, cosines float32), [n, at most count], largest first; a row of zeros has
    cosine 0 with all.
    """
    units, other_units = unit_rows(vectors), unit_rows(others)
    count = min(count, len(others) - same)
    ids, cosines = [], []
    for start in range(0, len(units), step := max(1, _CELLS // max(len(others), 1))):
        block = units[start : start + step] @ other_units.T
        if same:
            own = torch.arange(len(block), device=block.device)
            block[own, own + start] = -2
        found = block.topk(count, dim=1)
        ids.append(found.indices)
        cosines.append(found.values)
    return torch.cat(ids), torch.cat(cosines)


def unit_rows(vectors: Tensor) -> Tensor:
    """Rows of length 1, float32; zeros stay zeros."""
    vectors = vectors.float()
    return vectors / vectors.norm(dim=1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
