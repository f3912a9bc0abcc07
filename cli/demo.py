"""`lmsaes demo`: the whole pipeline on the model and text that come with the package."""

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

_HOOKS = ("blocks.1.hook_resid_post", "blocks.2.hook_resid_post")
_FOLDER = "LMSAES_DB_FOLDER"
_USE_DATABASE = ("analyze", "trace", "serve")
_TOKENS = "250k"
_TRANSCODERS = ("--features", "1024", "--k", "16")
_PROMPT, _GRAPH = "In the beginning God created the heaven and the", "beginning"
_EVALUATED = "16k"  # on two cores a few seconds


def demo(
    no_serve: Annotated[bool, typer.Option("--no-serve", help="End after the analysis.")] = False,
    out: Annotated[
        Path, typer.Option(help="Folder for the cache, the SAEs and the database.")
    ] = Path("lmsaes-demo"),
    port: Annotated[int, typer.Option(help="Port of the viewer.", min=1, max=65535)] = 24577,
    trace: Annotated[
        bool,
        typer.Option("--trace", help="Train transcoders of all MLPs, and trace a prompt."),
    ] = False,
) -> None:
    """Cache, train, evaluate, analyze and serve on a small model, printing each command.

    With --trace: cache every MLP, train transcoders, analyze them, trace a prompt and serve.
    """
    # a database of the demo's own: the user's keeps what the user put there
    os.environ[_FOLDER] = str((out / "db").resolve())
    os.environ.pop("LMSAES_DB", None)
    if trace:
        _trace(out)
        typer.echo(f"\nthe graph: http://localhost:{port}/graphs/{_GRAPH} while lmsaes serve runs")
    else:
        _saes(out)
    if not no_serve:
        _run("serve", "--port", str(port))


def _saes(out: Path) -> None:
    from lmsaes.demo import MODEL, SWEEP, TEXT

    cache, run = str(out / "cache"), str(out / "saes")
    hooks = [word for hook in _HOOKS for word in ("--hook", hook)]
    _run("cache", "--model", str(MODEL), "--dataset", str(TEXT), *hooks,
         "--tokens", _TOKENS, "--out", cache)  # fmt: skip
    _run("train", "--cache", cache, "--config", str(SWEEP), "--heldout", "0.1", "--out", run)
    _run("eval", run, "--cache", cache, "--tokens", _EVALUATED)
    _run("analyze", run, "--cache", cache)


def _trace(out: Path) -> None:
    from lmsaes.demo import MODEL, TEXT

    cache, run = str(out / "mlps"), str(out / "transcoders")
    _run("cache", "--model", str(MODEL), "--dataset", str(TEXT), "--transcoders",
         "--tokens", _TOKENS, "--out", cache)  # fmt: skip
    _run("train", "--cache", cache, "--transcoders", *_TRANSCODERS, "--out", run)
    _run("analyze", run, "--cache", cache)
    _run("trace", run, "--prompt", _PROMPT, "--verify", "50", "--name", _GRAPH)


def _run(*words: str) -> None:
    """Prints a command as it would be typed, then runs it."""
    from lmsaes.cli.app import app

    where = f"{_FOLDER}={shlex.quote(os.environ[_FOLDER])} " if words[0] in _USE_DATABASE else ""
    typer.echo(typer.style(f"\n$ {where}lmsaes {shlex.join(words)}", bold=True))
    code = app(list(words), standalone_mode=False)
    if code:
        raise typer.Exit(code)
