"""What a training run is asked to be: `TrainConfig`, stage two's configuration.

As a file, settings of the run stand at the top, and each SAE has a table:

    cache = "caches/gpt2-8"
    out = "runs/widths"
    tokens = "200M"
    expansion = 8               # an SAE's setting at the top: the default of every table

    [[sae]]
    architecture = "topk"
    k = 32

    [[sae]]
    architecture = "relu"
    l1 = 4
"""

import itertools
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, cast

from pydantic import Field, model_validator

from lmsaes.capture import LiveConfig
from lmsaes.configuration import Integers, LocalPath, StageConfig, Text, setting, unknown_setting
from lmsaes.errors import ConfigError
from lmsaes.sae import CONFIGS, RENAMED, AnyConfig, SAEConfig, todays_names
from lmsaes.units import Bytes, Count

TRAIN_CONFIG = "train.toml"
ParallelMode = Literal["auto", "saes", "features", "rows"]
# Names in a run's folder that no SAE may have.
_TAKEN = (
    "checkpoints",
    "diverged",
    "kept",
    "live",
    "tensorboard",
    "wandb",
    "run.json",
    TRAIN_CONFIG,
)

_MAIN, _DATA, _RUN = "What to train", "Rows of the cache", "Run"

# A table that gives one of these means it instead of the other.
_EITHER = {"features": "expansion", "expansion": "features", "hook": "hooks", "hooks": "hook"}


def sae_settings() -> list[str]:
    """All that an SAE of any kind may be given."""
    return list(dict.fromkeys(name for kind in CONFIGS.values() for name in kind.model_fields))


