"""The shuffling loader against one large memory copy, and other ways to shuffle the same rows.

    python benchmarks/loader.py                   800 k rows of 768 float16, pool of half of them
    python benchmarks/loader.py --json
    python benchmarks/loader.py --rows 4000000 --pool 1000000

Everything is read from a warm page cache, except where a row says cold: there the files are
dropped with `posix_fadvise` before each round. Figures are medians over rounds, ratios medians of
the rounds' ratios.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

from lmsaes import ActivationCache, ShuffledLoader
from lmsaes.cache.manifest import (
    ComputeRecord,
    HookRecord,
    Manifest,
    ModelRecord,
    StorageFormat,
    TextPosition,
    TextRecord,
)
from lmsaes.cache.writer import CacheWriter

CONTEXT, D_MODEL, BATCH = 128, 768, 4096
ROW_BYTES = D_MODEL * 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=800_000)
    parser.add_argument("--pool", type=int, default=400_000, help="rows in the pool")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=None, help="where the caches are put")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        report = measure(arguments, Path(folder))
    if arguments.json:
        print(json.dumps(report))
    else:
        for row in report["rows"]:
            print(f"{row['what']:<44} {row['value']:>8.2f} {row['unit']}  × {row['ratio']:.3f}")


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    contexts = arguments.rows // CONTEXT
    memory = arguments.pool * 2 * (ROW_BYTES + 32) + 4 * 4 * 2**20
    safetensors = write_cache(folder / "safetensors", contexts, "safetensors")
    zarr = write_cache(folder / "zarr", contexts, "zarr")
    source = torch.empty(2**29, dtype=torch.uint8).fill_(1)
    target = torch.empty_like(source)

    def copy() -> int:
        target.copy_(source)
        return source.nbytes

    ways: dict[str, tuple[Callable[[], int], str, float | None, float | None]] = {
        "memory copy": (copy, "memory copy", None, None),
        "sequential reads, warm": (lambda: read_files(safetensors), "memory copy", None, None),
        "loader, safetensors, warm": (epoch(safetensors, memory), "memory copy", 0.35, 0.60),
        "loader, zarr, warm": (epoch(zarr, memory), "memory copy", None, None),
        "random rows of a memory map": (lambda: mapped(safetensors), "memory copy", None, None),
        "DataLoader(TensorDataset, shuffle=True)": (data_loader, "memory copy", None, None),
        "sequential reads, cold": (cold(safetensors, lambda: read_files(safetensors)),
                                   "sequential reads, cold", None, None),
        "loader, safetensors, cold": (cold(safetensors, epoch(safetensors, memory)),
                                      "sequential reads, cold", 0.90, 0.97),
    }  # fmt: skip
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(arguments.rounds):
        for name, (run, *_rest) in ways.items():
            start = time.perf_counter()
            size = run()
            speeds[name].append(size / (time.perf_counter() - start) / 1e9)
    rows = [
        {
            "what": name,
            "value": statistics.median(speeds[name]),
            "unit": "GB/s",
            "ratio": statistics.median(
                a / b for a, b in zip(speeds[name], speeds[against], strict=True)
            ),
            "must": must,
            "aim": aim,
            "better": "higher",
        }
        for name, (_, against, must, aim) in ways.items()
    ]
    return {
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}",
        "settings": {k: str(v) for k, v in vars(arguments).items()},
        "rows": rows,
    }


def write_cache(folder: Path, contexts: int, format: StorageFormat) -> ActivationCache:
    """A cache of noise; each context differs from its neighbours."""
    manifest = Manifest(
        format=format,
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
        hooks={"hook": HookRecord(d_model=D_MODEL, dtype="float16")},
        shard_contexts=1024,
        block_contexts=16,
        contexts_requested=contexts,
        created="now",
    )
    noise = torch.randn(128, CONTEXT, D_MODEL, generator=torch.Generator().manual_seed(0)).half()
    tokens = torch.ones(64, CONTEXT, dtype=torch.int32)
    ordinary = torch.ones(64, CONTEXT, dtype=torch.bool)
    with CacheWriter(folder, manifest) as writer:
        done = 0
        while done < contexts:
            count = min(64, writer.shard_room)
            start = done % 64
            rows = noise[start : start + count]
            writer.write(tokens[:count], {"hook": rows}, ordinary[:count], TextPosition())
            done += count
        writer.finish()
    return ActivationCache.open(folder)


def epoch(cache: ActivationCache, memory: int) -> Callable[[], int]:
    def run() -> int:
        size = 0
        with ShuffledLoader(cache, "hook", BATCH, memory) as loader:
            for batch in loader:
                size += batch.nbytes
        return size

    return run


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
    """A batch at a time, each row from anywhere in the first file."""
    path = files(cache)[0]
    rows = np.memmap(path, np.float16, "r", offset=4096).reshape(-1, D_MODEL)
    table = torch.from_numpy(np.asarray(rows))
    order = torch.randperm(len(table))
    return sum(table.index_select(0, part).nbytes for part in order.split(BATCH))


def data_loader() -> int:
    table = TensorDataset(torch.zeros(40_000, D_MODEL, dtype=torch.float16))
    return sum(batch[0].nbytes for batch in DataLoader(table, BATCH, shuffle=True))


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
