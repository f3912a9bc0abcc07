"""How fast a cache is read on this machine, and which SAEs that keeps busy.

    memory copy · sequential, cold and warm · shuffled, cold and warm · matmul ─► features

Each step has a share of the time that is given, and reads no more than it needs for that. Cold
means that the page cache has been made to drop the files.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from lmsaes.cache import ActivationCache, Block, is_resident, shard_file
from lmsaes.errors import ConfigError
from lmsaes.loader import ShuffledLoader
from lmsaes.units import parse_bytes, parse_count

STEP_COST = 1.4
"""A TopK step takes so many times its encoder's matrix product, 2 · d_model · features a row."""
_SEED = 0
_BATCH_ROWS = 4096
_COPIED = 64 << 20  # bytes
_LEAST_MEMORY = 16 << 20
_MANY_ROWS = 1 << 60
_PROBED_SHARDS = 8
# shares of the time
_COPY, _PRODUCT, _IN_ORDER, _SHUFFLED = 0.08, 0.12, 0.15, 0.25


@dataclass(frozen=True)
class Rate:
    """Rows a second, and bytes as they are stored."""

    rows_per_second: float
    gigabytes_per_second: float


@dataclass(frozen=True)
class Fed:
    """The fewest features of a TopK SAE that computes as long as its rows take to come."""

    flops: float
    measured: bool
    cold: float | None
    warm: float | None


@dataclass(frozen=True)
class BenchReport:
    """What was measured; None where this place has no such thing.

    A place that keeps no pages (an object store) has no warm figures, and a file system that
    does not let them go no cold ones. shuffled_memory: bytes of the loader's pool.
    """

    hook: str
    d_model: int
    dtype: str
    device: str
    copy_gigabytes_per_second: float
    in_order_cold: Rate | None
    in_order_warm: Rate | None
    shuffled_cold: Rate | None
    shuffled_warm: Rate | None
    shuffled_memory: int
    fed: list[Fed]


def bench(
    cache: ActivationCache,
    hook: str | None = None,
    memory: int | str = "1GiB",
    seconds: float = 6.0,
    flops: str | float | None = None,
) -> BenchReport:
    """Reads one hook, the first by default, in about so many seconds.

    memory: the most that the loader's pool takes. flops: floating-point operations a second of
    another machine, as `400T`; what this one does is measured. Raises ConfigError when `memory`
    is too small to shuffle in, CacheError when a block is damaged.
    """
    hook = cache.check_hook(hook or next(iter(cache.hooks)))
    rate = None if flops is None else float(parse_count(flops) if isinstance(flops, str) else flops)
    if seconds <= 0 or rate == 0:
        raise ConfigError("there is nothing to measure with 0", "give --seconds 6, say")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    far = not isinstance(cache.path, Path)
    copied = _memory_copy(seconds * _COPY)
    can_drop = far or _drop_pages(cache, hook)
    first, blocks = _in_order(cache, hook, cache.blocks(), seconds * _IN_ORDER)
    again = None if far else _in_order(cache, hook, blocks, seconds * _IN_ORDER)[0]
    # a slow disk fills a smaller pool in its share of the time
    limit = parse_bytes(memory)
    size = max(_LEAST_MEMORY, int(first.gigabytes_per_second * 1e9 * seconds * _SHUFFLED))
    if not far:
        _drop_pages(cache, hook)
    with _open_loader(cache, hook, device, min(size, limit), limit) as loader:
        cold = _shuffled(loader, seconds * _SHUFFLED, loader.rows)
        pool = loader.memory_for(loader.pool_rows)
    warm = None
    if not far:
        # the same rows once more, or more epochs of a cache of which no row is cold any more
        with _open_loader(cache, hook, device, min(size, limit), limit) as loader:
            most = _MANY_ROWS if cold.all_rows else cold.rows
            warm = _shuffled(loader, seconds * _SHUFFLED, most).batches
    d_model = cache.hooks[hook].d_model
    measured = _products(d_model, device, seconds * _PRODUCT)
    slow = min(cold.read, warm or cold.batches, key=lambda rate: rate.rows_per_second)
    fed = [
        Fed(
            each,
            each is measured,
            _features(each, d_model, slow) if can_drop else None,
            _features(each, d_model, warm) if warm else None,
        )
        for each in ([measured] if rate is None else [measured, rate])
    ]
    return BenchReport(
        hook=hook,
        d_model=d_model,
        dtype=cache.hooks[hook].dtype,
        device=str(device),
        copy_gigabytes_per_second=copied,
        in_order_cold=first if can_drop else None,
        in_order_warm=again,
        shuffled_cold=slow if can_drop else None,
        shuffled_warm=warm,
        shuffled_memory=pool,
        fed=fed,
    )


def _features(flops: float, d_model: int, rate: Rate) -> float:
    return flops / (STEP_COST * 2 * d_model * rate.rows_per_second)


