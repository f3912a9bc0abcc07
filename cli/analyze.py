"""`lmsaes analyze`: find what each feature fires on, for the viewer."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lmsaes.analysis import AnalyzeConfig
from lmsaes.cli.messages import analyzed, figure, say_where, share
from lmsaes.cli.options import ConfigFile, options_of, settings_from, with_options

if TYPE_CHECKING:
    from lmsaes.database import SAERecord

_OPTIONS = [name for name in AnalyzeConfig.model_fields if name != "saes"]


@with_options(options_of(AnalyzeConfig, _OPTIONS))
def analyze(
    saes: Annotated[
        list[str] | None,
        typer.Argument(metavar="SAE", help=AnalyzeConfig.model_fields["saes"].description),
    ] = None,
    config: ConfigFile = None,
    **given: Any,
) -> None:
    """Find each feature's top contexts and numbers, for any number of SAEs in one pass.

    What is in the database already is left as it is.
    """
    settings = AnalyzeConfig.of(settings_from(AnalyzeConfig, config, {"saes": saes, **given}))

    from lmsaes.analysis import analyze as run
    from lmsaes.cache import ActivationCache
    from lmsaes.database import Database

    how = {name: value for name, value in settings if name not in ("saes", "cache", "db")}
    cache = ActivationCache.open(settings.cache)
    with Database(settings.db) as database:
        records = run(settings.saes, cache, database, **how)
    _print_records(records)
    say_where(settings.db)


def _print_records(records: "list[SAERecord]") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("SAE", "features", "FVU", "L0", "dead")
    for record in records:
        table.add_row(
            record.name,
            analyzed(record.features, *record.feature_range),
            figure(record.fvu, ".3f"),
            figure(record.l0, ".1f"),
            share(record.dead_fraction),
        )
    Console().print(table)
