"""A picture of runs beside each other: FVU while they trained, FVU against L0, densities."""

import io
from collections.abc import Sequence
from pathlib import Path

from lmsaes.atomic import replace_file
from lmsaes.evaluation import pareto_front
from lmsaes.training.metrics_file import read_metrics
from lmsaes.training.runs import RunSummary


def plot_runs(runs: Sequence[RunSummary], file: Path) -> None:
    """Draws every SAE of the runs into `file`, a .png, .svg or .pdf (`check_plot` first)."""
    from matplotlib.figure import Figure

    picture = Figure(figsize=(15, 4.5), layout="constrained")
    curves, front, densities = (picture.add_subplot(1, 3, place) for place in (1, 2, 3))
    points: list[tuple[float, float]] = []
    for run in runs:
        for sae in run.saes:
            name = f"{Path(run.path).name}:{sae.name}"
            lines = read_metrics(Path(sae.path), sae.step if sae.state == "finished" else None)
            measured = [(x.get("tokens"), x.get("fvu")) for x in lines]
            if whole := [point for point in measured if None not in point]:
                curves.plot(*zip(*whole, strict=True), label=name)
            if sae.fvu is not None and sae.l0 is not None:
                points.append((sae.l0, sae.fvu))
                front.plot(sae.l0, sae.fvu, "o", markersize=4)
                front.annotate(name, points[-1], xytext=(4, 4), textcoords="offset points")
            if lines and isinstance(counts := lines[-1].get("density_histogram"), list):
                densities.stairs(counts, [i / 4 - 8 for i in range(len(counts) + 1)], label=name)
    if points:
        front.plot(*zip(*pareto_front(points, True), strict=True), color="0.7", zorder=0)
    curves.set(xlabel="tokens", ylabel="FVU", yscale="log")
    front.set(xlabel="L0 (active features per token)", ylabel="FVU (lower is better)")
    densities.set(xlabel="log10 of a feature's density at the end", ylabel="features")
    if curves.get_lines():
        curves.legend(fontsize=7)
    content = io.BytesIO()
    picture.savefig(content, format=file.suffix[1:].lower(), dpi=120)
    replace_file(file, content.getvalue())
