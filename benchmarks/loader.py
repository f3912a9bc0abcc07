"""The shuffling loader against one large memory copy, and other ways to shuffle the same rows.

    python benchmarks/loader.py                   1.8 M rows of 768 float16, pool of 1 M
    python benchmarks/loader.py --json
    python benchmarks/loader.py --cpu-time        where other programs share the machine
    python benchmarks/loader.py --rows 4000000 --device cuda --pool-device cuda

Everything is read from a warm page cache, except where a row says cold: there the files are
dropped with `posix_fadvise` before each round. Where it says "one core", copy and loader are bound
to it. Each measurement is one whole epoch of a new loader, filling its pool included.
Compressed and int8 caches hold an eighth of the rows, in a pool of an eighth. Figures are medians
over rounds, in which all take turns; ratios are medians of the rounds' ratios.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _report import row, tell
from torch.utils.data import DataLoader, TensorDataset

from lmsaes import ActivationCache, ShuffledLoader
from lmsaes.cache import CacheWriter, Compression, HookRecord, Manifest, StorageDtype, StorageFormat
from lmsaes.loader import shuffle_quality
from lmsaes.provenance import ComputeRecord, ModelRecord, TextPosition, TextRecord

CONTEXT, D_MODEL, BATCH = 128, 768, 4096
ROW_BYTES = D_MODEL * 2
COPY, COPY_ONE = "memory copy", "memory copy, one core"
READS, COLD = "sequential reads, warm", "sequential reads, cold"
UNCHECKED = "safetensors, unchecked"


@dataclass(frozen=True)
class Way:
    """Something to measure: `run` gives the bytes that it moved."""

    what: str
    run: Callable[[], int]
    against: str = COPY
    must: float | None = None
    aim: float | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_800_000)
    parser.add_argument("--pool", type=int, default=1_000_000, help="rows in the pool")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=None, help="where the caches are put")
    parser.add_argument("--device", default="cpu", help="where batches go")
    parser.add_argument("--pool-device", default=None, help="cpu or cuda (default: page cache)")
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="per second of processor time over the cores, where other programs share the machine",
    )
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        tell(measure(arguments, Path(folder)), arguments)


def measure(arguments: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    contexts = arguments.rows // CONTEXT

    def cache(format: StorageFormat, compression: Compression, dtype: StorageDtype, share: int):
        name = folder / f"{format}-{compression}-{dtype}"
        return write_cache(name, contexts // share, format, compression, dtype)

    def epoch(cache: ActivationCache, **options: Any) -> Callable[[], int]:
        share = contexts // cache.contexts
        settings = {
            "memory": "1TiB",
            "pool_rows": max(arguments.pool // share, 4000),
            "device": arguments.device,
            "pool_device": arguments.pool_device,
        } | options

        def run() -> int:
            with ShuffledLoader(cache, "hook", BATCH, **settings) as loader:
                for batch in loader:
                    last = batch
                if last.device.type == "cuda":
                    torch.cuda.synchronize()
                return loader.stats.bytes

        return run

    plain = cache("safetensors", "none", "float16", 1)
    source = torch.empty(2**29, dtype=torch.uint8).fill_(1)
    target = torch.empty_like(source)

    def copy() -> int:
        target.copy_(source)
        return source.nbytes

    ways = [
        Way(COPY, copy),
        Way(READS, lambda: read_files(plain)),
        Way(UNCHECKED, epoch(plain, check=False), COPY, 0.35, 0.60),
        Way(COPY_ONE, on_one_core(copy), COPY_ONE),
        Way(f"{UNCHECKED}, one core", on_one_core(epoch(plain, check=False)), COPY_ONE),
        Way("safetensors, each block checked", epoch(plain), UNCHECKED, 0.45, 0.6),
        Way("safetensors, through a pool of its own", epoch(plain, pool_device="cpu"), COPY),
    ]
    for format, compression, dtype in (
        ("zarr", "none", "float16"),
        ("zarr", "zstd", "float16"),
        ("zarr", "lz4", "float16"),
        ("zarr", "blosc", "float16"),
        ("safetensors", "none", "int8"),
    ):
        kind = cache(format, compression, dtype, 8)
        name = f"{format}, {dtype if dtype == 'int8' else compression}, each block checked"
        ways.append(Way(name, epoch(kind)))
    ways += [
        Way("DataLoader(TensorDataset, shuffle=True)", data_loader),
        Way("random rows of a memory map, row by row", lambda: mapped(plain)),
    ]
    if not arguments.cpu_time:  # a disk is waited for, not computed
        eighth = epoch(plain, pool_rows=arguments.rows // 8)
        what = "safetensors, each block checked, cold, pool of an eighth"
        ways += [
            Way(COLD, cold(plain, lambda: read_files(plain)), COLD),
            Way(what, cold(plain, eighth), COLD, 0.90, 0.97),
        ]
    cores = os.cpu_count() or 1
    clock = (lambda: time.process_time() / cores) if arguments.cpu_time else time.perf_counter
    speeds: dict[str, list[float]] = {way.what: [] for way in ways}
    for _ in range(arguments.rounds):
        for way in ways:
            start = clock()
            size = way.run()
            speeds[way.what].append(size / (clock() - start) / 1e9)

    def ratio(way: Way) -> float:
        pairs = zip(speeds[way.what], speeds[way.against], strict=True)
        return statistics.median(one / other for one, other in pairs)

    rows = [
        row(
            way.what,
            statistics.median(speeds[way.what]),
            "GB/s",
            ratio(way),
            way.must,
            way.aim,
            better="higher",
        )
        for way in ways
    ]
    return [*rows, same_context_rows(plain)]


def same_context_rows(cache: ActivationCache) -> dict[str, Any]:
    """What a pool of 2 GiB gives of 100 M rows."""
    with ShuffledLoader(cache, "hook", BATCH, "2GiB") as loader:
        quality = shuffle_quality(100_000_000, loader.pool_rows, BATCH, CONTEXT)
    what = f"same-context rows per batch with 2 GiB ({quality.perfect:.4f} if all were permuted)"
    return row(what, quality.same_context_rows, "rows", quality.same_context_rows, 1.0, 0.3)


def write_cache(
    folder: Path,
    contexts: int,
    format: StorageFormat,
    compression: Compression,
    dtype: StorageDtype,
) -> ActivationCache:
    """A cache of noise; each context differs from its neighbors."""
    manifest = Manifest(
        format=format,
        compression=compression,
        model=ModelRecord(name="noise", config_hash="0", weights_hash="0"),
        text=TextRecord(
            dataset="noise",
            fingerprint="0",
            tokenizer_hash="0",
            context_size=CONTEXT,
            bos=False,
            bos_id=None,
            separator_id=None,
            special_ids=(),
        ),
        compute=ComputeRecord(batch_size=64, attention="none", device="cpu"),
        hooks={"hook": HookRecord(d_model=D_MODEL, dtype=dtype)},
        shard_contexts=1024,
        block_contexts=16,
        contexts_requested=contexts,
        created="now",
    )
    noise = torch.randn(128, CONTEXT, D_MODEL, generator=torch.Generator().manual_seed(0)).half()
    tokens = torch.ones(64, CONTEXT, dtype=torch.int32)
    valid = torch.ones(64, CONTEXT, dtype=torch.bool)
    with CacheWriter(folder, manifest) as writer:
        done = 0
        while done < contexts:
            count = min(64, writer.shard_room)
            start = done % 64
            rows = noise[start : start + count]
            writer.write(tokens[:count], {"hook": rows}, valid[:count], TextPosition())
            done += count
        writer.finish()
    return ActivationCache.open(folder)


def files(cache: ActivationCache) -> list[Path]:
    return sorted(cache.path.glob("activations/hook/shard-*"))


def read_files(cache: ActivationCache) -> int:
    buffer = bytearray(4 * 2**20)
    size = 0
    for path in files(cache):
        with path.open("rb", buffering=0) as file:
            while n := file.readinto(buffer):
                size += n
    return size


def mapped(cache: ActivationCache) -> int:
    """Batches of rows from anywhere in the first file, each copied by itself."""
    rows = np.memmap(files(cache)[0], np.float16, "r", offset=4096).reshape(-1, D_MODEL)
    order = np.random.default_rng(0).permutation(len(rows))[: 16 * BATCH]
    size = 0
    for start in range(0, len(order), BATCH):
        part = order[start : start + BATCH]
        size += torch.from_numpy(np.stack([rows[row] for row in part])).nbytes
    return size


def data_loader() -> int:
    table = TensorDataset(torch.zeros(40_000, D_MODEL, dtype=torch.float16))
    return sum(batch[0].nbytes for batch in DataLoader(table, BATCH, shuffle=True))


def on_one_core(run: Callable[[], int]) -> Callable[[], int]:
    """The same with this thread, and all that it begins, on one core."""

    def bound() -> int:
        cores, threads = os.sched_getaffinity(0), torch.get_num_threads()
        os.sched_setaffinity(0, {min(cores)})
        torch.set_num_threads(1)
        try:
            return run()
        finally:
            torch.set_num_threads(threads)
            os.sched_setaffinity(0, cores)

    return bound


def cold(cache: ActivationCache, run: Callable[[], int]) -> Callable[[], int]:
    def dropped() -> int:
        for path in files(cache):
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)
        return run()

    return dropped


if __name__ == "__main__":
    main()
