"""`lmsaes train`: many SAEs from one read of a cache."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lmsaes.cli.messages import NONE, figure, say_next, share
from lmsaes.cli.options import (
    ConfigFile,
    choice,
    only_given,
    options_of,
    settings_from,
    with_options,
)
from lmsaes.errors import ConfigError, LmsaesError
from lmsaes.sae import CONFIGS, JumpReLUConfig, SAEConfig, TopKConfig
from lmsaes.training import TrainConfig, per_layer_transcoders, with_sae_options
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
_RUN = [name for name in TrainConfig.model_fields if name != "sae"]


@with_options([*options_of(TrainConfig, _RUN), *_COMMON])
def train(
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
    settings = settings_from(TrainConfig, config, given)
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


def _per_layer(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings with every table once per MLP of the cache."""
    from lmsaes.cache import ActivationCache

    if "cache" not in settings:
        return settings
    if settings.get("hook"):
        raise ConfigError(
            "--transcoders takes the MLP of every layer, so --hook says nothing",
            "leave out one of them",
        )
    hooks = ActivationCache.open(settings["cache"]).hooks
    default = {"architecture": settings.get("architecture", "batchtopk")}
    tables = [default | table for table in settings["sae"]]
    return {**settings, "sae": per_layer_transcoders(hooks, tables)}


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
    say_next(f"{where} is done", "analyze", str(where), "--cache", settings.cache)
    if diverged := [result.diverged for result in results if result.diverged is not None]:
        messages = "; ".join(each.message for each in diverged)
        raise LmsaesError(
            f"{messages} ({len(diverged)} of {len(results)} SAEs)",
            f"{diverged[0].hint}; the same command then trains that SAE alone. What is kept of it:"
            f" {Path(settings.out) / 'diverged' / diverged[0].name}",
        )
