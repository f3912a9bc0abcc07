"""`lmsaes serve`: the viewer and its API on one port."""

import contextlib
import signal
import socket
import webbrowser
from typing import Annotated

import typer

from lmsaes.errors import ConfigError


def serve(
    db: Annotated[
        str | None,
        typer.Option(
            "--db",
            help="MongoDB address. [default: $LMSAES_DB, or the embedded server]",
            metavar="URI",
        ),
    ] = None,
    port: Annotated[int, typer.Option(help="Port of viewer and API.", min=1, max=65535)] = 24577,
    host: Annotated[str, typer.Option(metavar="TEXT", help="Address to listen on.")] = "127.0.0.1",
    open_browser: Annotated[
        bool, typer.Option("--open", help="Open the viewer in a browser.")
    ] = False,
) -> None:
    """Show the SAEs in the database in a browser, until Ctrl-C."""
    import uvicorn

    from lmsaes.database import Database
    from lmsaes.server.app import create_app
    from lmsaes.server.viewer import BUILT

    # An orderly end, with the embedded database stopped, for `kill` as well as for Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (
        listen(host, port) as listening,
        contextlib.suppress(KeyboardInterrupt),
        Database(db) as database,
    ):
        app = create_app(database=database)
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        typer.echo(f"database  {database.address}, {len(database.saes())} SAEs")
        for each in database.unreadable():
            typer.echo(f"          {each.name} can't be read: {each.problem} ({each.hint})")
        typer.echo(f"viewer    {address}   (Ctrl-C stops)")
        if not (BUILT / "index.html").is_file():
            typer.echo(
                "          not built: `make ui` in the repository builds it; the API is there"
            )
        if open_browser:
            webbrowser.open(address)
        # uvicorn raises the signal that ended it once more when it has closed its connections.
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=3)
        uvicorn.Server(config).run(sockets=[listening])
    typer.echo("stopped")


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 is any free one. Raises ConfigError when it can't be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With its protocol named, asyncio sends small answers at once; without, each waits 40 ms for
    # the acknowledgement of the one before.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen()
    except OSError as error:
        listening.close()
        raise ConfigError(
            f"can't listen on {host}:{port}: {(error.strerror or str(error)).lower()}",
            "choose another with --port",
        ) from None
    return listening
