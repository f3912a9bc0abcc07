"""`lmsaes`: the commands, and how their failures are told.

Exit codes: 0 done, 1 a failure told in one line, 2 bad usage, 130 interrupted.
"""

import functools
import inspect
import logging
import os
import sys
import warnings
from collections.abc import Callable
from typing import Annotated, Any

import typer

from lmsaes.cli.analyze import analyze
from lmsaes.cli.cache import cache
from lmsaes.cli.demo import demo
from lmsaes.cli.serve import serve
from lmsaes.cli.tools import inspect_cache, remove, sample
from lmsaes.cli.tools_bench import bench
from lmsaes.cli.tools_copy import convert, cut_out, merge, shuffle
from lmsaes.cli.tools_verify import verify
from lmsaes.cli.train import train
from lmsaes.errors import LmsaesError

app = typer.Typer(
    name="lmsaes",
    help="Cache a language model's activations once, train many sparse autoencoders on them, "
    "and read their features in a browser.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
tools = typer.Typer(help="Look after a cache.", no_args_is_help=True)

_DebugOption = Annotated[bool, typer.Option("--debug", help="show a traceback on failure")]


def _command(function: Callable[..., None]) -> Callable[..., None]:
    """Adds --debug, and tells a failure in one line with its exit code."""

    @functools.wraps(function)
    def run(*, debug: bool, **arguments: Any) -> None:
        try:
            function(**arguments)
        except LmsaesError as error:
            if debug:
                raise
            _tell(str(error), error.hint)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            if debug:
                raise
            typer.echo("interrupted; run the same command again to continue", err=True)
            raise typer.Exit(130) from None
        except BrokenPipeError:
            # whoever read the output (head, say) has seen enough; what is left goes nowhere
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(1) from None
        except Exception as error:
            if debug or isinstance(error, typer.Exit | typer.Abort | typer.BadParameter):
                raise
            _tell(
                f"something unforeseen happened: {type(error).__name__}: {error}",
                "run it again with --debug and report the traceback",
            )
            raise typer.Exit(1) from None

    signature = inspect.signature(function)
    flag = inspect.Parameter(
        "debug", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=_DebugOption
    )
    named = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in signature.parameters.values()]
    run.__signature__ = signature.replace(parameters=[*named, flag])  # type: ignore[attr-defined]
    run.__annotations__ = {**function.__annotations__, "debug": _DebugOption}
    return run


def _tell(message: str, hint: str | None) -> None:
    typer.echo("error: " + " ".join(message.split()), err=True)
    if hint:
        typer.echo("       " + " ".join(hint.split()), err=True)


for each in (cache, train, analyze, serve, demo):
    app.command()(_command(each))
tools.command("inspect")(_command(inspect_cache))
tools.command("verify")(_command(verify))
tools.command("sample")(_command(sample))
tools.command("rm")(_command(remove))
tools.command("convert")(_command(convert))
tools.command("slice")(_command(cut_out))
tools.command("merge")(_command(merge))
tools.command("shuffle")(_command(shuffle))
tools.command("bench")(_command(bench))
app.add_typer(tools, name="tools")


def main() -> None:
    """The console script."""
    # torch's sparse products are tested here; that torch calls them beta helps nobody at a prompt
    warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("lmsaes")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    # libraries that set up the root logger would print each line once more
    logger.propagate = False
    app()
