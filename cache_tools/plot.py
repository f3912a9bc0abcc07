"""A picture of a cache's activations: norms by position, and the sizes of channels."""

from pathlib import Path
from typing import Any

import numpy as np

from lmsaes.cache import ActivationCache
from lmsaes.errors import ConfigError

from .inspect import PERCENTILES, channel_sizes

_BANDS = ((1, 99, 0.15), (5, 95, 0.3), (25, 75, 0.5))  # from, to, opacity
_LABELED = 5


def check_plot(path: Path) -> None:
    """Raises ConfigError unless a picture can be drawn and written to `path`."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigError(
            "a plot needs matplotlib, which is not installed", "pip install 'lmsaes[plot]'"
        ) from None
    if not path.resolve().parent.is_dir():
        raise ConfigError(f"there is no folder '{path.parent}' for the plot")
    kinds = Figure().canvas.get_supported_filetypes()
    if path.suffix.removeprefix(".") not in kinds:
        raise ConfigError(
            f"a plot can't be written as '{path.name}'", "end it in one of: " + ", ".join(kinds)
        )


def plot(cache: ActivationCache, facts: dict[str, Any], path: Path) -> None:
    """Draws what `describe` found, a row per hook, and writes it to `path`."""
    from matplotlib.figure import Figure

    hooks = list(facts["hooks"])
    figure = Figure(figsize=(11, 3.2 * len(hooks)), layout="constrained")
    axes: Any = figure.subplots(len(hooks), 2, squeeze=False)
    for (left, right), hook in zip(axes, hooks, strict=True):
        _draw_norms(left, facts["hooks"][hook])
        left.set_title(hook, loc="left")
        _draw_channels(right, channel_sizes(cache.hooks[hook]), facts["hooks"][hook])
    figure.savefig(path, dpi=120)


def _draw_norms(axes: Any, found: dict[str, Any]) -> None:
    values = np.array(found["norms"]["by_position"])  # [context_size, percentiles]
    column = {percent: values[:, i] for i, percent in enumerate(PERCENTILES)}
    positions = np.arange(len(values))
    for low, high, opacity in _BANDS:
        axes.fill_between(
            positions, column[low], column[high], color="C0", alpha=opacity, linewidth=0,
            label=f"{low} to {high} %", step="mid",
        )  # fmt: skip
    axes.step(positions, column[50], color="C0", where="mid", label="median")
    axes.set(yscale="log", xlabel="position in the context", ylabel="norm")
    axes.legend(fontsize="small")


def _draw_channels(axes: Any, sizes: np.ndarray, found: dict[str, Any]) -> None:
    axes.plot(np.sort(sizes)[::-1], color="C0")
    axes.axhline(np.median(sizes), color="gray", linewidth=0.8)
    for place, outlier in enumerate(found["outlier_channels"]["largest"][:_LABELED]):
        at = (place, sizes[outlier["channel"]])
        axes.annotate(f" {outlier['channel']}", at, fontsize="small")
    axes.set(yscale="log", xlabel="channels, largest first", ylabel="root mean square")
