"""What fewer bits on disk cost: the same SAE trained from float32, float16, bfloat16, int8 caches.

    python benchmarks/storage_quality.py                the bundled model and text
    python benchmarks/storage_quality.py --json
    python benchmarks/storage_quality.py --tokens 1600k --train 8M --features 4096 --seeds 0 1 2 3

The model runs once; its rows are stored four ways. Each seed's SAE starts from the same weights and
sees the same rows in the same order, only rounded differently, and is scored on rows of held-out
text that were never rounded. Ratios are those of a seed to the same seed from float32, their mean
over seeds; ± is their standard deviation.
"""

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any, cast

from _caches import bytes_per_row, write_like
from _report import row, tell
from _rows import add_options, heldout_rows, score_ours, training_cache
from _scoring import Score

from lmsaes import SAE, ActivationCache, TopKConfig, train
from lmsaes.units import parse_count

DTYPES = ("float32", "float16", "bfloat16", "int8")
MEMORY = "4GiB"  # holds every row, so that the order is the same whatever a row weighs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(parser, tokens="60k", scored="20k")
    parser.add_argument("--train", type=parse_count, default=120_000, help="rows each SAE sees")
    parser.add_argument("--features", type=int, default=768)
    parser.add_argument("--k", type=int, default=32)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tell(measure(arguments, Path(folder)), arguments)


def measure(arguments: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    clean = training_cache(arguments, folder / "float32", "float32")
    heldout = heldout_rows(arguments, folder / "heldout")
    tokens = clean.tokens(0, clean.contexts)
    rows = {arguments.hook: clean.activations(arguments.hook, 0, clean.contexts)}
    caches = {"float32": clean} | {
        dtype: write_like(folder / dtype, clean.manifest, tokens, rows, dtype=dtype)
        for dtype in DTYPES[1:]
    }
    scores = {
        dtype: [
            score_ours(sae, heldout) for sae in trained(cache, arguments, folder / f"{dtype}-saes")
        ]
        for dtype, cache in caches.items()
    }
    return [
        *(_fvu_row(dtype, scores) for dtype in DTYPES),
        *(_silent_row(dtype, scores) for dtype in DTYPES),
        *(_error_row(dtype, cache, arguments.hook) for dtype, cache in caches.items()),
        *(_bytes_row(dtype, caches, arguments.hook) for dtype in DTYPES),
    ]


def trained(cache: ActivationCache, arguments: argparse.Namespace, out: Path) -> list[SAE]:
    """One SAE per seed, all from one read of the cache."""
    configs = [
        TopKConfig(
            name=f"seed-{seed}",
            hook=arguments.hook,
            k=arguments.k,
            features=arguments.features,
            seed=seed,
        )
        for seed in arguments.seeds
    ]
    results = train(
        cache,
        configs,
        out=out,
        tokens=arguments.train,
        batch_size=arguments.batch,
        shuffle_buffer=MEMORY,
        device=arguments.device,
    )
    return [SAE.load(result.path) for result in results]


Scores = dict[str, list[Score]]


def _fvu_row(dtype: str, scores: Scores) -> dict[str, Any]:
    ratios = [a.fvu / b.fvu for a, b in zip(scores[dtype], scores["float32"], strict=True)]
    spread = statistics.stdev(ratios) if len(ratios) > 1 else 0.0
    goals = () if dtype == "float32" else (1.01, 1.003)
    return row(
        f"FVU on clean rows, from {dtype} (± {spread:.4f} of the ratio)",
        statistics.mean(score.fvu for score in scores[dtype]),
        "",
        statistics.mean(ratios),
        *goals,
    )


def _silent_row(dtype: str, scores: Scores) -> dict[str, Any]:
    """Of the living, which are never none: float32's over these, so that lower is better."""
    pairs = zip(scores[dtype], scores["float32"], strict=True)
    ratio = statistics.mean((1 - b.silent) / (1 - a.silent) for a, b in pairs)
    silent = statistics.mean(score.silent for score in scores[dtype])
    goals = () if dtype == "float32" else (1.01,)
    return row(f"features silent on them, from {dtype}", 100 * silent, "%", ratio, *goals)


def _error_row(dtype: str, cache: ActivationCache, hook: str) -> dict[str, Any]:
    error = cast(float, cache.hooks[hook].storage_error)
    return row(f"share of the variance lost by {dtype}", error, "")


def _bytes_row(dtype: str, caches: dict[str, ActivationCache], hook: str) -> dict[str, Any]:
    size = bytes_per_row(caches[dtype], hook)
    ratio = size / bytes_per_row(caches["float16"], hook)
    goals = (0.52, 0.51) if dtype == "int8" else ()
    return row(f"bytes a row on disk, {dtype}", size, "B", ratio, *goals)


if __name__ == "__main__":
    main()
