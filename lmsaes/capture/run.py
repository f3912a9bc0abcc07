"""Stage one: text × language model → activation cache.

arguments ─► what the cache is to be ─► what is there ─► filling.py, on one rank or several
"""

import hashlib
import importlib.metadata
import logging
import math
import platform
import shutil
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import torch

from lmsaes.cache import (
    LOCK,
    MANIFEST,
    ActivationCache,
    CacheWriter,
    Compression,
    HookRecord,
    Location,
    Lock,
    Manifest,
    StorageDtype,
    StorageFormat,
    array_specs,
    bytes_per_value,
    check_hook_name,
    extended_manifest,
    hook_specs,
    locate,
    lock_cache,
    only_zarr,
    read_manifest,
    remove_cache,
    write_manifest,
)
from lmsaes.capture.fill import add_hooks, fill
from lmsaes.errors import CacheError, ConfigError
from lmsaes.model import LanguageModel, Weights
from lmsaes.parallel import Ranks, join_ranks, own_device
from lmsaes.provenance import ComputeRecord, DatasetRecord, Packing, TextRecord
from lmsaes.text import ContextStream, TextSource, TokenizerFacts, load_mixture, tokenizer_facts
from lmsaes.units import format_bytes, format_count, parse_bytes, parse_count

_log = logging.getLogger("lmsaes")
_DISK_MARGIN = 64 << 20  # manifests, statistics and what else the file system wants
_CHOICES = {
    "dtype": ("float32", "float16", "bfloat16", "int8"),
    "format": ("safetensors", "zarr"),
    "compression": ("none", "zstd", "lz4", "blosc"),
    "packing": ("packed", "truncate", "split"),
}


