"""What a cache is to be: its manifest, the configuration kept beside it, and what is announced.

CaptureConfig, model, text ─► plan_cache ─► Manifest ─► announce (sizes, free disk) ─► run.py
"""

import hashlib
import importlib.metadata
import logging
import math
import platform
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from lmsaes.atomic import temporary_name
from lmsaes.cache import (
    LOCK,
    MANIFEST,
    HookRecord,
    Location,
    Manifest,
    array_specs,
    bytes_per_value,
    check_room,
    contexts_per_block,
    free_space,
    hook_specs,
)
from lmsaes.capture.config import CaptureConfig
from lmsaes.errors import CacheError, ConfigError
from lmsaes.model import HookShape, LanguageModel
from lmsaes.parallel import Ranks, is_first_rank
from lmsaes.provenance import ComputeRecord, DatasetRecord, TextRecord
from lmsaes.text import TextSource, TokenizerFacts, tokenizer_facts
from lmsaes.units import format_bytes, format_count

_log = logging.getLogger("lmsaes")


def plan_cache(
    config: CaptureConfig,
    found: Manifest | None,
    lm: LanguageModel,
    shapes: Mapping[str, HookShape],
    sources: Sequence[TextSource],
) -> Manifest:
    """The manifest of the cache that `config` asks for, with nothing in it yet.

    found: the cache that is there, whose hooks decide with the new ones which way the model runs.
    """
    hooks = list(dict.fromkeys([*(found.hooks if found else ()), *shapes]))
    batch = config.batch_size or (16 if lm.device.type == "cpu" else 128)
    block, shard = _sizes(config, [shape.width for shape in shapes.values()], batch)
    return Manifest(
        format=config.format,
        compression=config.compression,
        model=lm.record,
        text=_text_record(config, sources, tokenizer_facts(lm.tokenizer), lm.vocabulary),
        compute=ComputeRecord(
            batch_size=batch,
            attention=lm.specialize(hooks, config.compile, (batch, config.context_size)),
            device=_device_kind(lm.device),
            compiled=config.compile,
        ),
        documents=True,
        hooks={
            hook: HookRecord(d_model=shape.width, heads=shape.heads, dtype=config.dtype)
            for hook, shape in shapes.items()
        },
        shard_size=config.shard_size,
        block_size=config.block_size,
        block_contexts=block,
        shard_contexts=shard,
        contexts_requested=config.contexts,
        versions=_versions(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def config_of(config: CaptureConfig, target: Manifest, batch_size: int) -> CaptureConfig:
    """The configuration that makes the whole of `target` in one run, elsewhere or after more was
    added to it: with globs and what the machine and the tokenizer decide written out, and paths
    that mean the same from any folder."""
    return config.model_copy(
        update={
            **what_was_decided(target),
            "hooks": tuple(target.hooks | target.adding),
            "tokens": target.contexts_requested * target.text.context_size,
            "batch_size": batch_size,
        }
    )


def what_was_decided(manifest: Manifest) -> dict[str, Any]:
    """Settings of model and text as a manifest has them."""
    datasets = manifest.text.mixture or (manifest.text,)
    return {
        "model": manifest.model.name,
        "dataset": tuple(record.dataset for record in datasets),
        "batch_size": manifest.compute.batch_size,
        "bos": manifest.text.bos,
    }


def holds_cache(folder: Location) -> bool:
    """Whether a cache is there. Raises CacheError when it is something else."""
    if (folder / MANIFEST).exists():
        return True
    if isinstance(folder, Path):
        if folder.exists() and not folder.is_dir():
            raise CacheError(f"'{folder}' is a file, not a folder", "choose another --out")
        # a process that was killed while it began leaves these
        ours = {LOCK, temporary_name(MANIFEST)}
        foreign = folder.is_dir() and any(path.name not in ours for path in folder.iterdir())
    else:
        foreign = any(path.name != LOCK for path in folder.rglob("*"))
    if foreign:
        raise CacheError(f"'{folder}' is not empty and holds no cache", "choose another --out")
    return False


def say_finished(folder: Location, found: Manifest, wanted: Manifest) -> None:
    size = found.text.context_size
    more = [hook for hook in found.hooks if hook not in wanted.hooks]
    if found.contexts > wanted.contexts_requested:
        more.insert(0, f"{format_count(found.contexts * size)} tokens")
    if found.contexts < wanted.contexts_requested:
        _log.warning(
            "cache: the text of '%s' has no more than the %s tokens that are there",
            found.text.dataset,
            format_count(found.contexts * size),
        )
    _log.info(
        "cache: %s is finished: nothing to do%s",
        folder,
        f" (it holds more than was asked for: {', '.join(more)})" if more else "",
    )


def announce(
    folder: Location,
    found: Manifest | None,
    target: Manifest,
    batch: int,
    lm: LanguageModel,
    ranks: Ranks,
) -> None:
    """Says what is about to happen and refuses when the disk is too small."""
    size = target.text.context_size
    hooks = target.hooks | target.adding
    both = target.model_copy(update={"hooks": hooks})
    context_bytes = sum(spec.context_bytes for spec in array_specs(both).values())
    left = (target.contexts_requested - target.contexts) * context_bytes
    for hook, record in target.adding.items():
        width = sum(spec.context_bytes for spec in hook_specs(target, hook, record))
        left += target.contexts * width
    _log.info(
        "cache: %s × %d hooks in %s, %s%s → %s",
        format_count(target.contexts_requested * size) + " tokens",
        len(hooks),
        target.format,
        ", ".join(dict.fromkeys(record.dtype for record in hooks.values())),
        "" if target.compression == "none" else f", {target.compression}",
        folder,
    )
    for hook, record in hooks.items():
        added = ", added" if found is not None and hook in target.adding else ""
        _log.info("       %s, d_model %d%s", hook, record.d_model, added)
    if found is not None and found.contexts:
        _log.info("       %s tokens are there already", format_count(found.contexts * size))
    free = free_space(folder)
    _log.info(
        "       %s %s (%s bytes a token)%s; batches of %d × %d tokens on %s%s",
        format_bytes(left),
        "to store" if free is None else "on disk",
        context_bytes // size,
        "" if free is None else f", {format_bytes(free)} free",
        batch,
        size,
        lm.device,
        "" if ranks.size == 1 else f" and {ranks.size - 1} other ranks",
    )
    check_room(folder, left, "the cache", "ask for fewer --tokens or hooks, or choose another disk")


def _text_record(
    config: CaptureConfig, sources: Sequence[TextSource], facts: TokenizerFacts, vocabulary: int
) -> TextRecord:
    """How these sources become contexts of this tokenizer's tokens."""
    bos, packing = config.bos, config.packing
    bos_id = None if bos is False else _known(facts.bos_id, "beginning-of-text", vocabulary)
    if bos and bos_id is None:
        raise ConfigError(
            "the model's tokenizer has no beginning-of-text token that the model knows",
            "use --no-bos, or leave it out",
        )
    separator_id = _known(facts.eos_id, "end-of-text", vocabulary)
    padding_id = None
    if packing != "packed":
        padding_id = separator_id
        if padding_id is None:
            padding_id = _known(facts.pad_id, "padding", vocabulary)
        if padding_id is None:
            raise ConfigError(
                "the model's tokenizer has no token that short contexts could be filled with",
                "use --packing packed",
            )
    records = [source.record for source in sources]
    if len(records) == 1:
        whole = records[0]
    else:
        fingerprints = "\n".join(f"{r.fingerprint} {r.share!r}" for r in records)
        whole = DatasetRecord(
            dataset=" + ".join(r.dataset for r in records),
            split=" + ".join(r.split for r in records),
            text_column=" + ".join(r.text_column for r in records),
            fingerprint=hashlib.sha256(fingerprints.encode()).hexdigest()[:16],
        )
    return TextRecord(
        **whole.model_dump(exclude={"share"}),
        tokenizer_hash=facts.hash,
        context_size=config.context_size,
        bos=bos_id is not None,
        bos_id=bos_id,
        separator_id=separator_id,
        special_ids=facts.special_ids,
        shuffled=config.shuffle,
        seed=config.seed,
        packing=packing,
        padding_id=padding_id,
        special_tokens=config.special_tokens,
        mixture=tuple(records) if len(records) > 1 else (),
    )


def _known(token_id: int | None, what: str, vocabulary: int) -> int | None:
    """A special token's id, or None, said in one line, where the model has no such token."""
    if token_id is None or token_id < vocabulary:
        return token_id
    if is_first_rank():
        _log.warning(
            "cache: the tokenizer's %s token has id %d, and the model knows %d tokens: it is left "
            "out", what, token_id, vocabulary,
        )  # fmt: skip
    return None


def _sizes(config: CaptureConfig, widths: Iterable[int], batch: int) -> tuple[int, int]:
    """Contexts per block and per shard.

    A shard is whole blocks and whole batches, and no more than a sixteenth of a small cache: an
    interruption costs little.
    """
    widest = max(widths) * config.context_size
    block = contexts_per_block(config.block_size, widest)
    block = min(block, 1 << (config.contexts - 1).bit_length())
    unit = math.lcm(block, batch)
    by_size = config.shard_size // (widest * bytes_per_value(config.dtype))
    shard = min(by_size, max(-(-config.contexts // 16), 1))
    return block, max(1, round(shard / unit)) * unit


def _device_kind(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} {platform.machine()}"


def _versions() -> dict[str, str]:
    names = ("lmsaes", "torch", "transformers", "transformer_lens", "zarr", "safetensors")
    return {name: importlib.metadata.version(name) for name in names}
