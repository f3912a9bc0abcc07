"""`lmsaes train`: many SAEs from one read of a cache."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lmsaes.capture import LiveConfig
from lmsaes.cli.messages import NONE, figure, say_next, share
from lmsaes.cli.options import (
    ConfigFile,
    choice,
    only_given,
    options_of,
    options_of_table,
    settings_from,
    table_from,
    with_options,
)
from lmsaes.configuration import option_name
from lmsaes.errors import ConfigError, LmsaesError
from lmsaes.sae import CONFIGS, JumpReLUConfig, SAEConfig, TopKConfig
from lmsaes.training import MLP_HOOKS, TrainConfig, per_layer_transcoders, with_sae_options
from lmsaes.units import format_bytes, format_count

if TYPE_CHECKING:
    from lmsaes.training import TrainedSAE, TrainingPlan

_SAE = "SAE (with --config: of every sae table that doesn't say it)"
_L1 = ", ".join(
    f"{config.model_fields['l1'].default:g} for {kind}"
    for kind, config in CONFIGS.items()
    if "l1" in config.model_fields
)
_COMMON = [
    choice("architecture", list(CONFIGS), "Kind of SAE.", _SAE),
    *options_of(
        SAEConfig,
        ("name", "expansion", "features", "lr"),
        _SAE,
        {"expansion": "16", "features": "expansion · d_model"},
    ),
    *options_of(SAEConfig, ("start_from", "freeze", "fine_tune", "schedule", "lr_end"), _SAE),
    *options_of(TopKConfig, ("k",), _SAE),
    *options_of(CONFIGS["relu"], ("l1",), _SAE, {"l1": _L1}),
    *options_of(JumpReLUConfig, ("l0",), _SAE),
]
_STATES = {
    "new": "a new run",
    "unfinished": "an unfinished run, which would go on",
    "finished": "finished already",
}
_RUN = [name for name in TrainConfig.model_fields if name not in ("sae", "live")]
_LIVE = options_of_table(
    LiveConfig, "live", "A running model in place of a cache (--live)", TrainConfig.model_fields
)


@with_options([*options_of(TrainConfig, _RUN), *_COMMON, *_LIVE])
def train(
    live: Annotated[
        bool,
        typer.Option(
            "--live",
            help="Run the model while the SAEs train: nothing of its activations is stored.",
            rich_help_panel="What to train",
        ),
    ] = False,
    sae: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SETTING=VALUE",
            help="Any other setting of an SAE, such as aux_weight=0.2 (docs/training.md lists"
            " them); may be given several times. [default: each setting's own]",
            rich_help_panel=_SAE,
        ),
    ] = None,
    config: ConfigFile = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the run that is in the folder.")
    ] = False,
    transcoders: Annotated[
        bool,
        typer.Option(
            "--transcoders",
            help="Train a transcoder with a skip connection for every MLP in the cache, as `lmsaes"
            " trace` needs (batchtopk, unless said otherwise).",
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Print the steps and the memory that it would take, and stop."
        ),
    ] = False,
    **given: Any,
) -> None:
    """Train one SAE, or many at once, on cached activations.

    A file given by --config has one sae table for each SAE. Run it again to continue an
    unfinished run. Under torchrun --no-python, all processes train one run together. The run's
    folder keeps the settings as train.toml, which --config takes.
    """
    common = {option.name: given.pop(option.name) for option in _COMMON}
    of_model = table_from(given, "live", LiveConfig)
    settings = _with_model(settings_from(TrainConfig, config, given), live, of_model)
    settings = with_sae_options(settings, only_given(common) | _parsed(sae or []))
    if transcoders:
        settings = _per_layer(settings)
    settings = TrainConfig.of(settings)

    run_settings = {name: value for name, value in settings if name != "sae"}
    if dry_run:
        from lmsaes.training import plan_training

        plan = plan_training(configs=settings.sae, overwrite=overwrite, **run_settings)
        _print_plan(settings, plan)
        return

    from lmsaes.parallel import is_first_rank
    from lmsaes.training import train as run

    results = run(configs=settings.sae, overwrite=overwrite, **run_settings)
    if is_first_rank():
        _print_results(settings, results)


def _with_model(settings: dict[str, Any], live: bool, given: dict[str, Any]) -> dict[str, Any]:
    """The settings with what was given of a running model. Raises ConfigError for an option of one
    where there is none."""
    table = settings.get("live")
    if table is None and not live:
        if not given:
            return settings
        name = next(iter(given))
        flag = f"live-{name}" if name in TrainConfig.model_fields else name
        raise ConfigError(
            f"--{flag.replace('_', '-')} is of a model that runs while SAEs train",
            "add --live, or leave it out",
        )
    if table is not None and not isinstance(table, Mapping):
        raise ConfigError("live is no table", 'write it as [live], then model = "gpt2" and so on')
    return {**settings, "live": {**(table or {}), **given}}


def _per_layer(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings with every table once per MLP of the cache, or of the running model."""
    if not ("cache" in settings or "live" in settings):
        return settings
    if settings.get("hook"):
        raise ConfigError(
            "--transcoders takes the MLP of every layer, so --hook says nothing",
            "leave out one of them",
        )
    hooks = _hooks_of(settings)
    default = {"architecture": settings.get("architecture", "batchtopk")}
    tables = [default | table for table in settings["sae"]]
    return {**settings, "sae": per_layer_transcoders(hooks, tables)}


