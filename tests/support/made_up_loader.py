"""Loaders over small made-up caches of every kind."""

from pathlib import Path

import torch

from lmsaes.cache.reader import ActivationCache
from lmsaes.loader.loader import ShuffledLoader
from lmsaes.loader.order import SMALLEST_POOL
from tests.support.made_up_cache import made_up_cache

CONTEXTS, SIZE = 1000, 4
ROWS = CONTEXTS * SIZE
STORAGE = [
    ("safetensors", "none"),
    ("zarr", "none"),
    ("zarr", "zstd"),
    ("zarr", "lz4"),
    ("zarr", "blosc"),
]
KINDS = [
    *((format, compression, "float32") for format, compression in STORAGE),
    ("safetensors", "none", "int8"),
    ("zarr", "zstd", "bfloat16"),
]


def cache_of(kind: tuple[str, ...], folder: Path) -> ActivationCache:
    """A cache of two hooks, a and b, in a format, compression and dtype."""
    return made_up_cache(
        folder / "-".join(kind),
        CONTEXTS,
        context_size=SIZE,
        hooks={"a": 3, "b": 5},
        format=kind[0],
        compression=kind[1],
        dtype=kind[2],
        shard_contexts=400,
        block_contexts=8,
        batch_size=200,
    )


def loader_of(cache: ActivationCache, **settings: object) -> ShuffledLoader:
    arguments = {"hooks": "a", "batch_size": 500, "return_rows": True, "pool_rows": SMALLEST_POOL}
    return ShuffledLoader(cache, **(arguments | settings))  # type: ignore[arg-type]


def rows_of(loader: ShuffledLoader) -> list[torch.Tensor]:
    return [rows for _, rows in loader]
