"""`lmsaes explain`: what features stand for, in words."""

import getpass
from pathlib import Path
from typing import Annotated

import typer

from lmsaes.errors import ConfigError


def explain(
    sae: Annotated[str, typer.Argument(metavar="SAE", help="Name of an SAE in the database.")],
    set: Annotated[
        tuple[int, str] | None,
        typer.Option(
            metavar="FEATURE TEXT",
            help="What a feature stands for; an empty text takes back what was said."
            " [default: none]",
        ),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write all explanations with their history. [default: none]"
        ),
    ] = None,
    import_: Annotated[
        Path | None,
        typer.Option(
            "--import", metavar="FILE", help="Add the explanations of such a file. [default: none]"
        ),
    ] = None,
    author: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Who says so. [default: your name on this machine]"),
    ] = None,
    db: Annotated[
        str | None,
        typer.Option(
            "--db",
            help="MongoDB address. [default: $LMSAES_DB, or the embedded server]",
            metavar="URI",
        ),
    ] = None,
) -> None:
    """Say what features stand for: set, show, export and import explanations.

    Without an option the explanations are listed. They belong to the SAE's weights and stay when it
    is analyzed again.
    """
    if sum(option is not None for option in (set, export, import_)) > 1:
        raise ConfigError("--set, --export and --import don't go together", "run one at a time")

    from lmsaes.database import Database
    from lmsaes.explain import explain_by_hand, export_explanations, import_explanations

    with Database(db) as database:
        record = database.sae(sae)
        if record is None:
            raise ConfigError(f"no SAE '{sae}' in {database.place}", "see: lmsaes db list")
        if set is not None:
            feature, text = set
            explain_by_hand(database, record, feature, text, author or getpass.getuser())
            typer.echo(f"feature {feature} of {record.name}: {text or 'no explanation any more'}")
        elif export is not None:
            count = export_explanations(database, record, export)
            typer.echo(f"{count} explanations of {record.name} are in {export}")
        elif import_ is not None:
            count = import_explanations(database, record, import_)
            typer.echo(f"{count} new explanations of {record.name}")
        else:
            newest = {each.feature: each for each in database.explanations.all(record.sae_hash)}
            for feature, explanation in sorted(newest.items()):
                if explanation.text:
                    typer.echo(f"{feature}\t{explanation.text}\t({explanation.author})")
