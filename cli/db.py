"""`lmsaes db`: the SAEs and graphs in the database, as objects of their own."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from lmsaes.cli.group import Command, lazy_app
from lmsaes.cli.messages import analyzed, figure, say_next

Db = Annotated[
    str | None,
    typer.Option(
        "--db",
        help="MongoDB address. [default: $LMSAES_DB, or the embedded server]",
        metavar="URI",
    ),
]
Name = Annotated[
    str, typer.Argument(metavar="NAME", help="Name of an SAE, or of a graph, in the database.")
]
Graph = Annotated[bool, typer.Option("--graph", help="NAME is that of an attribution graph.")]
_SHOWN = (
    "name",
    "model",
    "hook",
    "features",
    "l0",
    "fvu",
    "dead_fraction",
    "created",
    "sae_path",
    "feature_range",
)
_PROMPT = 40  # characters of it in the list
_OF_GRAPHS = ("name", "graph", "prompt", "model", "features", "nodes", "edges", "created")

db = lazy_app(
    {
        "list": Command("lmsaes.cli.db:list_saes", "List the SAEs and graphs in the database."),
        "show": Command("lmsaes.cli.db:show", "Print an SAE's or a graph's record as JSON."),
        "rename": Command("lmsaes.cli.db:rename", "Give an SAE or a graph another name."),
        "rm": Command(
            "lmsaes.cli.db:remove", "Remove an SAE's analysis or a graph, readable or not."
        ),
        "dump": Command("lmsaes.cli.db:dump", "Write everything into one file."),
        "restore": Command(
            "lmsaes.cli.db:restore", "Put what such a file holds into the database."
        ),
        "gc": Command(
            "lmsaes.cli.db:collect_garbage",
            "Drop what interrupted, replaced and removed analyses left.",
        ),
    },
    help="List, rename, remove, dump and restore the SAEs and graphs in the database.",
)


def list_saes(
    db: Db = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List the SAEs and graphs in the database, and the records that can't be read."""
    from lmsaes.database import Database

    with Database(db) as database:
        saes, graphs, place = database.saes(), database.graphs.all(), database.place
        unreadable = database.unreadable() + database.graphs.unreadable()
    if as_json:
        listed = [record.model_dump(mode="json", include=set(_SHOWN)) for record in saes]
        others = [
            {"name": each.name, "problem": each.problem, "hint": each.hint} for each in unreadable
        ]
        traced = [record.model_dump(mode="json", include=set(_OF_GRAPHS)) for record in graphs]
        typer.echo(json.dumps({"saes": listed, "graphs": traced, "unreadable": others}))
        return
    if not saes and not graphs and not unreadable:
        typer.echo(f"there is nothing in {place}")
    if saes:
        _print_table(saes)
    if graphs:
        _print_graphs(graphs)
    for each in unreadable:
        typer.echo(f"{each.name} can't be read: {each.problem}\n  {each.hint}")


def _print_table(saes: list[Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("SAE", "model", "hook", "features", "L0", "FVU", "analyzed")
    for record in saes:
        l0, fvu = figure(record.l0, ".1f"), figure(record.fvu, ".3f")
        count = analyzed(record.features, *record.feature_range)
        day = record.created.partition("T")[0]
        table.add_row(record.name, record.model, record.hook, count, l0, fvu, day)
    Console().print(table)


def _print_graphs(graphs: list[Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("graph", "model", "prompt", "features", "edges", "traced")
    for record in graphs:
        prompt = Text(" ".join(record.prompt.split()))
        prompt.truncate(_PROMPT, overflow="ellipsis")
        day = record.created.partition("T")[0]
        counts = str(record.features), str(record.edges)
        table.add_row(record.name, record.model, prompt, *counts, day)
    Console().print(table)


def show(name: Name, db: Db = None, graph: Graph = False) -> None:
    """Print an SAE's record as JSON: where it comes from, and what its analysis was made from.

    With --graph, an attribution graph's: what it is of, and how far to believe it.
    """
    from lmsaes.database import Database
    from lmsaes.errors import ConfigError

    with Database(db) as database:
        record = database.graphs.get(name) if graph else database.sae(name)
        if graph and record is None:
            raise database.graphs.unknown(name)
        if record is None:
            raise ConfigError(f"no SAE '{name}' in {database.place}", "see: lmsaes db list")
    typer.echo(record.model_dump_json(indent=2))


def rename(
    old: Annotated[str, typer.Argument(metavar="OLD", help="Name of an SAE, or of a graph.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="What it is to be called.")],
    db: Db = None,
    graph: Graph = False,
) -> None:
    """Give an SAE or, with --graph, a graph another name."""
    from lmsaes.database import Database

    with Database(db) as database:
        rename = database.graphs.rename if graph else database.rename
        rename(old, new)
    typer.echo(f"{old} is called {new} now")


def remove(name: Name, db: Db = None, graph: Graph = False) -> None:
    """Remove an SAE's analysis or, with --graph, a graph; run folders stay as they are.

    One that can't be read is removed too.
    """
    from lmsaes.database import Database

    with Database(db) as database:
        remove = database.graphs.remove if graph else database.remove
        remove(name)
        place = database.place
    typer.echo(f"removed {name} from {place}")


File = Annotated[Path, typer.Argument(metavar="FILE", help="The file.")]


def dump(
    file: File,
    db: Db = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
) -> None:
    """Write all SAEs and graphs that can be read, and what was said of features, into one file."""
    from lmsaes.database import Database
    from lmsaes.errors import ConfigError
    from lmsaes.units import format_bytes

    file = file.expanduser()
    if file.exists() and not overwrite:
        raise ConfigError(f"{file} is there already", "give another name, or --overwrite")
    with Database(db) as database:
        dumped = database.dump(file)
        unreadable = database.unreadable() + database.graphs.unreadable()
    for each in unreadable:
        typer.echo(f"{each.name} is left out: {each.problem}")
    size = format_bytes(file.stat().st_size)
    typer.echo(f"{_counts(dumped)} are in {file} ({size})")
    say_next("done", "db", "restore", str(file))


def restore(file: File, db: Db = None) -> None:
    """Put what a dump holds into the database; what is there already stays."""
    from lmsaes.database import Database

    with Database(db) as database:
        restored = database.restore(file.expanduser())
        place = database.place
    for record in restored.saes + restored.graphs:
        typer.echo(record.name)
    typer.echo(f"{_counts(restored)} of {file} are in {place}")


def _counts(found: Any) -> str:
    graphs = f" and {len(found.graphs)} graphs" if found.graphs else ""
    return f"{len(found.saes)} SAEs{graphs}"


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