def _memory_copy(seconds: float) -> float:
    """GB/s of torch's own copy, of buffers larger than a processor's cache."""
    source, target = torch.ones(2, _COPIED, dtype=torch.uint8)
    return _COPIED / _repeated(lambda: target.copy_(source), seconds) / 1e9


def _products(d_model: int, device: torch.device, seconds: float) -> float:
    """Operations a second of an encoder's matrix product: float32, on a GPU bfloat16."""
    gpu = device.type == "cuda"
    dtype = torch.bfloat16 if gpu else torch.float32
    features, rows = (16384, 8192) if gpu else (2048, 512)
    x = torch.randn(rows, d_model, device=device, dtype=dtype)
    weight = torch.randn(features, d_model, device=device, dtype=dtype)

    def product() -> None:
        torch.mm(x, weight.T)
        if gpu:
            torch.cuda.synchronize(device)

    return 2 * rows * d_model * features / _repeated(product, seconds)


def _repeated(work: Callable[[], object], seconds: float) -> float:
    """Seconds of the fastest of several calls, after one that warms up."""
    work()
    end = time.perf_counter() + seconds
    fastest = float("inf")
    while True:
        begun = time.perf_counter()
        work()
        now = time.perf_counter()
        fastest = min(fastest, now - begun)
        if now >= end:
            return fastest


def _drop_pages(cache: ActivationCache, hook: str) -> bool:
    """Has the page cache drop the hook's files; false where the system won't, or can't tell."""
    if not hasattr(os, "posix_fadvise"):
        return False
    lets_go = False
    for index, shard in enumerate(cache.manifest.shards):
        for spec in cache.stored(hook):
            path = cache.path / shard_file(cache.manifest, spec, shard.index)
            assert isinstance(path, Path)
            with path.open("rb") as file:
                _drop(file.fileno())
                if index < _PROBED_SHARDS:
                    lets_go |= _lets_go(file.fileno())
    return lets_go


def _lets_go(file: int) -> bool:
    """Whether a page that was there is gone after `_drop`; to look for it may bring it back."""
    os.pread(file, 1, 0)
    was_there = is_resident(file, 0)
    _drop(file)
    is_there = is_resident(file, 0)
    _drop(file)
    return was_there and not is_there


def _drop(file: int) -> None:
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)


def _in_order(
    cache: ActivationCache, hook: str, blocks: Sequence[Block], seconds: float
) -> tuple[Rate, list[Block]]:
    """Reads blocks one after the other, checked and in original units, as one thread does."""
    specs, units = cache.stored(hook), cache.units(hook)
    done: list[Block] = []
    size, begun = 0, time.perf_counter()
    for block in blocks:
        units.restore(*(spec.to_torch(cache.read_block(spec, block)) for spec in specs))
        size += sum(cache.files(spec).locate(block).bytes for spec in specs)
        done.append(block)
        if time.perf_counter() - begun > seconds:
            break
    rows = sum(block.contexts for block in done) * cache.context_size
    return _rate(rows, size, time.perf_counter() - begun), done


@dataclass(frozen=True)
class _Shuffled:
    """Blocks read into the pool, batches handed out once it was full, and how many rows those
    were; `all_rows`: whether that was the whole epoch."""

    read: Rate
    batches: Rate
    rows: int
    all_rows: bool


def _shuffled(loader: ShuffledLoader, seconds: float, most: int) -> _Shuffled:
    """Takes batches for so long after the first one, or until there were `most` rows."""
    first, rows, begun, now = 0, 0, 0.0, 0.0
    for batch in _epochs(loader):
        now = time.perf_counter()
        if rows == 0:
            first, begun = len(batch), now
        rows += len(batch)
        if now - begun > seconds or rows >= most:
            break
    stats = loader.stats
    row_bytes = stats.bytes / stats.rows
    read = _rate(stats.bytes_read / row_bytes, stats.bytes_read, stats.seconds_filling)
    if rows == first:  # the epoch has but one batch
        first, begun, now = 0, 0.0, stats.seconds
    batches = _rate(rows - first, (rows - first) * row_bytes, now - begun)
    return _Shuffled(read, batches, rows, rows >= loader.rows)


def _epochs(loader: ShuffledLoader) -> Iterator[torch.Tensor]:
    while True:
        yield from loader


def _open_loader(
    cache: ActivationCache, hook: str, device: torch.device, size: int, limit: int
) -> ShuffledLoader:
    """With a pool of about `size` bytes, or as much more up to `limit` as shuffling needs."""
    while True:
        try:
            return ShuffledLoader(
                cache, hook, _BATCH_ROWS, size, _SEED, device=device, last_epoch=1 << 30
            )
        except ConfigError:
            if size >= limit:
                raise
            size = min(2 * size, limit)


def _rate(rows: float, size: float, seconds: float) -> Rate:
    seconds = max(seconds, 1e-9)
    return Rate(rows / seconds, size / seconds / 1e9)
