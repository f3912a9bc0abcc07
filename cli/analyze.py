"""`lmsaes analyze`: find what each feature fires on, for the viewer."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from lmsaes.errors import ConfigError


def analyze(
    saes: Annotated[list[Path], typer.Argument(help="SAE folders, or runs that hold some")],
    cache: Annotated[str, typer.Option(help="cache to look through: a folder or a URL")],
    db: Annotated[
        str | None,
        typer.Option(
            help="MongoDB address [default: $LMSAES_DB, or the embedded server]",
            metavar="URI",
            show_default=False,
        ),
    ] = None,
    features: Annotated[
        str | None, typer.Option(help="a range of features, as 0:512 [default: all]")
    ] = None,
    top: Annotated[int, typer.Option(help="contexts kept per feature", min=1)] = 40,
    name: Annotated[
        str | None, typer.Option(help="name in the database [default: run:sae]")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="where the language model is [default: as in the cache]")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, …")] = "auto",
    any_model: Annotated[
        bool, typer.Option("--any-model", help="analyze SAEs of another model than the cache's")
    ] = False,
) -> None:
    """Find each feature's top contexts and numbers, for any number of SAEs in one pass."""
    from lmsaes.analysis import analyze as run
    from lmsaes.cache import ActivationCache
    from lmsaes.database import Database

    chosen = _features(features)
    opened = ActivationCache.open(cache)
    with Database(db) as database:
        records = run(
            saes,
            opened,
            database,
            features=chosen,
            top=top,
            name=name,
            model=model,
            device=device,
            any_model=any_model,
        )
    table = Table("SAE", "features", "FVU", "L0", "dead")
    for record in records:
        start, stop = record.feature_range
        table.add_row(
            record.name,
            str(stop - start),
            f"{record.fvu:.3f}",
            f"{record.l0:.1f}",
            f"{100 * record.dead_fraction:.1f} %",
        )
    Console().print(table)
    typer.echo("done; next: lmsaes serve" + (f" --db {db}" if db else ""))


def _features(text: str | None) -> slice | None:
    if text is None:
        return None
    start, colon, stop = text.partition(":")
    if not colon or not all(part == "" or part.isdigit() for part in (start, stop)):
        raise ConfigError(f"'{text}' is not a range of features", "write it as 0:512")
    return slice(int(start) if start else None, int(stop) if stop else None)
