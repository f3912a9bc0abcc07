"""What a run was asked to do; saved in it, so that the same command continues it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from lmsaes.atomic import replace_file
from lmsaes.errors import ConfigError
from lmsaes.sae import AnyConfig

RUN_FILE = "run.json"


class RunSettings(BaseModel, frozen=True, extra="forbid"):
    """Everything that the bits of the result depend on, but for the kind of device."""

    cache_identity: str
    cache_rows: int | None = None  # None: of a running model
    live: dict[str, Any] | None = None  # the `LiveConfig` of that model and its text
    contexts: int | None = None  # the cache's first ones; None: all
    tokens: int
    batch_size: int
    pool_rows: int
    seed: int
    drop_special: bool
    skip_positions: tuple[int, ...] = ()
    max_norm: float | None = None
    log_every: int
    keep: int = 0
    keep_spacing: Literal["linear", "log"] = "linear"
    starts: dict[str, str] = {}  # by SAE, the digest of the weights that it starts from
    saes: tuple[AnyConfig, ...]

    def write(self, run: Path) -> None:
        run.mkdir(parents=True, exist_ok=True)
        content = self.model_dump_json(indent=2, exclude_none=True) + "\n"
        replace_file(run / RUN_FILE, content.encode())

    @staticmethod
    def read(run: Path) -> RunSettings:
        """The settings of the run in this folder.

        Raises ConfigError when the file can't be understood.
        """
        file = run / RUN_FILE
        try:
            return RunSettings.model_validate_json(file.read_bytes())
        except ValidationError as error:
            first = error.errors()[0]
            raise ConfigError(
                f"{file} is damaged: {first['msg']}", "train into another folder, or --overwrite"
            ) from None

    def differences(self, other: RunSettings, free: Collection[str] = ()) -> list[str]:
        """One line per setting that differs, `name: theirs → ours`.

        free: names of SAEs that may differ or be missing.
        """
        mine, theirs = (_flat(each._without(free).model_dump()) for each in (self, other))
        names = [name for name in mine | theirs if mine.get(name) != theirs.get(name)]
        return [f"{name}: {theirs.get(name)} → {mine.get(name)}" for name in names]

    def _without(self, names: Collection[str]) -> RunSettings:
        kept = tuple(sae for sae in self.saes if sae.name not in names)
        return self.model_copy(update={"saes": kept})


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    items: list[tuple[str, Any]]
    if isinstance(value, dict):
        items = [(f"{name}.{key}".lstrip("."), each) for key, each in value.items()]  # pyright: ignore[reportUnknownVariableType]
    elif isinstance(value, tuple | list):
        items = [(f"{name}[{index}]", each) for index, each in enumerate(value)]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    else:
        return {name: value}
    return {key: leaf for path, each in items for key, leaf in _flat(each, path).items()}
