"""`lmsaes cache`: run a language model once and keep what its hooks saw."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lmsaes.capture import CaptureConfig
from lmsaes.cli.messages import say_next
from lmsaes.cli.options import ConfigFile, options_of, settings_from, with_options
from lmsaes.training import MLP_HOOKS


@with_options(options_of(CaptureConfig))
def cache(
    config: ConfigFile = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the cache that is in the folder.")
    ] = False,
    transcoders: Annotated[
        bool,
        typer.Option(
            "--transcoders", help="Cache every MLP's input and output, as `lmsaes trace` needs."
        ),
    ] = False,
    **given: Any,
) -> None:
    """Run a language model over text once and store its activations.

    Run it again to continue an unfinished cache; with more --tokens or another --hook, to add
    them to one that is there. Under torchrun --no-python, all processes write one cache. The
    cache's folder keeps the settings as capture.toml, which --config takes.
    """
    if transcoders:
        given["hooks"] = [*(given.get("hooks") or []), *MLP_HOOKS]
    settings = CaptureConfig.of(settings_from(CaptureConfig, config, given))

    from lmsaes.capture import cache_activations
    from lmsaes.parallel import is_first_rank

    done = cache_activations(**dict(settings), overwrite=overwrite)
    if is_first_rank():
        out, first = settings.out, next(iter(done.hooks))
        say_next(
            f"{out} holds {done.rows:,} tokens",
            "train", "--cache", out, *(["--transcoders"] if transcoders else ["--hook", first]),
            "--out", f"runs/{Path(out).name}",
        )  # fmt: skip
