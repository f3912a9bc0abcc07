"""What a cache is: sizes, and each hook's statistics."""

from typing import Any

from lmsaes.cache.ledger import moments_file
from lmsaes.cache.location import Location
from lmsaes.cache.reader import ActivationCache
from lmsaes.cache.statistics import HookMoments


def describe(cache: ActivationCache) -> dict[str, Any]:
    """Everything worth knowing of a cache, as one JSON-like object."""
    manifest = cache.manifest
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
        "hooks": {hook: _hook(cache, hook) for hook in cache.hooks},
        "versions": manifest.versions,
        "created": manifest.created,
    }


def _hook(cache: ActivationCache, hook: str) -> dict[str, Any]:
    record = cache.hooks[hook]
    norms = position_norms(cache.path, cache, hook)
    described: dict[str, Any] = {
        "d_model": record.d_model,
        "dtype": record.dtype,
        "storage_error": record.storage_error,
        "mean_norm_by_position": norms,
    }
    for group in ("statistics", "ordinary"):
        statistics = getattr(record, group)
        if statistics is not None:
            described[group] = statistics.model_dump(exclude={"mean", "variance"})
    return described


def position_norms(folder: Location, cache: ActivationCache, hook: str) -> list[float]:
    """Mean norm at each position of a context: the first is often hundreds of times the others."""
    total = HookMoments.zero(cache.context_size, cache.hooks[hook].d_model)
    for shard in cache.manifest.shards:
        total = total + HookMoments.load(folder / moments_file(hook, shard.index))
    return (total.position_norms / cache.contexts).tolist()
