"""Metrics to Weights & Biases, by choice: one run there per SAE, in a group named like the run."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lmsaes.errors import ConfigError, first_line
from lmsaes.sae import SAEConfig

_SAELENS = {
    "loss": "losses/overall_loss",
    "loss_reconstruction": "losses/mse_loss",
    "loss_auxiliary": "losses/auxiliary_reconstruction_loss",
    "explained_variance": "metrics/explained_variance",
    "l0": "metrics/l0",
    "norm_ratio": "metrics/l2_ratio",
    "lr": "details/current_learning_rate",
    "tokens": "details/n_training_samples",
}
# What it calls the penalty depends on which it is; SAEs with a fixed k have none.
_PENALTIES = {
    "relu": "losses/l1_loss",
    "gated": "losses/l1_loss",
    "p_annealing": "losses/l1_loss",
    "jumprelu": "losses/l0_loss",
}


def saelens_name(name: str, architecture: str) -> str:
    """What SAELens calls a figure of an SAE of this architecture, where it has it."""
    if name == "loss_sparsity":
        return _PENALTIES.get(architecture, name)
    return _SAELENS.get(name, name)


class WandbLog:
    """What `train` reports, sent to the W&B project `project` as well.

    A run that goes on goes on there too. Raises ConfigError when wandb isn't installed or refuses.
    """

    def __init__(self, project: str, run: Path, saes: Sequence[SAEConfig]) -> None:
        try:
            import wandb
            from wandb.errors import Error as Refusal
        except ImportError:
            raise ConfigError(
                "logging to Weights & Biases needs the package wandb",
                "pip install 'lmsaes[wandb]', or leave --wandb out",
            ) from None
        run.mkdir(parents=True, exist_ok=True)
        self._runs: dict[str, Any] = {}
        self._architectures = {config.name: config.architecture for config in saes}
        for config in saes:
            place = f"{run.resolve()}/{config.name}"
            try:
                self._runs[config.name] = wandb.init(
                    project=project,
                    dir=run,
                    group=run.name,
                    name=config.name,
                    id=hashlib.sha256(place.encode()).hexdigest()[:16],
                    resume="allow",
                    config=config.model_dump(mode="json", exclude_none=True),
                    reinit="create_new",
                )
            except Refusal as error:
                raise ConfigError(
                    f"Weights & Biases refuses: {first_line(error)}",
                    "log in with: wandb login, choose another --wandb, or leave it out",
                ) from None

    def write(self, label: str, record: dict[str, Any]) -> None:
        """One line of `metrics.jsonl` of the SAE `label`, under SAELens' names where it has one."""
        kind = self._architectures[label]
        named = {saelens_name(name, kind): value for name, value in record.items()}
        self._runs[label].log(named, step=record["step"])

    def close(self) -> None:
        for run in self._runs.values():
            run.finish()