def cache_activations(
    model: str,
    dataset: str | Sequence[str],
    hooks: Sequence[str],
    out: str | Path,
    tokens: int | str = "100M",
    context_size: int = 128,
    dtype: StorageDtype = "float16",
    format: StorageFormat = "safetensors",
    compression: Compression = "none",
    batch_size: int | None = None,
    device: str = "auto",
    split: str | Sequence[str] = "train",
    text_column: str | Sequence[str] = "text",
    mix: Sequence[float] | None = None,
    packing: Packing = "packed",
    bos: bool | None = None,
    seed: int = 0,
    overwrite: bool = False,
    shuffle: bool = False,
    model_dtype: str = "float32",
    compile: bool = False,
    weights: Weights = "raw",
    revision: str | None = None,
    dataset_config: str | Sequence[str | None] | None = None,
    dataset_revision: str | Sequence[str | None] | None = None,
    streaming: bool = False,
    shard_size: int | str = "512MiB",
    block_size: int | str = "4MiB",
    allow_nonfinite: bool = False,
    allow_compute_change: bool = False,
) -> ActivationCache:
    """Runs `model` over `dataset` once and stores what `hooks` saw in `out`: a folder, or the URL
    of a place in an object store.

    hooks: hook points or globs. tokens: token positions to store, rounded down to whole
    contexts. batch_size: contexts per forward pass. dtype, format, compression: how the
    activations are stored. shard_size, block_size: bytes of one hook per file and per read.

    model_dtype: what the model runs in. weights: `raw` as published, or `processed` as
    TransformerLens does by default. compile: compile the forward pass with torch.

    dataset: as `load_text` takes it; several make a mixture, of which `mix` gives the weights (the
    shares of all tokens; equal ones without it), and `split`, `text_column`, `dataset_config` and
    `dataset_revision` may then be lists, one entry for each. shuffle, seed: the order of documents.
    packing: `packed` lets documents follow each other; `truncate` gives each a context of its own
    and cuts it off there; `split` lets it go on in further ones. bos: start each context with the
    beginning-of-text token; None does so when the tokenizer has one.

    Going on with an unfinished cache takes the same arguments and ends in the same bytes; a
    finished one is returned as it is. More tokens, or hooks that it does not hold yet, are added
    to what is there. allow_compute_change: tokens may be added under another batch size, device,
    attention or compilation, which changes no more than rounding; each shard says what it was made
    with. Started by `torchrun`, all processes write one cache together.

    Raises ConfigError, ModelError, DataError, CacheError or RankError, each with one line that
    says what is wrong; what is committed is never touched by them.
    """
    _check_choices(dtype=dtype, format=format, compression=compression, packing=packing)
    if compression != "none" and format != "zarr":
        raise ConfigError(
            f"compression '{compression}' needs zarr", "add --format zarr or --compression none"
        )
    if dtype == "int8" and allow_nonfinite:
        raise ConfigError(
            "int8 can't hold NaN or infinite values", "leave out --allow-nonfinite or --dtype int8"
        )
    if not hooks:
        raise ConfigError("no hook was given", "add --hook blocks.8.hook_resid_pre, say")
    folder = locate(out if isinstance(out, Path) else str(out))
    if format == "safetensors" and not isinstance(folder, Path):
        raise only_zarr(folder)
    contexts = parse_count(tokens) // context_size
    if context_size < 2 or contexts < 1:
        raise ConfigError(
            f"{tokens} tokens do not fill one context of {context_size}",
            "ask for more --tokens or a smaller --context-size",
        )
    try:
        there = _holds_cache(folder)
    except OSError as error:
        raise CacheError(f"can't read {folder}: {error.strerror}") from None
    found = read_manifest(folder) if there and not overwrite else None
    lm = LanguageModel.load(model, own_device(device), model_dtype, revision, weights)
    if lm.max_context is not None and context_size > lm.max_context:
        raise ConfigError(
            f"a context of {context_size} tokens is longer than {model} takes ({lm.max_context})",
            f"use --context-size {lm.max_context} or less",
        )
    shapes = lm.find_hooks(hooks)
    for hook in shapes:
        check_hook_name(hook)
    sources = load_mixture(
        [dataset] if isinstance(dataset, str) else dataset,
        mix, split, text_column, dataset_config, dataset_revision, streaming, shuffle, seed,
    )  # fmt: skip
    # hooks that are there decide with the new ones which way the model runs
    all_hooks = list(dict.fromkeys([*(found.hooks if found else ()), *shapes]))
    facts = tokenizer_facts(lm.tokenizer)
    batch = batch_size or (16 if lm.device.type == "cpu" else 128)
    widths = {hook: shape.width for hook, shape in shapes.items()}
    block, shard = _sizes(widths, context_size, dtype, batch, contexts, shard_size, block_size)
    wanted = Manifest(
        format=format,
        compression=compression,
        model=lm.record,
        text=_text_record(sources, facts, context_size, packing, bos, shuffle, seed),
        compute=ComputeRecord(
            batch_size=batch,
            attention=lm.specialize(all_hooks, compile, (batch, context_size)),
            device=_device_kind(lm.device),
            compiled=compile,
        ),
        documents=True,
        hooks={
            hook: HookRecord(d_model=shape.width, heads=shape.heads, dtype=dtype)
            for hook, shape in shapes.items()
        },
        shard_size=parse_bytes(shard_size),
        block_size=parse_bytes(block_size),
        block_contexts=block,
        shard_contexts=shard,
        contexts_requested=contexts,
        versions=_versions(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    target = extended_manifest(folder, found, wanted, allow_compute_change) if found else wanted
    if found is not None and target is found:
        _say_finished(folder, found, wanted)
        return ActivationCache.open(folder)
    with join_ranks() as ranks:
        if ranks.rank == 0:
            _announce(folder, found, target, batch, lm, ranks)
        with _begin(folder, found, target, ranks) as lock:
            if target.adding:
                with CacheWriter(
                    folder, target, allow_nonfinite, ranks, lock, wanted.compute
                ) as writer:
                    add_hooks(writer, lm, ActivationCache.open(folder))
                    target = writer.manifest
            if not target.complete:
                with CacheWriter(
                    folder, target, allow_nonfinite, ranks, lock, wanted.compute
                ) as writer:
                    fill(
                        writer,
                        lm,
                        lambda start: ContextStream(
                            sources, lm.tokenizer, target.text, lm.vocabulary, start
                        ),
                    )
    return ActivationCache.open(folder)


@contextmanager
def _begin(
    folder: Location, found: Manifest | None, target: Manifest, ranks: Ranks
) -> Generator[Lock | None]:
    """Holds the cache's lock, with `target` written down, while all ranks work."""
    if ranks.rank > 0:
        ranks.wait()
        yield None
        return
    with lock_cache(folder) as lock:
        if found is not None and read_manifest(folder) != found:
            raise CacheError(f"another process has just changed {folder}", "run it again")
        if found is None:
            remove_cache(folder)  # with --overwrite there may be one
        write_manifest(folder, target)
        ranks.wait()
        yield lock


def _text_record(
    sources: Sequence[TextSource],
    facts: TokenizerFacts,
    context_size: int,
    packing: Packing,
    bos: bool | None,
    shuffle: bool,
    seed: int,
) -> TextRecord:
    """How these sources become contexts of this tokenizer's tokens."""
    if bos and facts.bos_id is None:
        raise ConfigError(
            "the model's tokenizer has no beginning-of-text token", "use --no-bos, or leave it out"
        )
    with_bos = facts.bos_id is not None if bos is None else bos
    padding_id = facts.eos_id if facts.eos_id is not None else facts.pad_id
    if packing != "packed" and padding_id is None:
        raise ConfigError(
            "the model's tokenizer has no token to fill short contexts with",
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
        context_size=context_size,
        bos=with_bos,
        bos_id=facts.bos_id if with_bos else None,
        separator_id=facts.eos_id,
        special_ids=facts.special_ids,
        shuffled=shuffle,
        seed=seed,
        packing=packing,
        padding_id=None if packing == "packed" else padding_id,
        mixture=tuple(records) if len(records) > 1 else (),
    )


def _sizes(
    widths: dict[str, int],
    context_size: int,
    dtype: StorageDtype,
    batch: int,
    contexts: int,
    shard_size: int | str,
    block_size: int | str,
) -> tuple[int, int]:
    """Contexts per block and per shard.

    A block is a power of two, measured at two bytes a value whatever the dtype, so that the
    loader's order does not depend on how a cache is stored. A shard is whole blocks and whole
    batches, and no more than a sixteenth of a small cache: an interruption costs little.
    """
    widest = max(widths.values()) * context_size
    block = 1 << max(0, int(math.log2(max(1, parse_bytes(block_size) / (2 * widest)))))
    block = min(block, 1 << (contexts - 1).bit_length())
    unit = math.lcm(block, batch)
    by_size = parse_bytes(shard_size) // (widest * bytes_per_value(dtype))
    shard = min(by_size, max(-(-contexts // 16), 1))
    return block, max(1, round(shard / unit)) * unit


def _holds_cache(folder: Location) -> bool:
    """Whether a cache is there. Raises CacheError when it is something else."""
    if (folder / MANIFEST).exists():
        return True
    if isinstance(folder, Path):
        if folder.exists() and not folder.is_dir():
            raise CacheError(f"'{folder}' is a file, not a folder", "choose another --out")
        foreign = folder.is_dir() and any(path.name != LOCK for path in folder.iterdir())
    else:
        foreign = any(path.name != LOCK for path in folder.rglob("*"))
    if foreign:
        raise CacheError(f"'{folder}' is not empty and holds no cache", "choose another --out")
    return False


def _say_finished(folder: Location, found: Manifest, wanted: Manifest) -> None:
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


def _announce(
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
    existing = folder
    while isinstance(existing, Path) and not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free if isinstance(existing, Path) else None
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
    if free is not None and left + _DISK_MARGIN > free:
        raise ConfigError(
            f"the cache needs {format_bytes(left)}, and the disk of {existing} has "
            f"{format_bytes(free)} left",
            "ask for fewer --tokens or hooks, or choose another disk",
        )


def _device_kind(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} {platform.machine()}"


def _versions() -> dict[str, str]:
    names = ("lmsaes", "torch", "transformers", "transformer_lens", "zarr", "safetensors")
    return {name: importlib.metadata.version(name) for name in names}


def _check_choices(**values: str) -> None:
    for name, value in values.items():
        if value not in _CHOICES[name]:
            raise ConfigError(f"{name} '{value}' is not one of {', '.join(_CHOICES[name])}")
