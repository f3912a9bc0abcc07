"""What fewer bits on disk cost: the same SAE trained from float32, float16, bfloat16, int8 caches.

    python benchmarks/storage_quality.py                the bundled model and text
    python benchmarks/storage_quality.py --json
    python benchmarks/storage_quality.py --tokens 1600k --train 8M --features 4096 --seeds 0 1 2 3

The model runs once; its rows are stored four ways. Each seed's SAE starts from the same weights and
sees the same rows in the same order, only rounded differently, and is scored on rows of held-out
text that were never rounded. Ratios are those of a seed to the same seed from float32, their mean
over seeds; the spread is their standard deviation.
"""

import argparse
import json
import platform
import statistics
import tempfile
from pathlib import Path
from typing import Any, cast

import torch
from _caches import bytes_per_row, write_like
from torch import Tensor

from lmsaes import SAE, ActivationCache, TopKConfig, generate, train
from lmsaes.demo import HELDOUT, MODEL, TEXT
from lmsaes.quantities import parse_count

DTYPES = ("float32", "float16", "bfloat16", "int8")
MEMORY = "4GiB"  # holds every row, so that the order is the same whatever a row weighs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=str(MODEL))
    parser.add_argument("--dataset", default=str(TEXT), help="text to train on")
    parser.add_argument("--heldout", default=str(HELDOUT), help="text to score on")
    parser.add_argument("--hook", default="blocks.2.hook_resid_post")
    parser.add_argument("--tokens", type=parse_count, default=60_000, help="rows in the caches")
    parser.add_argument("--train", type=parse_count, default=120_000, help="rows each SAE sees")
    parser.add_argument("--score", type=parse_count, default=20_000, help="held-out rows")
    parser.add_argument("--features", type=int, default=768)
    parser.add_argument("--k", type=int, default=32)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = measure(arguments, Path(folder))
    if arguments.json:
        print(json.dumps(report))
        return
    for row in report["rows"]:
        print(
            f"{row['what']:<46} {row['value']:>10.5g} {row['unit']:<6} × {row['ratio']:.4f}"
            + ("" if row["spread"] is None else f" ± {row['spread']:.4f}")
        )


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    clean = generate(
        arguments.model,
        arguments.dataset,
        [arguments.hook],
        folder / "float32",
        tokens=arguments.tokens,
        dtype="float32",
        device=arguments.device,
    )
    heldout = generate(
        arguments.model,
        arguments.heldout,
        [arguments.hook],
        folder / "heldout",
        tokens=arguments.score,
        dtype="float32",
        device=arguments.device,
    )
    kept = heldout.ordinary(heldout.tokens(0, heldout.contexts))
    x = heldout.activations(arguments.hook, 0, heldout.contexts)[kept]
    tokens = clean.tokens(0, clean.contexts)
    rows = {arguments.hook: clean.activations(arguments.hook, 0, clean.contexts)}
    caches = {"float32": clean} | {
        dtype: write_like(folder / dtype, clean.manifest, tokens, rows, dtype=dtype)
        for dtype in DTYPES[1:]
    }
    scores = {
        dtype: [score(sae, x) for sae in trained(cache, arguments, folder / f"{dtype}-saes")]
        for dtype, cache in caches.items()
    }
    return {
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}",
        "settings": vars(arguments),
        "rows": [
            *(_fvu_row(dtype, scores) for dtype in DTYPES),
            *(_dead_row(dtype, scores) for dtype in DTYPES),
            *(_error_row(dtype, cache, arguments.hook) for dtype, cache in caches.items()),
            *(_bytes_row(dtype, caches, arguments.hook) for dtype in DTYPES),
        ],
    }


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
        shuffle_memory=MEMORY,
        device=arguments.device,
    )
    return [SAE.load(result.path) for result in results]


def score(sae: SAE, x: Tensor) -> tuple[float, float]:
    """Fraction of variance unexplained on clean rows [n, d_model], and of features alive there."""
    lost = 0.0
    alive = torch.zeros(sae.features, dtype=torch.bool)
    with torch.inference_mode():
        for part in x.split(2048):
            encoded = sae.encode(part)
            alive[encoded.indices] = True
            lost += float((part - sae.decode(encoded)).double().square().sum())
    variance = float((x.double() - x.double().mean(0)).square().sum())
    return lost / variance, float(alive.double().mean())


def _row(what: str, value: float, unit: str, ratios: list[float], **goals: float) -> dict[str, Any]:
    return {
        "what": what,
        "value": value,
        "unit": unit,
        "ratio": statistics.mean(ratios),
        "spread": statistics.stdev(ratios) if len(ratios) > 1 else None,
        "must": goals.get("must"),
        "aim": goals.get("aim"),
        "better": "lower",
    }


Scores = dict[str, list[tuple[float, float]]]


def _fvu_row(dtype: str, scores: Scores) -> dict[str, Any]:
    fvu = [fvu for fvu, _ in scores[dtype]]
    ratios = [a / b for a, (b, _) in zip(fvu, scores["float32"], strict=True)]
    goals = {} if dtype == "float32" else {"must": 1.01, "aim": 1.003}
    return _row(f"FVU on clean rows, from {dtype}", statistics.mean(fvu), "", ratios, **goals)


def _dead_row(dtype: str, scores: Scores) -> dict[str, Any]:
    dead = statistics.mean(1 - alive for _, alive in scores[dtype])
    # of the living, which are never none: float32's over these, so that lower is better
    ratios = [b / a for (_, a), (_, b) in zip(scores[dtype], scores["float32"], strict=True)]
    goals = {} if dtype == "float32" else {"must": 1.01}
    return _row(f"features silent on them, from {dtype}", 100 * dead, "%", ratios, **goals)


def _error_row(dtype: str, cache: ActivationCache, hook: str) -> dict[str, Any]:
    error = cast(float, cache.hooks[hook].storage_error)
    return _row(f"share of the variance lost by {dtype}", error, "", [1 + error])


def _bytes_row(dtype: str, caches: dict[str, ActivationCache], hook: str) -> dict[str, Any]:
    size = bytes_per_row(caches[dtype], hook)
    goals = {"must": 0.52, "aim": 0.51} if dtype == "int8" else {}
    ratio = size / bytes_per_row(caches["float16"], hook)
    return _row(f"bytes a row on disk, {dtype}", size, "B", [ratio], **goals)


if __name__ == "__main__":
    main()
