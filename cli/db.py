"""`lmsaes db`: the SAEs in the database, as objects of their own."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from lmsaes.cli.group import Command, lazy_app
from lmsaes.cli.messages import figure, say_next

Db = Annotated[
    str | None,
    typer.Option(
        "--db",
        help="MongoDB address. [default: $LMSAES_DB, or the embedded server]",
        metavar="URI",
    ),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of an SAE in the database.")]
_SHOWN = ("name", "model", "hook", "features", "l0", "fvu", "dead_fraction", "created", "sae_path")

db = lazy_app(
    {
        "list": Command("lmsaes.cli.db:list_saes", "List the SAEs in the database."),
        "show": Command("lmsaes.cli.db:show", "Print an SAE's record as JSON."),
        "rename": Command("lmsaes.cli.db:rename", "Give an SAE another name."),
        "rm": Command("lmsaes.cli.db:remove", "Remove an SAE's analysis, readable or not."),
        "dump": Command("lmsaes.cli.db:dump", "Write everything into one file."),
        "restore": Command(
            "lmsaes.cli.db:restore", "Put what such a file holds into the database."
        ),
        "gc": Command(
            "lmsaes.cli.db:collect_garbage",
            "Drop what interrupted, replaced and removed analyses left.",
        ),
    },
    help="List, rename, remove, dump and restore the SAEs in the database.",
)


def list_saes(
    db: Db = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List the SAEs in the database, and the records that can't be read."""
    from lmsaes.database import Database

    with Database(db) as database:
        saes, unreadable, place = database.saes(), database.unreadable(), database.place
    if as_json:
        listed = [record.model_dump(mode="json", include=set(_SHOWN)) for record in saes]
        others = [
            {"name": each.name, "problem": each.problem, "hint": each.hint} for each in unreadable
        ]
        typer.echo(json.dumps({"saes": listed, "unreadable": others}))
        return
    if not saes and not unreadable:
        typer.echo(f"there is nothing in {place}")
    if saes:
        _print_table(saes)
    for each in unreadable:
        typer.echo(f"{each.name} can't be read: {each.problem}\n  {each.hint}")


def _print_table(saes: list[Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("SAE", "model", "hook", "features", "L0", "FVU", "analyzed")
    for record in saes:
        start, stop = record.feature_range
        l0, fvu = figure(record.l0, ".1f"), figure(record.fvu, ".3f")
        day = record.created.partition("T")[0]
        table.add_row(record.name, record.model, record.hook, str(stop - start), l0, fvu, day)
    Console().print(table)


def show(name: Name, db: Db = None) -> None:
    """Print an SAE's record as JSON: where it comes from, and what its analysis was made from."""
    from lmsaes.database import Database
    from lmsaes.errors import ConfigError

    with Database(db) as database:
        record = database.sae(name)
        if record is None:
            raise ConfigError(f"no SAE '{name}' in {database.place}", "see: lmsaes db list")
    typer.echo(record.model_dump_json(indent=2))


def rename(
    old: Annotated[str, typer.Argument(metavar="OLD", help="Name of an SAE in the database.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="What it is to be called.")],
    db: Db = None,
) -> None:
    """Give an SAE another name."""
    from lmsaes.database import Database

    with Database(db) as database:
        database.rename(old, new)
    typer.echo(f"{old} is called {new} now")


def remove(name: Name, db: Db = None) -> None:
    """Remove an SAE's analysis, readable or not; its folder stays as it is."""
    from lmsaes.database import Database

    with Database(db) as database:
        database.remove(name)
        place = database.place
    typer.echo(f"removed {name} from {place}")


File = Annotated[Path, typer.Argument(metavar="FILE", help="The file.")]


def dump(
    file: File,
    db: Db = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
) -> None:
    """Write all SAEs that can be read, and what was said of features, into one file."""
    from lmsaes.database import Database
    from lmsaes.errors import ConfigError
    from lmsaes.units import format_bytes

    file = file.expanduser()
    if file.exists() and not overwrite:
        raise ConfigError(f"{file} is there already", "give another name, or --overwrite")
    with Database(db) as database:
        records, unreadable = database.dump(file), database.unreadable()
    for each in unreadable:
        typer.echo(f"{each.name} is left out: {each.problem}")
    typer.echo(f"{len(records)} SAEs are in {file} ({format_bytes(file.stat().st_size)})")
    say_next("done", "db", "restore", str(file))


def restore(file: File, db: Db = None) -> None:
    """Put what a dump holds into the database; what is there already stays."""
    from lmsaes.database import Database

    with Database(db) as database:
        names = database.restore(file.expanduser())
        place = database.place
    for name in names:
        typer.echo(name)
    typer.echo(f"{len(names)} SAEs of {file} are in {place}")


def collect_garbage(db: Db = None) -> None:
    """Drop what interrupted, replaced and removed analyses left.

    Every start of an analysis does so too.
    """
    from lmsaes.database import Database

    with Database(db) as database:
        dropped = database.gc()
    for collection in dropped:
        typer.echo(f"dropped {collection}")
    if not dropped:
        typer.echo("nothing to drop")
