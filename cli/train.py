"""`lmsaes train`: many SAEs from one read of a cache."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from lmsaes.errors import ConfigError
from lmsaes.sae import CONFIGS, JumpReLUConfig, ReLUConfig, SAEConfig, TopKConfig
from lmsaes.training import Sweep, TrainedSAE, make_sweep

_ARCHITECTURES = ", ".join(CONFIGS)


def _of_run(name: str) -> str:
    return Sweep.model_fields[name].description or ""


def _of_sae(name: str, config: type[SAEConfig] = SAEConfig) -> str:
    return config.model_fields[name].description or ""


def train(
    cache: Annotated[str | None, typer.Option(help=_of_run("cache"))] = None,
    hook: Annotated[str | None, typer.Option(help=_of_run("hook"))] = None,
    out: Annotated[Path | None, typer.Option(help=_of_run("out"))] = None,
    config: Annotated[
        Path | None, typer.Option(help="TOML file: these options and one sae table per SAE")
    ] = None,
    architecture: Annotated[
        str | None, typer.Option(help=f"{_ARCHITECTURES} (default: topk)")
    ] = None,
    name: Annotated[str | None, typer.Option(help=_of_sae("name"))] = None,
    expansion: Annotated[float | None, typer.Option(help=_of_sae("expansion"))] = None,
    features: Annotated[int | None, typer.Option(help=_of_sae("features"))] = None,
    k: Annotated[
        int | None, typer.Option(help=_of_sae("k", TopKConfig) + ", of the topk kinds")
    ] = None,
    l1: Annotated[
        float | None, typer.Option(help=_of_sae("l1", ReLUConfig) + ", of relu and its kin")
    ] = None,
    l0: Annotated[
        float | None, typer.Option(help=_of_sae("l0", JumpReLUConfig) + ", of jumprelu")
    ] = None,
    lr: Annotated[float | None, typer.Option(help=_of_sae("lr"))] = None,
    tokens: Annotated[
        str | None, typer.Option(help=_of_run("tokens") + ", as 500k or 200M (default: 200M)")
    ] = None,
    batch_size: Annotated[
        str | None, typer.Option(help=_of_run("batch_size") + " (default: 4096)")
    ] = None,
    shuffle_buffer: Annotated[
        str | None, typer.Option(help=_of_run("shuffle_buffer") + " (default: 4GiB)")
    ] = None,
    allow_poor_shuffle: Annotated[
        bool, typer.Option("--allow-poor-shuffle", help=_of_run("allow_poor_shuffle"))
    ] = False,
    pool_device: Annotated[
        str | None, typer.Option(help=_of_run("pool_device"), show_default=False)
    ] = None,
    max_norm: Annotated[
        float | None, typer.Option(help=_of_run("max_norm"), show_default=False)
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="seed of the weights and the order of rows (default: 0)")
    ] = None,
    device: Annotated[str | None, typer.Option(help=_of_run("device") + " (default: auto)")] = None,
    checkpoint_every: Annotated[
        str | None, typer.Option(help=_of_run("checkpoint_every") + " (default: 1000)")
    ] = None,
    wandb: Annotated[
        str | None, typer.Option(help=_of_run("wandb"), metavar="PROJECT", show_default=False)
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="replace the run that is in the folder")
    ] = False,
) -> None:
    """Train one SAE, or with --config many at once, on cached activations.

    Run it again to continue an unfinished run.
    """
    options = {
        "cache": cache,
        "hook": hook,
        "out": out,
        "tokens": tokens,
        "batch_size": batch_size,
        "shuffle_buffer": shuffle_buffer,
        "allow_poor_shuffle": allow_poor_shuffle or None,
        "pool_device": pool_device,
        "max_norm": max_norm,
        "seed": seed,
        "device": device,
        "checkpoint_every": checkpoint_every,
        "wandb": wandb,
    }
    single = {
        "architecture": architecture,
        "name": name,
        "expansion": expansion,
        "features": features,
        "k": k,
        "l1": l1,
        "l0": l0,
        "lr": lr,
    }
    given = {setting: value for setting, value in single.items() if value is not None}
    if config is None:
        sae = {"architecture": "topk"} | ({} if seed is None else {"seed": seed}) | given
        sweep = make_sweep(options | {"sae": [sae]})
    elif given:
        raise ConfigError(
            f"--{next(iter(given))} can't be given with --config",
            f"write it into the [[sae]] tables of {config}",
        )
    else:
        sweep = make_sweep(options, config)
    _print_results(sweep, sweep.train(overwrite=overwrite))


def _print_results(sweep: Sweep, results: list[TrainedSAE]) -> None:
    table = Table("SAE", "FVU", "L0", "dead")
    for result in results:
        metrics = result.metrics
        dead = f"{100 * metrics.dead_fraction:.1f} %"
        table.add_row(result.name, f"{metrics.fvu:.4f}", f"{metrics.l0:.1f}", dead)
    Console().print(table)
    where = results[0].path if len(results) == 1 else sweep.out
    typer.echo(f"{where} is done; next: lmsaes analyze {where} --cache {sweep.cache}")
