"""Caches of given rows, written by the real writer."""

from pathlib import Path
from typing import Any

from torch import Tensor

from lmsaes import ActivationCache
from lmsaes.cache import CacheWriter, HookRecord, Manifest, valid_positions
from lmsaes.provenance import TextPosition


def write_like(
    folder: Path, like: Manifest, tokens: Tensor, hooks: dict[str, Tensor], **changes: Any
) -> ActivationCache:
    """A cache of `tokens` [contexts, context_size] and activations by hook.

    like: a manifest whose fields it takes. changes: other values for some; `dtype` is the hooks'.
    """
    dtype = changes.pop("dtype")
    manifest = like.model_copy(
        update={
            "hooks": {
                hook: HookRecord(d_model=rows.shape[-1], dtype=dtype)
                for hook, rows in hooks.items()
            },
            "contexts_requested": len(tokens),
            "complete": False,
            "shards": [],
            "shards_sha256": None,
            "documents": False,
            **changes,
        }
    )
    valid = valid_positions(tokens, manifest.text.special_ids)
    with CacheWriter(folder, manifest) as writer:
        done = 0
        while done < len(tokens):
            part = slice(done, done + min(manifest.compute.batch_size, writer.shard_room))
            rows = {hook: all_rows[part] for hook, all_rows in hooks.items()}
            writer.write(tokens[part], rows, valid[part], TextPosition())
            done = min(part.stop, len(tokens))
        writer.finish()
    return ActivationCache.open(folder)


def bytes_per_row(cache: ActivationCache, hook: str) -> float:
    """All files of a hook's arrays, over all rows."""
    folders = tuple(spec.path + "/" for spec in cache.stored(hook))
    shards = cache.manifest.shards
    size = sum(f.bytes for s in shards for name, f in s.files.items() if name.startswith(folders))
    return size / cache.rows
