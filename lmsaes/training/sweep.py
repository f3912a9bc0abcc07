"""A run as a file: options of `train` at the top, one `[[sae]]` table per SAE.

cache = "caches/gpt2-8"
out = "runs/widths"
tokens = "200M"

[[sae]]
architecture = "topk"
expansion = 8
k = 32

[[sae]]
architecture = "relu"
l1 = 4
"""

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from lmsaes.errors import ConfigError
from lmsaes.sae import CONFIGS, AnyConfig
from lmsaes.training.run import TrainedSAE, train
from lmsaes.units import parse_bytes, parse_count

Count = Annotated[int, BeforeValidator(parse_count)]
Bytes = Annotated[int, BeforeValidator(parse_bytes)]


class Sweep(BaseModel, frozen=True, extra="forbid"):
    """Everything that one call of `train` is told."""

    cache: Annotated[str, Field(description="folder or URL that `lmsaes cache` wrote")]
    out: Annotated[Path, Field(description="folder of the run; each SAE gets one inside it")]
    hook: Annotated[
        str | None, Field(description="hook to train on (default: the cache's only one)")
    ] = None
    tokens: Annotated[Count, Field(gt=0, description="tokens to train on")] = 200_000_000
    batch_size: Annotated[Count, Field(gt=0, description="tokens per step")] = 4096
    shuffle_buffer: Annotated[
        Bytes, Field(gt=0, description="memory for shuffling the cache's rows")
    ] = 4 * 2**30
    seed: Annotated[int, Field(description="seed of the order of rows")] = 0
    device: Annotated[str, Field(description="auto, cpu, cuda or cuda:1")] = "auto"
    checkpoint_every: Annotated[Count, Field(gt=0, description="steps between checkpoints")] = 1000
    log_every: Annotated[Count, Field(gt=0, description="steps between measurements")] = 50
    drop_special: Annotated[
        bool, Field(description="leave out special tokens and each context's first position")
    ] = True
    skip_positions: Annotated[
        tuple[int, ...], Field(description="positions of each context to leave out")
    ] = ()
    max_norm: Annotated[
        float | None,
        Field(gt=0, description="leave out rows of more than so many times the mean norm"),
    ] = None
    pool_device: Annotated[
        str | None,
        Field(
            description="where rows are mixed: cpu or the GPU "
            "(default: the page cache, or the host's memory)"
        ),
    ] = None
    allow_poor_shuffle: Annotated[
        bool,
        Field(description="train even if the pool is so small that the order of the text shows"),
    ] = False
    wandb: Annotated[
        str | None, Field(description="Weights & Biases project that gets the metrics as well")
    ] = None
    sae: Annotated[tuple[AnyConfig, ...], Field(min_length=1)]

    def train(self, overwrite: bool = False) -> list[TrainedSAE]:
        """Does it; see `lmsaes.training.train`."""
        options = {name: getattr(self, name) for name in type(self).model_fields if name != "sae"}
        return train(configs=self.sae, overwrite=overwrite, **options)


def make_sweep(options: Mapping[str, Any], file: Path | None = None) -> Sweep:
    """The sweep of a TOML file, of `options`, or of both: options that are not None win.

    Raises ConfigError that names the setting which is missing, unknown or impossible.
    """
    content = _read(file) if file is not None else {}
    given = {name: value for name, value in options.items() if value is not None}
    try:
        return Sweep.model_validate(content | given)
    except ValidationError as error:
        raise _explained(error, "" if file is None else f"{file}: ") from None


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except FileNotFoundError:
        raise ConfigError(f"{file} does not exist", "give --config a TOML file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not TOML: {error}") from None


def _explained(error: ValidationError, source: str) -> ConfigError:
    first = error.errors()[0]
    place = [part for part in first["loc"] if isinstance(part, str)]
    setting = place[-1].replace("_", "-") if place else ""
    if first["type"] == "missing":
        return ConfigError(f"{source}{setting} is not said", f"give --{setting}")
    if first["type"] == "extra_forbidden":
        fields = CONFIGS[place[1]].model_fields if len(place) > 2 else {}
        known = sorted(fields or Sweep.model_fields)
        owner = place[1] if fields else "train"
        nearest = difflib.get_close_matches(place[-1], known, 3) or known
        return ConfigError(
            f"{source}{owner} has no setting '{place[-1]}'", "there is: " + ", ".join(nearest)
        )
    if first["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return ConfigError(
            f"{source}an SAE's architecture is not known: {first['input']}",
            "known: " + ", ".join(CONFIGS),
        )
    return ConfigError(f"{source}{'.'.join(place)}: {first['msg']}")
