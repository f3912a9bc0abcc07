"""`lmsaes import`: an SAE of another library becomes one of ours."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lmsaes.cli.messages import say_next
from lmsaes.cli.options import options_of, with_options
from lmsaes.interop import ImportConfig

_OPTIONS = [name for name in ImportConfig.model_fields if name != "source"]


@with_options(options_of(ImportConfig, _OPTIONS))
def import_(
    source: Annotated[
        str,
        typer.Argument(metavar="SOURCE", help=ImportConfig.model_fields["source"].description),
    ],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the SAE that is in the folder.")
    ] = False,
    **given: Any,
) -> None:
    """Read an SAE of another library, from a folder or the Hugging Face hub.

    SAELens, Gemma Scope, dictionary_learning, sparsify, circuit-tracer and others. The library's
    own formula is run on a few thousand rows beside ours, and the difference printed. Nothing that
    was downloaded is executed.
    """
    settings = {name: value for name, value in given.items() if value is not None}
    config = ImportConfig.of({"source": source, **settings})

    from lmsaes.interop import import_sae
    from lmsaes.sae import SAE

    folders = import_sae(overwrite=overwrite, **dict(config))
    sae = SAE.load(folders[0])
    facts = sae.imported
    model = facts.model if facts and facts.model else "MODEL"
    hooks = [word for hook in (*sae.config.inputs, sae.config.target) if hook
             for word in ("--hook", hook)]  # fmt: skip
    weights = ["--weights", "processed"] if facts and facts.weights == "processed" else []
    bos = ["--no-bos"] if facts and facts.prepend_bos is False else []
    done = str(folders[0]) if len(folders) == 1 else f"{len(folders)} SAEs in {config.out}"
    say_next(f"{done} imported", "cache", "--model", model, "--dataset", "DATASET", *hooks,
             *weights, *bos, "--out", f"caches/{Path(config.out).name}")  # fmt: skip
