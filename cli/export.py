"""`lmsaes export`: SAEs of ours in the layouts of other libraries."""

from typing import Annotated, Any

import typer

from lmsaes.cli.options import options_of, with_options
from lmsaes.interop import ExportConfig

_OPTIONS = [name for name in ExportConfig.model_fields if name != "sae"]


@with_options(options_of(ExportConfig, _OPTIONS))
def export(
    sae: Annotated[
        str, typer.Argument(metavar="SAE", help=ExportConfig.model_fields["sae"].description)
    ],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what is in the folder.")
    ] = False,
    **given: Any,
) -> None:
    """Write an SAE, or all of a run, in the layout of another library.

    What was written is read back, and that library's own formula compared with the SAE on a few
    thousand rows.
    """
    settings = {name: value for name, value in given.items() if value is not None}
    config = ExportConfig.of({"sae": sae, **settings})

    from lmsaes.interop import export_sae

    for folder in export_sae(overwrite=overwrite, **dict(config)):
        typer.echo(f"{folder} is written")
