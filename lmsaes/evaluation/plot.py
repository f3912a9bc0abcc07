"""A picture of SAEs against each other: reconstruction and predictions by L0, with error bars."""

import importlib.util
import io
from collections.abc import Sequence
from pathlib import Path

from lmsaes.atomic import replace_file
from lmsaes.errors import ConfigError
from lmsaes.evaluation.estimates import SIGNIFICANT
from lmsaes.evaluation.records import Evaluation

_FORMATS = (".png", ".svg", ".pdf")
_PANELS = {
    "fvu": "FVU (lower is better)",
    "ce_recovered_zero": "CE recovered against zero ablation",
    "ce_recovered_mean": "CE recovered against mean ablation",
}


def check_plot(file: Path) -> None:
    """Raises ConfigError where no picture can be drawn or written."""
    if file.suffix.lower() not in _FORMATS:
        raise ConfigError(f"can't draw {file}", "give --plot a name in " + ", ".join(_FORMATS))
    if not file.parent.is_dir():
        raise ConfigError(f"there is no folder {file.parent} for {file.name}", "make it first")
    if importlib.util.find_spec("matplotlib") is None:
        raise ConfigError("--plot needs matplotlib", "pip install 'lmsaes[plot]'")


def write_plot(evaluations: Sequence[Evaluation], file: Path) -> None:
    """Draws each figure that was measured against L0, a point per SAE with the 95 % interval, and
    a line through the SAEs that no other beats on both."""
    from matplotlib.figure import Figure

    shown = [
        name
        for name in _PANELS
        if any(getattr(each, name) is not None and each.l0 is not None for each in evaluations)
    ]
    picture = Figure(figsize=(5 * max(1, len(shown)), 4), layout="constrained")
    for place, name in enumerate(shown):
        axes = picture.add_subplot(1, len(shown), place + 1)
        points = [e for e in evaluations if getattr(e, name) is not None and e.l0 is not None]
        for each in points:
            axes.errorbar(
                each.l0 or 0,
                getattr(each, name),
                xerr=SIGNIFICANT * (each.l0_se or 0),
                yerr=SIGNIFICANT * (getattr(each, f"{name}_se") or 0),
                fmt="o",
                markersize=4,
                capsize=3,
            )
            axes.annotate(
                each.name.rpartition(":")[2],
                (each.l0 or 0, getattr(each, name)),
                xytext=(5, 5),
                textcoords="offset points",
                fontsize=8,
            )
        front = pareto_front([(e.l0 or 0, getattr(e, name)) for e in points], name == "fvu")
        axes.plot(*zip(*front, strict=True), color="0.7", zorder=0)
        axes.set(xlabel="L0 (active features per token)", ylabel=_PANELS[name])
        axes.grid(color="0.93")
    content = io.BytesIO()
    picture.savefig(content, format=file.suffix[1:].lower(), dpi=150)
    replace_file(file, content.getvalue())


def pareto_front(points: Sequence[tuple[float, float]], low: bool) -> list[tuple[float, float]]:
    """The points (L0, figure) that no other beats on both, by L0.

    low: whether a low figure is the better one.
    """
    sign = 1 if low else -1
    front: list[tuple[float, float]] = []
    for l0, value in sorted(points, key=lambda point: (point[0], sign * point[1])):
        if not front or sign * value < sign * front[-1][1]:
            front.append((l0, value))
    return front
