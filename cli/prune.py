"""`lmsaes prune`: a copy of an SAE without dead, weak and short features."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lmsaes.cli.messages import figure, say_next
from lmsaes.cli.options import options_of, with_options
from lmsaes.training import PruneConfig

if TYPE_CHECKING:
    from lmsaes.training import Pruned

_OPTIONS = [name for name in PruneConfig.model_fields if name != "sae"]
_SHOWN = ("l0", "fvu", "alive", "ce_recovered_zero")


@with_options(options_of(PruneConfig, _OPTIONS))
def prune(
    sae: Annotated[
        str, typer.Argument(metavar="SAE", help=PruneConfig.model_fields["sae"].description)
    ],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the SAE that is in the folder.")
    ] = False,
    **given: Any,
) -> None:
    """Write a copy of an SAE without features that never fire, are weak or short.

    Both are measured on the same rows afterwards. pruned.json in the folder says where each
    feature is now, or why it went.
    """
    settings = {name: value for name, value in given.items() if value is not None}
    config = PruneConfig.of({"sae": sae, **settings})

    from lmsaes.training import prune as run

    result = run(overwrite=overwrite, **dict(config))
    _print(result)
    say_next(f"{result.path} is done", "analyze", str(result.path), "--cache", config.cache)


def _print(result: "Pruned") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("", "before", "pruned")
    table.add_row("features", str(result.features), str(len(result.kept)))
    for name in _SHOWN:
        table.add_row(name, *(figure(getattr(e, name), ".4g") for e in result.evaluations))
    Console().print(table)
    went = ", ".join(f"{len(indices)} {reason}" for reason, indices in result.removed.items())
    typer.echo(f"removed: {went}")
