"""Small caches with known contents for the tests, written by the real writer."""

from pathlib import Path

import torch

from lmsaes.cache.location import Location
from lmsaes.cache.manifest import Compression, HookRecord, Manifest, StorageDtype, StorageFormat
from lmsaes.cache.reader import ActivationCache, valid_positions
from lmsaes.cache.writer import CacheWriter
from lmsaes.parallel.ranks import Ranks
from lmsaes.provenance import ComputeRecord, ModelRecord, TextPosition, TextRecord


def made_up_manifest(
    contexts: int,
    context_size: int = 4,
    hooks: dict[str, int] | None = None,
    dtype: StorageDtype = "float32",
    format: StorageFormat = "safetensors",
    compression: Compression = "none",
    block_contexts: int = 2,
    shard_contexts: int = 4,
    batch_size: int = 2,
    documents: bool = False,
) -> Manifest:
    return Manifest(
        format=format,
        compression=compression,
        model=ModelRecord(name="made-up", config_hash="0", weights_hash="0"),
        text=TextRecord(
            dataset="made-up",
            fingerprint="0",
            tokenizer_hash="0",
            context_size=context_size,
            bos=True,
            bos_id=0,
            separator_id=0,
            special_ids=(0,),
        ),
        compute=ComputeRecord(batch_size=batch_size, attention="eager", device="cpu"),
        hooks={h: HookRecord(d_model=d, dtype=dtype) for h, d in (hooks or {"hook": 3}).items()},
        documents=documents,
        block_contexts=block_contexts,
        shard_contexts=shard_contexts,
        contexts_requested=contexts,
        created="2026-01-01T00:00:00+00:00",
    )


def made_up_tokens(contexts: int, context_size: int) -> torch.Tensor:
    """Token ids 1 to 49, a beginning-of-text token (0) first, and another one here and there."""
    tokens = torch.arange(contexts * context_size).reshape(contexts, context_size) % 49 + 1
    tokens[:, 0] = 0
    tokens[::3, context_size // 2] = 0
    return tokens


def made_up_documents(contexts: int, context_size: int) -> torch.Tensor:
    """Documents of six tokens each; every third context ends in padding."""
    documents = torch.arange(contexts * context_size).reshape(contexts, context_size) // 6
    documents[::3, -1] = -1
    return documents


def made_up_rows(first: int, contexts: int, context_size: int, d_model: int) -> torch.Tensor:
    """Activations that tell their row: channel 0 is the row's number, the rest noise."""
    rows = torch.arange(first * context_size, (first + contexts) * context_size)
    noise = torch.sin(rows[:, None] * 12.9898 + torch.arange(d_model) * 78.233)
    noise[:, 0] = rows
    return noise.reshape(contexts, context_size, d_model)


def write_made_up_cache(
    folder: Location,
    manifest: Manifest,
    stop_after: int | None = None,
    ranks: Ranks | None = None,
) -> None:
    """Writes what is missing, or this rank's share of it; closed unfinished after a batch that
    reaches context `stop_after`."""
    size = manifest.text.context_size
    with CacheWriter(folder, manifest, ranks=ranks) as writer:
        manifest = writer.manifest
        tokens = made_up_tokens(manifest.contexts_requested, size)
        documents = made_up_documents(manifest.contexts_requested, size)
        if writer.lacks_channels and writer.ranks.size > 1:
            count = min(manifest.compute.batch_size, writer.span(0)[1])
            if writer.ranks.rank == 0:
                writer.fix_channels(_activations(manifest, 0, count), _valid(tokens[:count]))
            writer.meet()
        for first, contexts in map(writer.span, writer.shards):
            done = first
            while done < first + contexts:
                count = min(manifest.compute.batch_size, writer.shard_room)
                batch = tokens[done : done + count]
                activations = _activations(manifest, done, count)
                end = TextPosition(document=done + count)
                writer.write(
                    batch,
                    activations,
                    _valid(batch),
                    end,
                    documents[done : done + count] if manifest.documents else None,
                )
                done += count
                if stop_after is not None and done >= stop_after:
                    return
        writer.finish()


def _activations(manifest: Manifest, first: int, contexts: int) -> dict[str, torch.Tensor]:
    return {
        hook: made_up_rows(first, contexts, manifest.text.context_size, record.d_model)
        for hook, record in manifest.hooks_to_write.items()
    }


def _valid(tokens: torch.Tensor) -> torch.Tensor:
    return valid_positions(tokens, (0,))


def made_up_cache(folder: Path, contexts: int, **settings: object) -> ActivationCache:
    write_made_up_cache(folder, made_up_manifest(contexts, **settings))  # type: ignore[arg-type]
    return ActivationCache.open(folder)