class TrainConfig(StageConfig, frozen=True):
    """A training run: which SAEs learn from which cache, and how long."""

    stage: ClassVar[str] = "train"
    renamed: ClassVar[dict[str, str]] = {"shuffle_memory": "shuffle_buffer"}
    singular: ClassVar[dict[str, str]] = {"skip_position": "skip_positions", "saes": "sae"}

    cache: Annotated[
        Text | None,
        setting("Folder or URL that `lmsaes cache` wrote (default: none, with --live).", _MAIN),
    ] = None
    live: Annotated[
        LiveConfig | None,
        Field(description="Instead of a cache: the model that runs while the SAEs train."),
    ] = None
    hook: Annotated[
        str | None, setting("Hook to train on (default: the cache's only one).", _MAIN)
    ] = None
    out: Annotated[LocalPath, setting("Folder of the run; each SAE gets one inside it.", _MAIN)]
    tokens: Annotated[Count, setting("Tokens to train on.", _MAIN, gt=0)] = 200_000_000

    heldout: Annotated[
        float,
        setting(
            "Last share of the cache's contexts that training leaves out, for `lmsaes eval`.",
            _DATA,
            ge=0,
            lt=1,
        ),
    ] = 0.0
    batch_size: Annotated[Count, setting("Tokens per step.", _DATA, gt=0)] = 4096
    shuffle_buffer: Annotated[
        Bytes, setting("Memory for shuffling the cache's rows.", _DATA, gt=0)
    ] = 4 * 2**30
    allow_poor_shuffle: Annotated[
        bool,
        setting("Train even if the pool is so small that the order of the text shows.", _DATA),
    ] = False
    pool_device: Annotated[
        str | None,
        setting(
            "Where rows are mixed: cpu or the GPU (default: the page cache, or the host's memory).",
            _DATA,
        ),
    ] = None
    drop_special: Annotated[
        bool, setting("Leave out special tokens and each context's first position.", _DATA)
    ] = True
    skip_positions: Annotated[
        Integers,
        setting(
            "Position of each context to leave out (default: none beyond the first).",
            _DATA,
            option="skip-position",
        ),
    ] = ()
    max_norm: Annotated[
        float | None,
        setting(
            "Leave out rows of more than so many times the mean norm (default: keep all).",
            _DATA,
            gt=0,
        ),
    ] = None

    seed: Annotated[
        int,
        setting(
            "Seed of the order of rows, and of an SAE's weights where its table gives none.",
            _RUN,
            ge=0,
            lt=2**63,
        ),
    ] = 0
    seeds: Annotated[
        Count,
        setting(
            "Copies of every SAE to train, which differ in the seed of their weights alone:"
            " seed, seed + 1, ….",
            _RUN,
            gt=0,
            le=1000,
        ),
    ] = 1
    device: Annotated[
        Text, setting("Device to train on: auto, cpu, cuda, cuda:1 or mps.", _RUN)
    ] = "auto"
    parallel: Annotated[
        ParallelMode,
        setting(
            "What the processes of a torchrun share out: SAEs, each SAE's features, each batch's"
            " rows, or what suits the run (auto).",
            _RUN,
        ),
    ] = "auto"
    checkpoint_every: Annotated[Count, setting("Steps between checkpoints.", _RUN, gt=0)] = 1000
    keep: Annotated[
        Count,
        setting(
            "SAEs to keep along the run, beside the finished one, as folders in RUN/kept.",
            _RUN,
            ge=0,
            le=1000,
        ),
    ] = 0
    keep_spacing: Annotated[
        Literal["linear", "log"],
        setting("Steps between those: equal (linear), or growing from the first on (log).", _RUN),
    ] = "linear"
    log_every: Annotated[Count, setting("Steps between measurements.", _RUN, gt=0)] = 50
    tensorboard: Annotated[
        bool, setting("Write the metrics for TensorBoard as well, in RUN/tensorboard.", _RUN)
    ] = False
    wandb: Annotated[
        str | None,
        setting(
            "Weights & Biases project that gets the metrics as well (default: none).",
            _RUN,
            metavar="PROJECT",
        ),
    ] = None

    sae: Annotated[tuple[AnyConfig, ...], Field(description="The SAEs, one table each.")] = ()

    @classmethod
    def known_settings(cls) -> list[str]:
        return list(dict.fromkeys([*cls.model_fields, *sae_settings()]))

    @classmethod
    def normalized(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """With every SAE's table complete: settings of SAEs at the top are its defaults."""
        found = super().normalized(settings)
        _explain_old_names(found)
        at_top = [name for name in found if name not in cls.model_fields and name in sae_settings()]
        defaults = {name: found.pop(name) for name in at_top}
        tables = _tables(found.get("sae"))
        if "seed" in found:
            defaults["seed"] = found["seed"]
        tables = [
            _with_start(table, defaults, found.get("hook")) if _starts(table, defaults) else table
            for table in tables
        ]
        kinds = {_architecture(table, defaults) for table in tables if isinstance(table, dict)}
        for name in at_top:
            if kinds and not any(name in CONFIGS[kind].model_fields for kind in kinds):
                raise _foreign(" and ".join(sorted(kinds)), name, [])
        found["sae"] = tuple(
            _completed(table, defaults) if isinstance(table, dict) else table for table in tables
        )
        return found

    @model_validator(mode="after")
    def _some_rows(self) -> "TrainConfig":
        if self.cache is None and self.live is None:
            raise ConfigError(
                "--cache is missing",
                "give --cache, or --live with --model and --dataset, or set either in --config",
            )
        if self.live is None:
            return self
        if self.cache is not None:
            raise ConfigError("a cache and --live are both given", "leave out one of them")
        for name in ("heldout", "max_norm"):
            if getattr(self, name):
                raise ConfigError(
                    f"--{name.replace('_', '-')} needs a cache: a running model's rows are not"
                    " known beforehand",
                    "leave it out, or make a cache",
                )
        return self

    @model_validator(mode="after")
    def _some_sae(self) -> "TrainConfig":
        if not self.sae:
            raise ConfigError("there is no SAE to train", "give at least one configuration")
        return self

    @model_validator(mode="after")
    def _a_folder_each(self) -> "TrainConfig":
        if any(config.seed >= 2**63 for config in self.saes):
            raise ConfigError("seed + seeds is too large: seeds go up to 2^63 - 1", "lower --seed")
        names = [config.name for config in self.saes]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(f"two SAEs are called '{name}'", "give each its own name")
            if name in _TAKEN:
                raise ConfigError(f"'{name}' can't be an SAE's folder", "choose another name")
        return self

    def contexts_of(self, contexts: int) -> int | None:
        """How many of a cache's first contexts are trained on; None: all `contexts` of them.

        Raises ConfigError where `heldout` leaves none.
        """
        if not self.heldout:
            return None
        left = contexts - max(1, round(self.heldout * contexts))
        if left < 1:
            raise ConfigError(
                f"--heldout {self.heldout:g} leaves none of the cache's {contexts} contexts",
                "give a smaller share",
            )
        return left

    @property
    def saes(self) -> tuple[SAEConfig, ...]:
        """Every SAE to train: those of the tables, and their copies with other seeds."""
        return tuple(
            config if copy == 0 else _reseeded(config, config.seed + copy)
            for config in self.sae
            for copy in range(self.seeds)
        )

    @property
    def named_hooks(self) -> list[str]:
        """The hooks that the SAEs read and reconstruct, as far as they are named here."""
        each = [
            (*sae.inputs, *sae.outputs) if sae.hooks or sae.hook else (self.hook,)
            for sae in self.saes
        ]
        return [name for name in dict.fromkeys(itertools.chain(*each)) if name is not None]


def with_sae_options(settings: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """`settings` with SAE settings from the command line in every table that doesn't say its own.

    Raises ConfigError for one that no SAE has, or that every table says already.
    """
    found = {**settings}
    tables = _tables(found.get("sae"))
    for name, value in given.items():
        if name not in sae_settings():
            _explain_old_names({name: value})
            raise unknown_setting("an SAE", name, sae_settings())
        open_tables = [t for t in tables if name not in t and _EITHER.get(name) not in t]
        if not open_tables:
            raise ConfigError(
                f"{name} = {value} changes nothing: every sae table gives its own {name}",
                "change it there, or leave it out there",
            )
        kinds = {id(t): _architecture(t, {**found, **given}) for t in open_tables}
        takers = [t for t in open_tables if name in CONFIGS[kinds[id(t)]].model_fields]
        if not takers:
            raise _foreign(" and ".join(sorted(set(kinds.values()))), name, [])
        for table in takers:
            table[name] = value
    found["sae"] = tables
    return found


def _starts(table: Any, defaults: Mapping[str, Any]) -> bool:
    """Whether an SAE starts from another, whose settings then have to be read."""
    if isinstance(table, SAEConfig):
        return table.start_from is not None
    return bool({**defaults, **table}.get("start_from"))


def _with_start(table: Any, defaults: Mapping[str, Any], hook: str | None) -> dict[str, Any]:
    """The table with what it takes over from the SAE that it starts from."""
    from lmsaes.training.start_from import with_settings_of_start  # which needs torch

    if isinstance(table, SAEConfig):
        table = table.model_dump(include=table.model_fields_set)
    return with_settings_of_start(table, defaults, hook)


def _reseeded(config: SAEConfig, seed: int) -> SAEConfig:
    return config.model_copy(update={"seed": seed, "name": f"{config.name}-seed{seed}"})


def _tables(given: Any) -> list[Any]:
    """SAE tables as they may be written: none (a default SAE), one, or a list of them."""
    if given is None:
        return [{}]
    if isinstance(given, Mapping):
        given = [given]
    if not isinstance(given, list | tuple):
        raise ConfigError("sae is no table", "write each SAE as [[sae]], then k = 32 and so on")
    tables: list[Any] = []
    for table in cast(list[Any], given):
        if isinstance(table, SAEConfig):
            tables.append(table)
        elif isinstance(table, Mapping):
            named = cast(Mapping[str, Any], table)
            tables.append({key.replace("-", "_"): value for key, value in named.items()})
        else:
            raise ConfigError("sae is no table", "write each SAE as [[sae]], then k = 32 and so on")
    return tables


def _architecture(table: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    named = table.get("architecture", defaults.get("architecture", "topk"))
    kind = todays_names({"architecture": named})["architecture"]
    if not isinstance(kind, str) or kind not in CONFIGS:
        raise ConfigError(
            f"an SAE's architecture is not known: {named}", "known: " + ", ".join(CONFIGS)
        )
    return kind


def _completed(table: dict[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    kind = _architecture(table, defaults)
    fields = CONFIGS[kind].model_fields
    _explain_old_names(table)
    for name in table:
        if name not in fields:
            raise _foreign(kind, name, fields)
    taken = {
        name: value
        for name, value in defaults.items()
        if name in fields and name not in table and _EITHER.get(name) not in table
    }
    return {**taken, **table, "architecture": kind}


def _explain_old_names(settings: Mapping[str, Any]) -> None:
    for name in settings:
        if name in RENAMED:
            raise ConfigError(f"'{name}' is now called '{RENAMED[name]}'")


def _foreign(kind: str, name: str, known: Any) -> ConfigError:
    owners = [f"{owner}'s" for owner, other in CONFIGS.items() if name in other.model_fields]
    if not owners:
        return unknown_setting(kind, name, known)
    whose = " and ".join(filter(None, [", ".join(owners[:-1]), owners[-1]]))
    return ConfigError(
        f"{kind} has no setting '{name}': it is {whose}",
        "leave it out, or choose another architecture",
    )
