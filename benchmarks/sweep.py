"""Eight SAEs from one read of a cache against eight runs, one after the other.

    python benchmarks/sweep.py
    python benchmarks/sweep.py --json
    python benchmarks/sweep.py --device cuda --features 24576 --batch 8192 --train 20M --tokens 10M

Both do the same steps on the same rows, with every report that `lmsaes train` makes; one run opens
the cache, reads, gathers and normalizes once instead of eight times. They take turns, a round of
each; ratios are medians of the rounds' ratios. The steps alone are those of the eight SAEs on a
batch that is at hand.
"""

import argparse
import logging
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from _report import row, tell
from _rows import add_options, training_cache

from lmsaes import SAE, ActivationCache, TopKConfig, train
from lmsaes.parallel import resolve_device
from lmsaes.training import Normalization, SAETrainer, keep_freed_memory
from lmsaes.units import parse_count

SAES = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(parser, tokens="60k", scored="0")
    parser.add_argument("--train", type=parse_count, default=60_000, help="rows each SAE sees")
    parser.add_argument("--features", type=int, default=512)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tell(measure(arguments, Path(folder)), arguments)


def measure(arguments: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    cache = training_cache(arguments, folder / "cache")
    waits = Waits()
    logging.getLogger("lmsaes").addHandler(waits)
    logging.getLogger("lmsaes").setLevel(logging.INFO)
    configs = [
        TopKConfig(
            name=f"k-{k}", hook=arguments.hook, features=arguments.features, k=k, optimizer="adam"
        )
        for k in range(8, 8 + 8 * SAES, 8)
    ]
    steps = arguments.train // arguments.batch

    def run(configs: list[TopKConfig]) -> None:
        train(
            cache,
            configs,
            out=folder / "run",
            tokens=steps * arguments.batch,
            batch_size=arguments.batch,
            device=arguments.device,
            overwrite=True,
        )

    def apart() -> None:
        for config in configs:
            run([config])

    ways: dict[str, Callable[[], None]] = {
        "together": lambda: run(configs),
        "apart": apart,
        "steps": steps_alone(cache, configs, steps, arguments),
    }
    run(configs[:1])
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    shares: list[float] = []
    for _ in range(arguments.rounds):
        for way, function in ways.items():
            start = time.perf_counter()
            function()
            seconds[way].append(time.perf_counter() - start)
            if way == "together":
                shares.append(waits.last)

    def ratio(way: str) -> float:
        pairs = zip(seconds["together"], seconds[way], strict=True)
        return statistics.median(together / other for together, other in pairs)

    together, apart_, alone = (statistics.median(seconds[way]) for way in ways)
    return [
        row(f"{SAES} SAEs in one run / in runs of their own", together, "s", ratio("apart"), 0.9),
        row(f"{SAES} runs, one after the other", apart_, "s"),
        row(f"{SAES} SAEs in one run / their steps alone", alone, "s", ratio("steps")),
        row("share of that run's time spent waiting for the loader", statistics.median(shares), ""),
    ]


def steps_alone(
    cache: ActivationCache, configs: list[TopKConfig], steps: int, arguments: argparse.Namespace
) -> Callable[[], None]:
    """The same steps on one batch, which is normalized already."""
    record = cache.hooks[arguments.hook]
    assert record.valid is not None
    device = resolve_device(arguments.device)
    if device.type == "cpu":
        keep_freed_memory()  # as `train` does
    scale = Normalization.of(record.valid, configs[0].normalize).to(device)
    contexts = -(-arguments.batch // cache.context_size)
    rows = cache.activations(arguments.hook, 0, contexts).flatten(0, 1)[: arguments.batch]
    x = scale(rows.to(device))

    def run() -> None:
        trainers = [
            SAETrainer(
                SAE.create(config, record.d_model).to(device),
                steps,
                steps * arguments.batch,
                scale,
                scale,
            )
            for config in configs
        ]
        for _ in range(steps):
            for trainer in trainers:
                trainer.step(x, x)
        if device.type == "cuda":
            torch.cuda.synchronize()

    return run


class Waits(logging.Handler):
    """The share of the time that the last run waited for its loader, as its log says."""

    last = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        if str(record.msg).startswith("loader:") and isinstance(record.args, tuple):
            percent = record.args[1]
            assert isinstance(percent, float)
            self.last = percent / 100


if __name__ == "__main__":
    main()
