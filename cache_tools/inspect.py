"""What a cache is: sizes, and what its activations look like."""

import itertools
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lmsaes.cache import ActivationCache, HookMoments, HookRecord, Location, Manifest, shard_moments
from lmsaes.provenance import ComputeRecord

PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
_SAMPLED_BYTES = 64 << 20  # of a hook, in whole blocks
_FEWEST_BLOCKS = 4
_OUTLIER = 5.0  # times the median channel's root mean square
_MOST_OUTLIERS = 10


def describe(cache: ActivationCache, seed: int = 0) -> dict[str, Any]:
    """Everything worth knowing of a cache, as one JSON-like object.

    Norms' percentiles are those of a sample of blocks, drawn by `seed`; all other statistics are
    those of every row. Raises CacheError when a sampled block is damaged.
    """
    manifest = cache.manifest
    sampled = _sample(cache, seed)
    return {
        "path": str(cache.path),
        "identity": cache.identity,
        "format": manifest.format,
        "compression": manifest.compression,
        "complete": manifest.complete,
        "contexts": cache.contexts,
        "contexts_requested": manifest.contexts_requested,
        "context_size": cache.context_size,
        "tokens": cache.rows,
        "shards": len(manifest.shards),
        "bytes": sum(file.bytes for shard in manifest.shards for file in shard.files.values()),
        "model": manifest.model.model_dump(),
        "text": manifest.text.model_dump(mode="json"),
        "compute": manifest.compute.model_dump(),
        "other_compute": _other_compute(manifest),
        "sources": [
            source.model_dump(mode="json", exclude={"dtypes", "storage_errors"})
            for source in manifest.sources
        ],
        "hooks": {hook: _hook(cache, hook, sampled) for hook in cache.hooks},
        "versions": manifest.versions,
        "created": manifest.created,
    }


def _other_compute(manifest: Manifest) -> list[dict[str, Any]]:
    """How shards were computed where that is not as the manifest says, and which."""
    shards: dict[ComputeRecord, list[int]] = {}
    for shard in manifest.shards:
        if shard.compute is not None:
            shards.setdefault(shard.compute, []).append(shard.index)
    return [compute.model_dump() | {"shards": which} for compute, which in shards.items()]


def _hook(cache: ActivationCache, hook: str, sampled: list[tuple[int, int]]) -> dict[str, Any]:
    manifest, record = cache.manifest, cache.hooks[hook]
    paths = tuple(spec.path + "/" for spec in cache.stored(hook))
    norms = torch.cat([_norms(cache, hook, *contexts) for contexts in sampled])
    means = position_norms(cache.path, cache, hook)
    described: dict[str, Any] = {
        "d_model": record.d_model,
        "dtype": record.dtype,
        "stored_before_as": sorted({" → ".join(s.dtypes[hook]) for s in manifest.sources}),
        "storage_error": _storage_error(manifest, hook),
        "bytes": sum(
            file.bytes
            for shard in manifest.shards
            for name, file in shard.files.items()
            if name.startswith(paths)
        ),
        "mean_norm_by_position": means,
        "first_position": _first_position(means),
        "norms": {
            "contexts": len(norms),
            "percentiles": PERCENTILES,
            "by_position": _percentiles(norms, [(p, p + 1) for p in range(norms.shape[1])]),
            "by_positions": {
                f"{start}:{stop}": _percentiles(norms, [(start, stop)])[0]
                for start, stop in _doubling(norms.shape[1])
            },
        },
        "outlier_channels": _outliers(record),
    }
    for group in ("statistics", "valid"):
        statistics = getattr(record, group)
        if statistics is not None:
            described[group] = statistics.model_dump(exclude={"mean", "variance"})
    return described


def position_norms(folder: Location, cache: ActivationCache, hook: str) -> list[float]:
    """Mean norm at each position of a context: the first is often hundreds of times the others."""
    total = HookMoments.zero(cache.context_size, cache.hooks[hook].d_model)
    for shard in cache.manifest.shards:
        total = total + shard_moments(folder, shard, hook)
    return (total.position_norms / cache.contexts).tolist()


def channel_sizes(record: HookRecord) -> np.ndarray:
    """Root mean square of each channel over valid rows, [d_model]."""
    statistics = record.valid or record.statistics
    assert statistics is not None
    return np.sqrt(np.square(statistics.mean) + np.array(statistics.variance))


def _outliers(record: HookRecord) -> dict[str, Any]:
    """Channels whose root mean square is many times the median channel's, largest first.

    Transformers have a few of them, the same at most positions (Dettmers et al. 2022, section 4;
    Sun et al. 2024).
    """
    sizes = channel_sizes(record)
    ratios = sizes / max(float(np.median(sizes)), 1e-30)
    statistics = record.valid or record.statistics
    assert statistics is not None
    largest = np.argsort(-ratios, kind="stable")[:_MOST_OUTLIERS]
    return {
        "threshold": _OUTLIER,
        "count": int((ratios > _OUTLIER).sum()),
        "largest": [
            {
                "channel": int(channel),
                "times_the_median": float(ratios[channel]),
                "mean": statistics.mean[channel],
                "deviation": float(np.sqrt(statistics.variance[channel])),
            }
            for channel in largest
            if ratios[channel] > _OUTLIER
        ],
    }


def _first_position(means: list[float]) -> dict[str, float]:
    others = float(np.mean(means[1:]))
    return {"mean_norm": means[0], "times_the_others": means[0] / max(others, 1e-30)}


def _storage_error(manifest: Manifest, hook: str) -> float | None:
    """Share of the variance that storing has lost, in the caches it was copied from as well."""
    parts = [(s.contexts, s.storage_errors[hook]) for s in manifest.sources]
    errors = [manifest.hooks[hook].storage_error, *(error for _, error in parts)]
    if any(error is None for error in errors):
        return None
    before = sum(contexts * (error or 0) for contexts, error in parts)
    return (errors[0] or 0) + before / max(sum(contexts for contexts, _ in parts), 1)


def _sample(cache: ActivationCache, seed: int) -> list[tuple[int, int]]:
    """Runs of contexts, each a block of the cache, in order."""
    blocks = cache.blocks()
    widest = max(sum(spec.context_bytes for spec in cache.stored(h)) for h in cache.hooks)
    block_bytes = widest * cache.manifest.block_contexts
    count = min(len(blocks), max(_FEWEST_BLOCKS, _SAMPLED_BYTES // block_bytes))
    chosen = np.random.default_rng(seed).choice(len(blocks), count, replace=False)
    sampled = [blocks[i] for i in sorted(chosen.tolist())]
    return [(block.first, block.first + block.contexts) for block in sampled]


def _norms(cache: ActivationCache, hook: str, start: int, stop: int) -> Tensor:
    return cache.activations(hook, start, stop).float().norm(dim=-1)


def _doubling(size: int) -> list[tuple[int, int]]:
    """Positions 0, 1, 2 to 3, 4 to 7 and so on: what is special is special early."""
    edges = [0, *(1 << i for i in range(size.bit_length()) if 1 << i < size), size]
    return [(a, b) for a, b in itertools.pairwise(edges) if a < b]


def _percentiles(norms: Tensor, positions: list[tuple[int, int]]) -> list[list[float]]:
    """norms: [contexts, context_size]. A row of percentiles for each range of positions."""
    values = norms.double().numpy()
    return [np.percentile(values[:, a:b], PERCENTILES).tolist() for a, b in positions]
