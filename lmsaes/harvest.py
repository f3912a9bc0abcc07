"""Stage one: text × language model → activation cache.

text ─► contexts (a thread ahead) ─► forward to the last hook ─► CacheWriter (threads behind)
"""

import hashlib
import importlib.metadata
import logging
import math
import platform
import shutil
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from queue import Queue

import torch

from lmsaes.cache.manifest import (
    MANIFEST,
    Compression,
    ComputeRecord,
    DatasetRecord,
    HookRecord,
    Manifest,
    Packing,
    StorageDtype,
    StorageFormat,
    TextPosition,
    TextRecord,
    check_hook_name,
    read_manifest,
)
from lmsaes.cache.reader import ActivationCache, ordinary_positions
from lmsaes.cache.storage import array_specs, bytes_per_value
from lmsaes.cache.writer import CacheWriter, lock_cache, remove_cache
from lmsaes.errors import CacheError, ConfigError
from lmsaes.lm import LanguageModel, TokenizerFacts, Weights, tokenizer_facts
from lmsaes.progress import progress
from lmsaes.quantities import format_bytes, format_count, parse_bytes, parse_count
from lmsaes.sources import TextSource, load_mixture
from lmsaes.text import Contexts, ContextStream

_log = logging.getLogger("lmsaes")
_DISK_MARGIN = 64 << 20  # manifests, statistics and what else the file system wants
_CHOICES = {
    "dtype": ("float32", "float16", "bfloat16", "int8"),
    "format": ("safetensors", "zarr"),
    "compression": ("none", "zstd", "lz4", "blosc"),
    "packing": ("packed", "truncate", "split"),
}


def generate(
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
    weights: Weights = "raw",
    revision: str | None = None,
    dataset_config: str | Sequence[str | None] | None = None,
    dataset_revision: str | Sequence[str | None] | None = None,
    streaming: bool = False,
    shard_size: int | str = "512MiB",
    block_size: int | str = "4MiB",
    allow_nonfinite: bool = False,
) -> ActivationCache:
    """Runs `model` over `dataset` once and stores what `hooks` saw in the folder `out`.

    hooks: hook points or globs. tokens: token positions to store, rounded down to whole
    contexts. batch_size: contexts per forward pass. dtype, format, compression: how the
    activations are stored. shard_size, block_size: bytes of one hook per file and per read.

    dataset: as `load_text` takes it; several make a mixture, of which `mix` gives the weights (the
    shares of all tokens; equal ones without it), and `split`, `text_column`, `dataset_config` and
    `dataset_revision` may then be lists, one entry for each. shuffle, seed: the order of documents.
    packing: `packed` lets documents follow each other; `truncate` gives each a context of its own
    and cuts it off there; `split` lets it go on in further ones. bos: start each context with the
    beginning-of-text token; None does so when the tokenizer has one.

    Going on with an unfinished cache takes the same arguments and ends in the same bytes; a
    finished one is returned as it is. Raises ConfigError, ModelError, DataError or CacheError,
    each with one line that says what is wrong; what is committed is never touched by them.
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
    folder = Path(out)
    contexts = parse_count(tokens) // context_size
    if context_size < 2 or contexts < 1:
        raise ConfigError(
            f"{tokens} tokens do not fill one context of {context_size}",
            "ask for more --tokens or a smaller --context-size",
        )
    _check_folder(folder)
    lm = LanguageModel.load(model, device, model_dtype, revision, weights)
    if lm.max_context is not None and context_size > lm.max_context:
        raise ConfigError(
            f"a context of {context_size} tokens is longer than {model} takes ({lm.max_context})",
            f"use --context-size {lm.max_context} or less",
        )
    widths = lm.hook_widths(hooks)
    for hook in widths:
        check_hook_name(hook)
    sources = load_mixture(
        [dataset] if isinstance(dataset, str) else dataset,
        mix, split, text_column, dataset_config, dataset_revision, streaming, shuffle, seed,
    )  # fmt: skip
    facts = tokenizer_facts(lm.tokenizer)
    batch = batch_size or (16 if lm.device.type == "cpu" else 128)
    block, shard = _sizes(widths, context_size, dtype, batch, contexts, shard_size, block_size)
    wanted = Manifest(
        format=format,
        compression=compression,
        model=lm.record,
        text=_text_record(sources, facts, context_size, packing, bos, shuffle, seed),
        compute=ComputeRecord(
            batch_size=batch,
            attention=lm.specialise(list(widths)),
            device=_device_kind(lm.device),
        ),
        documents=True,
        hooks={hook: HookRecord(d_model=width, dtype=dtype) for hook, width in widths.items()},
        block_contexts=block,
        shard_contexts=shard,
        contexts_requested=contexts,
        versions=_versions(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    if overwrite and (folder / MANIFEST).exists():
        with lock_cache(folder):
            remove_cache(folder)
    manifest = _continue_or_start(folder, wanted)
    if manifest.complete:
        _log.info("cache: %s is finished: nothing to do", folder)
        return ActivationCache.open(folder)
    _announce(folder, manifest, lm)
    with CacheWriter(folder, manifest, allow_nonfinite) as writer:
        fill(
            writer,
            lm,
            ContextStream(
                sources,
                lm.tokenizer,
                manifest.text,
                lm.vocabulary,
                manifest.shards[-1].text_end if manifest.shards else None,
            ),
        )
    return ActivationCache.open(folder)


def fill(writer: CacheWriter, lm: LanguageModel, text: ContextStream) -> None:
    """Writes everything the manifest asks for and the text holds."""
    manifest = writer.manifest
    hooks = list(manifest.hooks)
    size = manifest.text.context_size
    asked = manifest.contexts_requested
    done = manifest.contexts
    batches = _ahead(_batches(text, manifest))
    position = text.position
    with progress("caching", asked * size, "tokens", done * size) as bar:
        for batch, position in batches:
            tokens = torch.from_numpy(batch.tokens)
            writer.write(
                tokens,
                lm.activations(tokens.long(), hooks),
                ordinary_positions(tokens, manifest.text.special_ids),
                position,
                torch.from_numpy(batch.documents) if manifest.documents else None,
            )
            done += len(batch)
            bar.advance(batch.tokens.size)
        exhausted = done < asked
        writer.finish(position, exhausted)
    if exhausted:
        if manifest.contexts == 0:
            raise ConfigError(
                f"the text of '{manifest.text.dataset}' does not fill one context of {size} tokens",
                "use more text or a smaller --context-size",
            )
        _log.warning(
            "cache: the text%s ended after %s of %s tokens; the cache holds what there was",
            f" of '{text.ended_by}'" if manifest.text.mixture else "",
            format_count(manifest.contexts * size),
            format_count(asked * size),
        )


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


def _batches(text: ContextStream, manifest: Manifest) -> Iterator[tuple[Contexts, TextPosition]]:
    """Batches of contexts, cut so that none straddles a shard; the last may be shorter."""
    done = manifest.contexts
    while done < manifest.contexts_requested:
        first, contexts = manifest.shard_span(done // manifest.shard_contexts)
        batch = text.take(min(manifest.compute.batch_size, first + contexts - done))
        if len(batch) == 0:
            return
        done += len(batch)
        yield batch, text.position


def _ahead(
    items: Iterator[tuple[Contexts, TextPosition]],
) -> Iterator[tuple[Contexts, TextPosition]]:
    """The same items, made by a thread that runs a few items ahead."""
    queue: Queue[tuple[Contexts, TextPosition] | BaseException | None] = Queue(8)
    closed = threading.Event()

    def work() -> None:
        try:
            for item in items:
                if closed.is_set():
                    return
                queue.put(item)
            queue.put(None)
        except BaseException as error:
            queue.put(error)

    thread = threading.Thread(target=work, name="text", daemon=True)
    thread.start()
    try:
        while (item := queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        closed.set()
        while not queue.empty():
            queue.get_nowait()


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


def _continue_or_start(folder: Path, wanted: Manifest) -> Manifest:
    """The manifest to go on with: the folder's, when it is of the same cache."""
    if not (folder / MANIFEST).exists():
        return wanted
    found = read_manifest(folder)
    if found.sources:
        raise CacheError(
            f"{folder} was copied from another cache by lmsaes tools",
            "lmsaes cache goes on only with what it began: choose another --out, or --overwrite",
        )
    differences = [
        *_differences("model", found.model, wanted.model),
        *_differences("text", found.text, wanted.text),
        *_differences("compute", found.compute, wanted.compute),
        *(
            f"{name} {getattr(found, name)}, not {getattr(wanted, name)}"
            for name in ("format", "compression", "block_contexts", "shard_contexts")
            if getattr(found, name) != getattr(wanted, name)
        ),
    ]
    if _hook_shapes(found) != _hook_shapes(wanted):
        differences.append(f"hooks {_hook_shapes(found)}, not {_hook_shapes(wanted)}")
    size = found.text.context_size
    if found.contexts_requested != wanted.contexts_requested and not found.text_exhausted:
        differences.append(
            f"tokens {found.contexts_requested * size}, not {wanted.contexts_requested * size}"
        )
    if differences:
        raise CacheError(
            f"{folder} is a cache made with " + "; ".join(differences),
            "give the same arguments to continue it, another --out, or --overwrite",
        )
    return found


