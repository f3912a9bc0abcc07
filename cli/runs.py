"""`lmsaes runs`: what runs of `lmsaes train` hold, and how they compare."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lmsaes.cli.group import Command, lazy_app
from lmsaes.cli.messages import NONE, figure, share
from lmsaes.units import format_count

if TYPE_CHECKING:
    from lmsaes.training import RunSummary

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

runs = lazy_app(
    {
        "list": Command("lmsaes.cli.runs:list_runs", "List the runs in folders."),
        "show": Command("lmsaes.cli.runs:show", "Show a run's SAEs."),
        "compare": Command("lmsaes.cli.runs:compare", "Compare the SAEs of runs, with a picture."),
    },
    help="List, show and compare runs of `lmsaes train`.",
)


def list_runs(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FOLDER", help="Runs, or folders of runs (default: runs)."),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the runs in folders, and whether they are finished."""
    from lmsaes.training import find_runs, run_summary

    found = [run_summary(run) for run in find_runs(folders or [Path("runs")])]
    if as_json:
        typer.echo(json.dumps({"runs": [asdict(run) for run in found]}, allow_nan=False))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("run", "state", "tokens", "SAEs")
    for run in found:
        names = ", ".join(sae.name for sae in run.saes)
        table.add_row(run.path, run.state, format_count(run.tokens), names)
    Console().print(table)


def show(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of the run.")],
    as_json: Json = False,
) -> None:
    """Show a run's SAEs: at the end, or as they were last measured."""
    from lmsaes.training import run_summary

    found = run_summary(run)
    if as_json:
        typer.echo(json.dumps(asdict(found), allow_nan=False))
        return
    typer.echo(
        f"{found.path}: {found.state}, {format_count(found.tokens)} tokens in steps of"
        f" {format_count(found.batch_size)}, seed {found.seed}"
    )
    if found.tokens_per_second is not None:
        typer.echo(
            f"{format_count(found.tokens_per_second)} tokens/s, of the time"
            f" {share(found.share_waited)} waiting for rows"
        )
    _print([found])


def compare(
    paths: Annotated[list[Path], typer.Argument(metavar="RUN", help="Folders of the runs.")],
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Draw FVU over the run, FVU against L0, and densities into an image"
            " (.png, .svg or .pdf). [default: no image]",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare the SAEs of runs, with a picture if asked for."""
    from lmsaes.evaluation import check_plot
    from lmsaes.training import plot_runs, run_summary

    if plot is not None:
        check_plot(plot)
    found = [run_summary(path) for path in paths]
    if plot is not None:
        plot_runs(found, plot)
    if as_json:
        typer.echo(json.dumps({"runs": [asdict(run) for run in found]}, allow_nan=False))
        return
    _print(found)


def _print(found: "Sequence[RunSummary]") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("SAE", "state", "features", "tokens", "FVU", "L0", "dead", "CE recovered")
    for run in found:
        for sae in run.saes:
            table.add_row(
                sae.name if len(found) == 1 else f"{Path(run.path).name}:{sae.name}",
                sae.state,
                NONE if sae.features is None else str(sae.features),
                NONE if sae.tokens is None else format_count(sae.tokens),
                figure(sae.fvu, ".4f"),
                figure(sae.l0, ".1f"),
                share(sae.dead_fraction),
                figure(sae.ce_recovered_zero, ".3f"),
            )
    Console().print(table)
