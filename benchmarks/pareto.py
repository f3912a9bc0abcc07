"""Sparsity against error: every architecture's front on the same rows.

    python benchmarks/pareto.py                          a small one: 512 features, 200 steps
    python benchmarks/pareto.py --json
    python benchmarks/pareto.py --tokens 1M --train 1M --features 1024 --batch 2048 \\
        --score 200k --seeds 0 1 2 --markdown --plot docs/images/pareto.png

Every SAE trains from one read of the cache with the defaults of its architecture; only what sets
its sparsity changes (`KNOBS`). They are scored on held-out rows in the model's units: fraction of
variance unexplained (FVU) against the mean number of features that fire (L0). The figures at an L0
are read off the lines between an architecture's points, log FVU over log L0, seed by seed; outside
of them there is none. Ratios are to relu at the same L0, their means over seeds.
"""

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from _report import row, tell
from _rows import add_options, heldout_rows, score_ours, training_cache
from _scoring import Score

from lmsaes import SAE, train
from lmsaes.sae import CONFIGS
from lmsaes.units import parse_count

KNOBS: dict[str, tuple[str, tuple[float, ...]]] = {
    "batchtopk": ("k", (16, 32, 64)),
    "topk": ("k", (16, 32, 64)),
    "jumprelu": ("l0", (15, 30, 62)),
    "matryoshka": ("k", (16, 32, 64)),
    "hierarchical": ("k", (16, 32, 64)),
    "p_annealing": ("l1", (0.38, 0.7, 1.2)),
    "relu": ("l1", (0.7, 1.5, 3.2)),
    "gated": ("l1", (1.5, 3.2, 6.5)),
}
LEVELS = (16, 32, 64)  # values of L0 that a table has
Fronts = dict[str, dict[int, list[Score]]]  # by architecture and seed, by L0
Table = dict[str, dict[int, list[float]]]  # by architecture and L0, the FVU of each seed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(parser, tokens="100k", scored="20k")
    parser.add_argument("--train", type=parse_count, default=200_000, help="rows each SAE sees")
    parser.add_argument("--features", type=int, default=512)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", nargs="+", default=list(KNOBS), help="architectures")
    parser.add_argument("--plot", type=Path, help="draw the fronts")
    parser.add_argument("--markdown", action="store_true", help="print a table for docs as well")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        fronts = measure(arguments, Path(folder))
    tell(report(fronts), arguments)
    if arguments.markdown:
        print(markdown(fronts))
    if arguments.plot:
        plot(level_table(fronts), arguments.plot)


def measure(arguments: argparse.Namespace, folder: Path) -> Fronts:
    heldout = heldout_rows(arguments, folder / "heldout")
    cache = training_cache(arguments, folder / "cache")
    configs = [
        CONFIGS[architecture].model_validate(
            {
                "name": f"{architecture}_{seed}_{value:g}",
                "hook": arguments.hook,
                "features": arguments.features,
                "seed": seed,
                KNOBS[architecture][0]: value,
            }
        )
        for architecture in arguments.only
        for seed in arguments.seeds
        for value in KNOBS[architecture][1]
    ]
    results = train(
        cache,
        configs,
        out=folder / "run",
        tokens=arguments.train,
        batch_size=arguments.batch,
        device=arguments.device,
    )
    fronts: Fronts = {name: {seed: [] for seed in arguments.seeds} for name in arguments.only}
    for result in results:
        architecture, seed, _ = result.name.split("_")
        fronts[architecture][int(seed)].append(score_ours(SAE.load(result.path), heldout))
    for seeds in fronts.values():
        for points in seeds.values():
            points.sort(key=lambda point: point.l0)
    return fronts


def fvu_at(points: list[Score], l0: float) -> float | None:
    """FVU where the line between the points has this L0, or a twentieth beyond one of its ends."""
    lowest, highest = points[0].l0, points[-1].l0
    if not lowest / 1.05 <= l0 <= highest * 1.05:
        return None
    logs = np.log([point.l0 for point in points]), np.log([point.fvu for point in points])
    return float(np.exp(np.interp(np.log(l0), *logs)))


def at_level(fronts: Fronts, architecture: str, l0: float) -> dict[int, float]:
    """FVU at this L0 of the seeds that have one."""
    found = {seed: fvu_at(points, l0) for seed, points in fronts[architecture].items()}
    return {seed: fvu for seed, fvu in found.items() if fvu is not None}


def level_table(fronts: Fronts) -> Table:
    return {
        architecture: {l0: list(at_level(fronts, architecture, l0).values()) for l0 in LEVELS}
        for architecture in fronts
    }


def report(fronts: Fronts) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for architecture in fronts:
        for l0 in LEVELS:
            fvu = at_level(fronts, architecture, l0)
            relu = at_level(fronts, "relu", l0) if "relu" in fronts else {}
            ratios = [fvu[seed] / relu[seed] for seed in fvu if seed in relu]
            # the order of the literature
            must = 1.0 if architecture in ("batchtopk", "jumprelu") else None
            rows.append(
                row(
                    f"{architecture} at L0 {l0}",
                    statistics.mean(fvu.values()) if fvu else None,
                    "FVU",
                    statistics.mean(ratios) if ratios else None,
                    must,
                )
            )
    return rows


def markdown(fronts: Fronts) -> str:
    """A line per architecture: mean and range over seeds of the FVU at each L0, silent features."""
    header = " | ".join(f"L0 {l0}" for l0 in LEVELS)
    lines = [f"| | {header} | silent |", "| --- |" + " --- |" * (len(LEVELS) + 1)]
    for architecture, by_level in level_table(fronts).items():
        cells = [
            f"{statistics.mean(fvu):.4f} ({min(fvu):.4f}–{max(fvu):.4f})" if fvu else "–"
            for fvu in by_level.values()
        ]
        silent = max(point.silent for seed in fronts[architecture].values() for point in seed)
        lines.append(f"| {architecture} | {' | '.join(cells)} | ≤ {100 * silent:.1f} % |")
    return "\n".join(lines)


def plot(table: Table, path: Path) -> None:
    """The table as a picture: means over seeds, and bars from the lowest to the highest."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    figure = Figure(figsize=(7.5, 5), layout="constrained")
    axes: Any = figure.subplots()
    for number, (architecture, by_level) in enumerate(table.items()):
        levels = [l0 for l0 in LEVELS if by_level[l0]]
        means = [statistics.mean(by_level[l0]) for l0 in levels]
        below = [mean - min(by_level[l0]) for l0, mean in zip(levels, means, strict=True)]
        above = [max(by_level[l0]) - mean for l0, mean in zip(levels, means, strict=True)]
        marker = "os^vD<>P"[number % 8]
        axes.errorbar(
            levels, means, yerr=[below, above], label=architecture, marker=marker, capsize=3
        )
    axes.set(xscale="log", yscale="log", xlabel="L0", ylabel="fraction of variance unexplained")
    axes.set_xticks(LEVELS, [str(l0) for l0 in LEVELS])
    fvus = [0.08, 0.1, 0.12, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5]
    axes.set_yticks(fvus, [f"{fvu:g}" for fvu in fvus])
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_formatter(NullFormatter())
    shown = [fvu for by_level in table.values() for each in by_level.values() for fvu in each]
    axes.set_ylim(min(shown) / 1.1, max(shown) * 1.1)
    axes.grid(True, alpha=0.2)
    axes.legend()
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