def _hooks_of(settings: dict[str, Any]) -> list[str]:
    """The hooks of the cache, or those of the running model that transcoders need."""
    if "live" in settings:
        from lmsaes.capture import open_model

        return list(open_model(LiveConfig.of(settings["live"])).find_hooks(MLP_HOOKS))
    from lmsaes.cache import ActivationCache

    return list(ActivationCache.open(settings["cache"]).hooks)


def _parsed(settings: Sequence[str]) -> dict[str, Any]:
    """Settings as `aux_weight=0.2`: values as TOML has them, a bare word as text."""
    found: dict[str, Any] = {}
    for each in settings:
        name, equals, value = each.partition("=")
        if not equals:
            raise ConfigError(
                f"--sae {each} has no value", "write it as --sae SETTING=VALUE, as aux_weight=0.2"
            )
        try:
            found[name.strip().replace("-", "_")] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            found[name.strip().replace("-", "_")] = value.strip()
    return found


def _print_plan(settings: TrainConfig, plan: "TrainingPlan") -> None:
    """The plan as a table; a ConfigError at the end where it doesn't fit."""
    from rich.console import Console
    from rich.table import Column, Table

    memory = plan.memory
    name = Column("SAE", no_wrap=True)
    table = Table(name, "features", "weights", "gradients", "optimizer", "rows", "all")
    for sae in memory.saes:
        sizes = (sae.weights, sae.gradients, sae.optimizer, sae.activations, sae.total)
        table.add_row(sae.name, str(sae.features), *map(format_bytes, sizes))
    Console().print(table)
    free = "" if memory.free is None else f", {format_bytes(memory.free)} are free"
    typer.echo(
        f"{plan.steps} steps of {format_count(settings.batch_size)} tokens from"
        f" {format_count(plan.rows)} rows, on {memory.device}\n"
        f"memory: {format_bytes(memory.total)}, {format_bytes(memory.pool)} of it for the shuffle"
        f" buffer{free}\n"
        f"disk: {format_bytes(plan.result_bytes)} for the SAEs, and until then twice"
        f" {format_bytes(plan.checkpoint_bytes)} for checkpoints"
    )
    memory.check()
    typer.echo(f"{settings.out} is {_STATES[plan.state]}; nothing was started (--dry-run)")


def _print_results(settings: TrainConfig, results: "list[TrainedSAE]") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("SAE", "FVU", "L0", "dead")
    for result in results:
        if result.diverged is not None:
            table.add_row(result.name, "diverged", NONE, NONE)
        elif (metrics := result.metrics) is not None:
            table.add_row(
                result.name,
                figure(metrics.fvu, ".4f"),
                figure(metrics.l0, ".1f"),
                share(metrics.dead_fraction),
            )
    Console().print(table)
    where = results[0].path if len(results) == 1 else Path(settings.out)
    if settings.live is None:
        assert settings.cache is not None
        say_next(f"{where} is done", "analyze", str(where), "--cache", settings.cache)
    else:
        say_next(f"{where} is done", "cache", *_cache_of(settings))
    if diverged := [result.diverged for result in results if result.diverged is not None]:
        messages = "; ".join(each.message for each in diverged)
        raise LmsaesError(
            f"{messages} ({len(diverged)} of {len(results)} SAEs)",
            f"{diverged[0].hint}; the same command then trains that SAE alone. What is kept of it:"
            f" {Path(settings.out) / 'diverged' / diverged[0].name}",
        )


def _cache_of(settings: TrainConfig) -> list[str]:
    """The options of `lmsaes cache` for rows that the SAEs of a run without one can be read by."""
    assert settings.live is not None
    of_model = settings.live.model_dump(exclude_defaults=True)
    options: list[str] = []
    for name, value in of_model.items():
        flag = "--" + option_name(name, LiveConfig.model_fields[name])
        if isinstance(value, bool):
            options.append(flag if value else flag.replace("--", "--no-", 1))
            continue
        for each in value if isinstance(value, tuple) else (value,):
            options += [flag, str(each)]
    hooks = [part for hook in settings.named_hooks for part in ("--hook", hook)]
    return [*options, *hooks, "--tokens", "1M", "--out", f"caches/{Path(settings.out).name}"]
