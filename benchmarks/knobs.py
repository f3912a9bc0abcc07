"""What an architecture's own knob does to L0 and FVU, by width and length of the run.

    python benchmarks/knobs.py                          relu's l1, one small run
    python benchmarks/knobs.py --json
    python benchmarks/knobs.py --architecture gated --values 1 2 4 8 --features 512 2048 \\
        --steps 250 1000 --batch 1024 --tokens 1M       more of the table in docs/architectures.md
    python benchmarks/knobs.py --architecture jumprelu --knob bandwidth --values 0.1 0.5 2

All SAEs of a shape train on the same batches with every other default; L0 and FVU are those of the
run's last tenth. Ratio: L0 over that of the first shape with the same value. A knob that means the
same everywhere has ratios of one.
"""

import argparse
import itertools
import tempfile
from pathlib import Path

from _report import row, tell
from _rows import add_options, training_cache

from lmsaes import ActivationCache, train
from lmsaes.sae import CONFIGS, Metrics


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(parser, tokens="100k", scored="0")
    parser.add_argument("--architecture", default="relu")
    parser.add_argument("--knob", default="l1")
    parser.add_argument("--values", type=float, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--features", type=int, nargs="+", default=[512])
    parser.add_argument("--steps", type=int, nargs="+", default=[100])
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cache = training_cache(arguments, Path(folder) / "cache")
        shapes = list(itertools.product(arguments.features, arguments.steps))
        found = [
            sweep(cache, arguments, *shape, Path(folder) / f"run-{number}")
            for number, shape in enumerate(shapes)
        ]
    tell(
        [
            row(
                f"{arguments.architecture}, {features} features, {steps} steps of "
                f"{arguments.batch}, {arguments.knob} {value:g}: FVU {metrics.fvu:.4f}, "
                f"{100 * metrics.dead_fraction:.1f} % dead",
                metrics.l0,
                "L0",
                metrics.l0 / found[0][value].l0,
            )
            for (features, steps), by_value in zip(shapes, found, strict=True)
            for value, metrics in by_value.items()
        ],
        arguments,
    )


def sweep(
    cache: ActivationCache, arguments: argparse.Namespace, features: int, steps: int, out: Path
) -> dict[float, Metrics]:
    """What each value of the knob comes to."""
    config_type = CONFIGS[arguments.architecture]
    shape = {"hook": arguments.hook, "features": features, "seed": arguments.seed}
    results = train(
        cache,
        [
            config_type.model_validate(shape | {"name": f"{number:02d}", arguments.knob: value})
            for number, value in enumerate(arguments.values)
        ],
        out=out,
        tokens=steps * arguments.batch,
        batch_size=arguments.batch,
        seed=arguments.seed,
        device=arguments.device,
    )
    return {arguments.values[int(result.name)]: result.metrics for result in results}


if __name__ == "__main__":
    main()