def _differences(what: str, found: object, wanted: object) -> Iterator[str]:
    for name, value in vars(found).items():
        other = getattr(wanted, name)
        if value != other:
            yield f"{what}'s {name} {value}, not {other}"


def _hook_shapes(manifest: Manifest) -> str:
    return ", ".join(f"{h} ({r.d_model}, {r.dtype})" for h, r in manifest.hooks.items())


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise CacheError(f"'{folder}' is a file, not a folder", "choose another --out")
    foreign = folder.is_dir() and not (folder / MANIFEST).exists()
    if foreign and any(path.name != ".lock" for path in folder.iterdir()):
        raise CacheError(f"'{folder}' is not empty and holds no cache", "choose another --out")


def _announce(folder: Path, manifest: Manifest, lm: LanguageModel) -> None:
    """Says what is about to happen and refuses when the disk is too small."""
    context_bytes = sum(spec.context_bytes for spec in array_specs(manifest).values())
    left = (manifest.contexts_requested - manifest.contexts) * context_bytes
    existing = folder
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    size = manifest.text.context_size
    _log.info(
        "cache: %s × %d hooks in %s, %s%s → %s",
        format_count(manifest.contexts_requested * size) + " tokens",
        len(manifest.hooks),
        manifest.format,
        next(iter(manifest.hooks.values())).dtype,
        "" if manifest.compression == "none" else f", {manifest.compression}",
        folder,
    )
    for hook, record in manifest.hooks.items():
        _log.info("       %s, d_model %d", hook, record.d_model)
    if manifest.contexts:
        _log.info("       %s tokens are there already", format_count(manifest.contexts * size))
    _log.info(
        "       %s on disk (%s bytes a token), %s free; batches of %d × %d tokens on %s",
        format_bytes(left),
        context_bytes // size,
        format_bytes(free),
        manifest.compute.batch_size,
        size,
        lm.device,
    )
    if left + _DISK_MARGIN > free:
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
