"""The learning rate that suits a run best, by its width, batch and length, against our rule.

    python benchmarks/learning_rates.py                 one small run of four rates
    python benchmarks/learning_rates.py --json
    python benchmarks/learning_rates.py --features 512 2048 --batch 512 --steps 400 2000 \\
        --rates 1e-3 2e-3 4e-3 8e-3 --tokens 1600k      a sweep as in docs/notes/experiments.md
    python benchmarks/learning_rates.py --architecture gated --knob l1=2

Every rate trains the same SAE on the same batches; its FVU is that of the run's last tenth. "Best"
is the lowest point of a parabola through the best rate and its neighbors, in the logarithm of the
rate; at the end of the range it is the end. Ratios: the FVU with our rule over the lowest, and our
rule's rate over the best one.
"""

import argparse
import itertools
import math
import tempfile
from pathlib import Path
from typing import Any

from _report import row, tell
from _rows import add_options, training_cache

from lmsaes import ActivationCache, train
from lmsaes.sae import CONFIGS
from lmsaes.training import peak_lr


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(parser, tokens="100k", scored="0")
    parser.add_argument("--architecture", default="topk")
    parser.add_argument("--knob", nargs="*", default=["k=32"], help="its settings, as k=32")
    parser.add_argument("--features", type=int, nargs="+", default=[512])
    parser.add_argument("--batch", type=int, nargs="+", default=[512])
    parser.add_argument("--steps", type=int, nargs="+", default=[250])
    parser.add_argument("--rates", type=float, nargs="+", default=[2e-3, 4e-3, 8e-3, 1.6e-2])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cache = training_cache(arguments, Path(folder) / "cache")
        shapes = itertools.product(arguments.features, arguments.batch, arguments.steps)
        rows = [
            each
            for number, shape in enumerate(shapes)
            for each in sweep(cache, arguments, *shape, Path(folder) / f"run-{number}")
        ]
    tell(rows, arguments)


def sweep(
    cache: ActivationCache,
    arguments: argparse.Namespace,
    features: int,
    batch: int,
    steps: int,
    out: Path,
) -> list[dict[str, Any]]:
    """A row for each rate, the rule's among them, and one for the best."""
    config_type = CONFIGS[arguments.architecture]
    settings = {
        "hook": arguments.hook,
        "features": features,
        "seed": arguments.seed,
        **dict(knob.split("=") for knob in arguments.knob),
    }
    rule = peak_lr(
        config_type.model_validate(settings),
        features,
        cache.hooks[arguments.hook].d_model,
        steps,
        batch,
    )
    rates = sorted({*arguments.rates, rule})
    results = train(
        cache,
        [
            config_type.model_validate(settings | {"name": f"{number:02d}", "lr": rate})
            for number, rate in enumerate(rates)
        ],
        out=out,
        tokens=steps * batch,
        batch_size=batch,
        seed=arguments.seed,
        device=arguments.device,
    )
    found = {rates[int(result.name)]: result.metrics for result in results}
    lowest = min(metrics.fvu for metrics in found.values())
    shape = f"{arguments.architecture}, {features} features, {steps} steps of {batch}"
    rows = [
        row(
            f"{shape}, lr {rate:.2g}{' (our rule)' * (rate == rule)}: "
            f"L0 {metrics.l0:.1f}, {100 * metrics.dead_fraction:.1f} % dead",
            metrics.fvu,
            "FVU",
            metrics.fvu / lowest if rate == rule else None,
        )
        for rate, metrics in found.items()
    ]
    best = vertex({rate: metrics.fvu for rate, metrics in found.items()})
    return [*rows, row(f"{shape}: best lr", best, "", rule / best)]


def vertex(fvu: dict[float, float]) -> float:
    """The lowest point of the parabola through the best rate and its neighbors."""
    rates = sorted(fvu)
    place = min(range(len(rates)), key=lambda i: fvu[rates[i]])
    if place in (0, len(rates) - 1):
        return rates[place]
    (x0, y0), (x1, y1), (x2, y2) = (
        (math.log(rate), fvu[rate]) for rate in rates[place - 1 : place + 2]
    )
    above = (x1 - x0) ** 2 * (y1 - y2) - (x1 - x2) ** 2 * (y1 - y0)
    below = (x1 - x0) * (y1 - y2) - (x1 - x2) * (y1 - y0)
    return math.exp(x1 - above / below / 2)


if __name__ == "__main__":
    main()
