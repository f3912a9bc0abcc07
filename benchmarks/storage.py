"""Sizes and speeds of every format, compression and dtype, on activations and on noise.

    python benchmarks/storage.py                  the bundled model, 24 k rows, and as many of noise
    python benchmarks/storage.py --json
    python benchmarks/storage.py --tokens 400k --hook blocks.1.mlp.hook_post --folder /mnt/disk

A round writes the same rows every way (with checks, statistics and fsync, as `lmsaes cache` does)
and reads them back block by block in one thread, checked and in original units, from a warm page
cache. Ratios are to float16 in safetensors, medians over rounds.
"""

import argparse
import itertools
import json
import platform
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from _caches import bytes_per_row, write_like
from torch import Tensor

from lmsaes import ActivationCache, generate
from lmsaes.cache.manifest import Manifest
from lmsaes.demo import MODEL, TEXT
from lmsaes.quantities import parse_count

DTYPES = ("float32", "float16", "bfloat16", "int8")
LAYOUTS = (
    ("safetensors", "none"),
    ("zarr", "none"),
    ("zarr", "lz4"),
    ("zarr", "zstd"),
    ("zarr", "blosc"),
)
Way = tuple[str, str, str, str]  # data, dtype, format, compression


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=str(MODEL))
    parser.add_argument("--dataset", default=str(TEXT))
    parser.add_argument("--hook", default="blocks.2.hook_resid_post")
    parser.add_argument("--tokens", type=parse_count, default=24_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=None, help="where the caches are put")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        report = measure(arguments, Path(folder))
    if arguments.json:
        print(json.dumps(report))
        return
    print(f"{'':<42} {'bytes a row':>17} {'k rows/s written':>20} {'k rows/s read':>18}")
    rows = report["rows"]
    for size, written, read in zip(rows[::3], rows[1::3], rows[2::3], strict=True):
        name = size["what"].removesuffix(": size")
        figures = (f"{row['value']:>11.4g} × {row['ratio']:.3f}" for row in (size, written, read))
        print(f"{name:<42} " + "  ".join(figures))


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    source = generate(
        arguments.model,
        arguments.dataset,
        [arguments.hook],
        folder / "source",
        tokens=arguments.tokens,
        dtype="float32",
    )
    activations = source.activations(arguments.hook, 0, source.contexts)
    noise = torch.randn(activations.shape, generator=torch.Generator().manual_seed(0))
    data = {"activations": activations, "noise": noise}
    tokens = source.tokens(0, source.contexts)
    ways: list[Way] = [
        (name, dtype, *layout) for name in data for layout in LAYOUTS for dtype in DTYPES
    ]
    sizes: dict[Way, float] = {}
    speeds: dict[tuple[Way, str], list[float]] = {
        (way, step): [] for way in ways for step in ("written", "read")
    }
    for _, way in itertools.product(range(arguments.rounds), ways):
        out = folder / "-".join(way)
        begun = time.perf_counter()
        cache = store(out, source.manifest, tokens, data[way[0]], way)
        middle = time.perf_counter()
        read(cache)
        end = time.perf_counter()
        speeds[way, "written"].append(cache.rows / (middle - begun) / 1e3)
        speeds[way, "read"].append(cache.rows / (end - middle) / 1e3)
        sizes[way] = bytes_per_row(cache, "hook")
        shutil.rmtree(out)
    return {
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}",
        "settings": {k: str(v) for k, v in vars(arguments).items()},
        "rows": [row for way in ways for row in _rows(way, sizes, speeds)],
    }


def store(folder: Path, like: Manifest, tokens: Tensor, rows: Tensor, way: Way) -> ActivationCache:
    _, dtype, format, compression = way
    hooks = {"hook": rows}
    return write_like(
        folder, like, tokens, hooks, dtype=dtype, format=format, compression=compression
    )


def read(cache: ActivationCache) -> None:
    """Every block of the hook, as its user gets it."""
    specs, units = cache.stored("hook"), cache.units("hook")
    for block in cache.blocks():
        units.restore(*(spec.to_torch(cache.read_block(spec, block)) for spec in specs))


def _rows(
    way: Way, sizes: dict[Way, float], speeds: dict[tuple[Way, str], list[float]]
) -> list[dict[str, Any]]:
    data, dtype, format, compression = way
    name = f"{data}, {format} {dtype}" + ("" if compression == "none" else f", {compression}")
    base: Way = (data, "float16", "safetensors", "none")
    rows = [_row(f"{name}: size", sizes[way], "B/row", sizes[way] / sizes[base], "lower")]
    for step in ("written", "read"):
        here, there = speeds[way, step], speeds[base, step]
        ratio = statistics.median(a / b for a, b in zip(here, there, strict=True))
        what = f"{name}: {step}"
        rows.append(_row(what, statistics.median(here), "k rows/s", ratio, "higher"))
    return rows


def _row(what: str, value: float, unit: str, ratio: float, better: str) -> dict[str, Any]:
    goals = {"must": None, "aim": None}
    return {"what": what, "value": value, "unit": unit, "ratio": ratio, "better": better} | goals


if __name__ == "__main__":
    main()
