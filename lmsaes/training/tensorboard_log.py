"""Metrics as TensorBoard's event files, by choice: one folder per SAE, side by side in its page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lmsaes.errors import ConfigError
from lmsaes.sae import SAEConfig
from lmsaes.training.figures import QUANTILES
from lmsaes.training.wandb_log import saelens_name

TENSORBOARD = "tensorboard"


class TensorBoardLog:
    """What `train` reports, in RUN/tensorboard/SAE as well, under SAELens' names where it has one.

    A run that goes on drops what was logged after step `done`. Raises ConfigError where TensorBoard
    isn't installed.
    """

    def __init__(self, run: Path, saes: Sequence[SAEConfig], done: int = 0) -> None:
        try:
            from torch.utils.tensorboard.writer import SummaryWriter
        except ImportError:
            raise ConfigError(
                "logging for TensorBoard needs the package tensorboard",
                "pip install 'lmsaes[tensorboard]', or leave --tensorboard out",
            ) from None
        self._architectures = {config.name: config.architecture for config in saes}
        self._writers = {
            config.name: SummaryWriter(
                str(run / TENSORBOARD / config.name), purge_step=done + 1 if done else None
            )
            for config in saes
        }

    def write(self, label: str, record: dict[str, Any]) -> None:
        """One line of `metrics.jsonl` of the SAE `label`; of lists the density's quantiles."""
        writer, step, kind = self._writers[label], record["step"], self._architectures[label]
        for name, value in record.items():
            if isinstance(value, int | float):
                writer.add_scalar(saelens_name(name, kind), value, step)
        for share, density in zip(QUANTILES, record.get("density_quantiles", ()), strict=False):
            writer.add_scalar(f"density_quantiles/{100 * share:g}", density, step)
        writer.flush()

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()
