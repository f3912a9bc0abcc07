"""A cache with rows that are not finite, as `lmsaes cache --allow-nonfinite` keeps them."""

from pathlib import Path

import torch

from lmsaes.cache.reader import ActivationCache
from lmsaes.cache.writer import CacheWriter
from lmsaes.provenance import TextPosition
from tests.support.made_up_cache import made_up_manifest, made_up_rows

CONTEXTS, SIZE, D = 32, 8, 6
# (hook, context, position): what the row holds. Two are the same row, one is no valid position,
# one is finite and its square is not; all lie in the second and the last of four shards.
HOLES = {
    ("a", 9, 3): float("nan"),
    ("b", 9, 3): float("inf"),
    ("b", 10, 5): -float("inf"),
    ("a", 30, 0): float("nan"),
    ("a", 31, 7): 1e20,
}


def holed_cache(folder: Path) -> ActivationCache:
    """Hooks a and b of six dimensions, contexts of eight positions, shards of eight contexts."""
    manifest = made_up_manifest(
        CONTEXTS, SIZE, {"a": D, "b": D}, shard_contexts=8, block_contexts=2, batch_size=8
    )
    tokens = torch.ones(CONTEXTS, SIZE, dtype=torch.int64)
    valid = torch.ones(CONTEXTS, SIZE, dtype=torch.bool)
    valid[:, 0] = False
    rows = {hook: made_up_rows(0, CONTEXTS, SIZE, D) / 100 for hook in ("a", "b")}
    for (hook, context, position), value in HOLES.items():
        rows[hook][context, position, 2] = value
    with CacheWriter(folder, manifest, allow_nonfinite=True) as writer:
        for first in range(0, CONTEXTS, 8):
            part = slice(first, first + 8)
            batch = {hook: found[part] for hook, found in rows.items()}
            writer.write(tokens[part], batch, valid[part], TextPosition(document=first + 8))
        writer.finish()
    return ActivationCache.open(folder)


def finite(hooks: str) -> torch.Tensor:
    """Numbers of the rows that are finite in all of the hooks, ascending."""
    kept = torch.ones(CONTEXTS, SIZE, dtype=torch.bool)
    for hook, context, position in HOLES:
        if hook in hooks:
            kept[context, position] = False
    return kept.flatten().nonzero().squeeze(1)
