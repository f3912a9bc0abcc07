"""Sizes and speeds of every format, compression and dtype, on activations and on noise.

    python benchmarks/storage.py            on the bundled model (d 256) and Gaussian noise (d 768)
    python benchmarks/storage.py --json
    python benchmarks/storage.py --tokens 400k --hook blocks.1.mlp.hook_post --folder /mnt/disk

A round writes the same rows every way (with checks, statistics and fsync, as `lmsaes cache` does),
reads them back block by block in one thread, checked and in original units, and has the shuffling
loader hand them out once, all from a warm page cache. GB/s count two bytes a value whatever the
dtype, so that they compare rows. Ratios are to float16 in safetensors, medians over rounds.
"""

import argparse
import itertools
import math
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from _caches import bytes_per_row, write_like
from _report import row, tell
from torch import Tensor

from lmsaes import ActivationCache, ShuffledLoader, cache_activations
from lmsaes.cache import Manifest
from lmsaes.demo import MODEL, TEXT
from lmsaes.units import parse_count

DTYPES = ("float32", "float16", "bfloat16", "int8")
LAYOUTS = (
    ("safetensors", "none"),
    ("zarr", "none"),
    ("zarr", "lz4"),
    ("zarr", "zstd"),
    ("zarr", "blosc"),
)
DATA = ("activations", "noise")
STEPS = ("written", "read", "loaded")
BLOCK_BYTES = 4 << 20  # at two bytes a value, as `lmsaes cache` has it
Way = tuple[str, str, str, str]  # data, dtype, format, compression


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=str(MODEL))
    parser.add_argument("--dataset", default=str(TEXT))
    parser.add_argument("--hook", default="blocks.2.hook_resid_post")
    parser.add_argument("--tokens", type=parse_count, default=48_000)
    parser.add_argument("--noise-rows", type=parse_count, default=16_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=None, help="where the caches are put")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        report = measure(arguments, Path(folder))
    if arguments.json:
        tell(report, arguments)
        return
    for name in DATA:
        print(f"\n{name}\n| dtype | format | bytes a row | written | read | loaded |")
        print("| --- | --- | ---: | ---: | ---: | ---: |")
        rows = [each for each in report if each["what"].startswith(name)]
        columns = 1 + len(STEPS)
        for figures in zip(*(rows[column::columns] for column in range(columns)), strict=True):
            what = figures[0]["what"].removeprefix(f"{name}, ").removesuffix(": size")
            layout, dtype = what.rsplit(" ", 1)
            cells = " | ".join(f"{each['value']:.3g}" for each in figures)
            print(f"| {dtype} | {layout} | {cells} |")


def measure(arguments: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    source = cache_activations(
        arguments.model,
        arguments.dataset,
        [arguments.hook],
        folder / "source",
        tokens=arguments.tokens,
        dtype="float32",
    )
    tokens = source.tokens(0, source.contexts)
    activations = source.activations(arguments.hook, 0, source.contexts)
    generator = torch.Generator().manual_seed(0)
    contexts = arguments.noise_rows // source.context_size
    noise = torch.randn(contexts, source.context_size, 768, generator=generator)
    data = {
        "activations": (tokens, activations),
        "noise": (tokens[:1].expand(contexts, -1), noise),
    }
    ways: list[Way] = [
        (name, dtype, *layout) for name in DATA for dtype in DTYPES for layout in LAYOUTS
    ]
    sizes: dict[Way, float] = {}
    speeds: dict[tuple[Way, str], list[float]] = {(way, step): [] for way in ways for step in STEPS}
    for _, way in itertools.product(range(arguments.rounds), ways):
        out = folder / "-".join(way)
        times = [time.perf_counter()]
        cache = store(out, source.manifest, *data[way[0]], way)
        times.append(time.perf_counter())
        read(cache)
        times.append(time.perf_counter())
        load(cache)
        times.append(time.perf_counter())
        gigabytes = data[way[0]][1].numel() * 2 / 1e9
        for step, (begun, ended) in zip(STEPS, itertools.pairwise(times), strict=True):
            speeds[way, step].append(gigabytes / (ended - begun))
        sizes[way] = bytes_per_row(cache, "hook")
        shutil.rmtree(out)
    return [each for way in ways for each in _rows(way, sizes, speeds)]


def store(folder: Path, like: Manifest, tokens: Tensor, rows: Tensor, way: Way) -> ActivationCache:
    _, dtype, format, compression = way
    block = 1 << int(math.log2(BLOCK_BYTES / (2 * rows[0].numel())))
    return write_like(
        folder,
        like,
        tokens,
        {"hook": rows},
        dtype=dtype,
        format=format,
        compression=compression,
        block_contexts=block,
        shard_contexts=16 * block,
    )


def read(cache: ActivationCache) -> None:
    """Every block of the hook, as its user gets it."""
    specs, units = cache.stored("hook"), cache.units("hook")
    for block in cache.blocks():
        units.restore(*(spec.to_torch(cache.read_block(spec, block)) for spec in specs))


def load(cache: ActivationCache) -> None:
    """Every row of the hook, in random order."""
    with ShuffledLoader(cache, "hook", 4096) as loader:
        for _ in loader:
            pass


def _rows(
    way: Way, sizes: dict[Way, float], speeds: dict[tuple[Way, str], list[float]]
) -> list[dict[str, Any]]:
    data, dtype, format, compression = way
    name = f"{data}, {format}" + ("" if compression == "none" else f" {compression}") + f" {dtype}"
    base: Way = (data, "float16", "safetensors", "none")
    rows = [row(f"{name}: size", sizes[way], "B/row", sizes[way] / sizes[base])]
    for step in STEPS:
        here, there = speeds[way, step], speeds[base, step]
        ratio = statistics.median(a / b for a, b in zip(here, there, strict=True))
        what = f"{name}: {step}"
        rows.append(row(what, statistics.median(here), "GB/s", ratio, better="higher"))
    return rows


if __name__ == "__main__":
    main()
