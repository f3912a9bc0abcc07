"""A fully shuffled copy of a cache's rows, as plain safetensors files for any trainer.

    blocks in order ─► each row draws a key ─► buckets by key, on disk ─► sorted, into shards

The order is that of the keys alone: it follows from the seed, not from the memory that is used or
from how the cache is stored. No more than one bucket or one read is in memory at a time.
"""

import logging
import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save as save_bytes
from torch import Tensor

from lmsaes.atomic import replace_file
from lmsaes.cache import ActivationCache, check_room
from lmsaes.errors import CacheError, ConfigError
from lmsaes.progress import progress
from lmsaes.units import format_bytes, format_count, parse_bytes

from .selection import select_hooks
from .shuffled import BUCKETS, ROWS, describe, is_finished, write_readme, write_record
from .target import check_apart, check_folder

_log = logging.getLogger("lmsaes")


@dataclass(frozen=True)
class _Array:
    """Something that every row has, and how to read it of some contexts, [rows, *shape]."""

    path: str
    shape: tuple[int, ...]  # of one row
    dtype: torch.dtype
    read: Callable[[int, int], Tensor]

    @property
    def row_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def tensor_name(self) -> str:
        return self.path.split("/")[0]


def shuffle(
    cache: ActivationCache,
    out: Path,
    hooks: Sequence[str] = (),
    seed: int = 0,
    memory: int | str = "4GiB",
    dtype: str | None = None,
    keep_special: bool = False,
    shard_size: int | str = "512MiB",
) -> dict[str, Any]:
    """Writes the rows of `hooks` (names or globs; all by default) to `out` in random order.

    All hooks get the same order, and `rows` says which row of the cache each is. Special tokens
    and first positions are left out, as training does, unless `keep_special`. dtype: float32,
    float16 or bfloat16; by default as stored, int8 as float16. memory: bound of what is held at a
    time. Returns what `shuffled.json` holds. The next call begins an interrupted one again.

    Raises ConfigError for arguments that can't work, CacheError when `out` holds something else,
    a value doesn't fit, or the cache is damaged.
    """
    arrays = _arrays(cache, select_hooks(cache, hooks), dtype)
    kept = _kept(cache, keep_special)
    rows = int(kept.sum())
    if rows == 0:
        raise ConfigError(f"all rows of {cache.path} are special", "add --keep-special")
    limit, widest = parse_bytes(memory), max(array.row_bytes for array in arrays)
    _check_memory(cache, limit)
    shard_rows = max(1, min(parse_bytes(shard_size), limit // 4) // widest)
    dtypes = {array.path: str(array.dtype).removeprefix("torch.") for array in arrays[1:]}
    record = describe(cache, dtypes, rows, shard_rows, seed, keep_special)
    check_apart(out, cache.path)
    check_folder(out)
    if is_finished(out, record):
        return record | {"complete": True}
    # the largest array is on disk twice for a while
    size = rows * (sum(array.row_bytes for array in arrays) + widest + _KEY_BYTES)
    _log.info(
        "shuffle: %s rows × %d hooks → %s: %s while it runs, in %s of memory",
        format_count(rows),
        len(arrays) - 1,
        out,
        format_bytes(size),
        format_bytes(limit),
    )
    check_room(out, size, "the copy", "make room, or choose another disk")
    try:
        _write(cache, arrays, kept, seed, limit, shard_rows, out, record)
    except OSError as error:
        raise CacheError(
            f"can't write to {out}: {error.strerror}",
            "make room, or choose another --out; the same command begins again",
        ) from None
    return record | {"complete": True}


def _write(
    cache: ActivationCache,
    arrays: Sequence[_Array],
    kept: np.ndarray,
    seed: int,
    limit: int,
    shard_rows: int,
    out: Path,
    record: dict[str, Any],
) -> None:
    """Writes the copy, at the end with the record that says it is complete."""
    rows = int(kept.sum())
    out.mkdir(parents=True, exist_ok=True)
    write_record(out, record)
    # every row passes twice, with each hook and with its number
    with progress("shuffling", 2 * rows * len(arrays), "rows") as bar:
        for array in arrays:
            # a shard, its bytes as they are written, and a bucket are in memory together
            room = max(limit - 2 * shard_rows * array.row_bytes, limit // 2)
            buckets = 1 + rows * (array.row_bytes + 2 * _KEY_BYTES) // int(room * _FULL)
            _spread(cache, array, kept, seed, buckets, limit // 4, out / BUCKETS, bar.advance)
            _collect(array, rows, buckets, shard_rows, out, bar.advance)
            shutil.rmtree(out / BUCKETS)
    write_readme(out, record | {"complete": True})
    write_record(out, record | {"complete": True})


_KEY_BYTES = 8
_FULL = 0.8  # of a bucket's room is used on average: buckets come out a little unequal


def _spread(
    cache: ActivationCache,
    array: _Array,
    kept: np.ndarray,
    seed: int,
    buckets: int,
    memory: int,
    folder: Path,
    advance: Callable[[int], None],
) -> None:
    """First pass: appends each kept row, and its key, to the bucket that the key falls into."""
    folder.mkdir()
    generator = np.random.default_rng(seed)
    for start, stop, rows in _read_in_order(cache, array, memory):
        keys = generator.integers(0, 1 << 64, (stop - start) * cache.context_size, np.uint64)
        mask = kept[start * cache.context_size : stop * cache.context_size]
        keys = keys[mask]
        bucket = (keys >> np.uint64(32)) * np.uint64(buckets) >> np.uint64(32)
        order = np.argsort(bucket, kind="stable")
        edges = np.searchsorted(bucket[order], np.arange(buckets + 1, dtype=np.uint64))
        chosen = rows[torch.from_numpy(np.flatnonzero(mask)[order])]
        for number in range(buckets):
            part = slice(edges[number], edges[number + 1])
            if part.start < part.stop:
                with (folder / f"{number}.keys").open("ab") as file:
                    keys[order[part]].tofile(file)
                with (folder / f"{number}.data").open("ab") as file:
                    _bytes_of(chosen[part]).tofile(file)
        advance(len(keys))


def _collect(
    array: _Array,
    rows: int,
    buckets: int,
    shard_rows: int,
    out: Path,
    advance: Callable[[int], None],
) -> None:
    """Second pass: sorts bucket after bucket by key, and cuts the sequence into shards."""
    (out / array.path).mkdir(parents=True, exist_ok=True)
    shard, filled, number = _empty(min(shard_rows, rows), array), 0, 0
    left = rows
    for bucket in range(buckets):
        path = out / BUCKETS / f"{bucket}.keys"
        if not path.exists():
            continue
        order = torch.from_numpy(np.argsort(np.fromfile(path, np.uint64), kind="stable"))
        path.unlink()
        path = path.with_suffix(".data")
        content = torch.from_numpy(np.fromfile(path, np.uint8)).view(array.dtype)
        path.unlink()
        content = content.reshape(-1, *array.shape)
        at = 0
        while at < len(order):
            taken = min(len(order) - at, len(shard) - filled)
            target = shard[filled : filled + taken]
            torch.index_select(content, 0, order[at : at + taken], out=target)
            at, filled, left = at + taken, filled + taken, left - taken
            if filled == len(shard):
                name = f"{array.path}/shard-{number:05d}.safetensors"
                replace_file(out / name, save_bytes({array.tensor_name: shard}))
                shard, filled, number = _empty(min(shard_rows, left), array), 0, number + 1
        advance(len(order))


def _read_in_order(
    cache: ActivationCache, array: _Array, memory: int
) -> Iterator[tuple[int, int, Tensor]]:
    """(start, stop, rows) of runs of contexts; a run takes about `memory` bytes."""
    step = cache.manifest.block_contexts
    at_once = max(1, memory // (step * cache.context_size * array.row_bytes)) * step
    with ThreadPoolExecutor(_READING_THREADS, "read cache") as threads:
        for start in range(0, cache.contexts, at_once):
            stop = min(start + at_once, cache.contexts)
            rows = _empty((stop - start) * cache.context_size, array)

            def read(first: int, start: int = start, stop: int = stop, rows: Tensor = rows) -> None:
                part = array.read(first, min(first + step, stop))
                at = (first - start) * cache.context_size
                rows[at : at + len(part)] = part

            list(threads.map(read, range(start, stop, step)))
            yield start, stop, rows


_READING_THREADS = 4


def _arrays(cache: ActivationCache, hooks: Sequence[str], dtype: str | None) -> list[_Array]:
    """The rows' numbers, and the activations of each hook."""
    size = cache.context_size

    def numbers(start: int, stop: int) -> Tensor:
        return torch.arange(start * size, stop * size)

    arrays = [_Array(ROWS, (), torch.int64, numbers)]
    for hook in hooks:
        stored = cache.hooks[hook].dtype
        into: torch.dtype = getattr(torch, dtype or ("float16" if stored == "int8" else stored))

        def activations(
            start: int, stop: int, hook: str = hook, into: torch.dtype = into
        ) -> Tensor:
            rows = cache.activations(hook, start, stop).flatten(0, 1)
            cast = rows.to(into)
            if (too_large := rows.isfinite() & ~cast.isfinite()).any():
                raise CacheError(
                    f"the value {rows[too_large][0].item():g} of hook '{hook}', between contexts "
                    f"{start} and {stop}, does not fit {str(into).removeprefix('torch.')}",
                    "choose --dtype bfloat16 or float32",
                )
            return cast

        shape = (cache.hooks[hook].d_model,)
        arrays.append(_Array(f"activations/{hook}", shape, into, activations))
    return arrays


def _kept(cache: ActivationCache, keep_special: bool) -> np.ndarray:
    """Which rows are copied, bool [rows]."""
    if keep_special:
        return np.ones(cache.rows, bool)
    kept = np.empty(cache.rows, bool)
    for shard in cache.manifest.shards:
        start, stop = shard.first_context, shard.first_context + shard.contexts
        part = cache.valid_positions(cache.tokens(start, stop)).flatten().numpy()
        kept[start * cache.context_size : stop * cache.context_size] = part
    return kept


def _check_memory(cache: ActivationCache, memory: int) -> None:
    """Blocks are read whole, by several threads."""
    rows = cache.manifest.block_contexts * cache.context_size
    block = max(record.d_model for record in cache.hooks.values()) * 4 * rows
    needed = 4 * _READING_THREADS * block
    if memory < needed:
        raise ConfigError(
            f"{format_bytes(memory)} of memory are too little for blocks of {format_bytes(block)}",
            f"give --memory {format_bytes(needed).replace(' ', '')} or more",
        )


def _empty(rows: int, array: _Array) -> Tensor:
    return torch.empty((rows, *array.shape), dtype=array.dtype)


def _bytes_of(tensor: Tensor) -> np.ndarray:
    return tensor.contiguous().view(torch.uint8).numpy()
