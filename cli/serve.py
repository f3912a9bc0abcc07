"""`lmsaes serve`: the viewer and its API on one port."""

import contextlib
import errno
import signal
import socket
import webbrowser
from ipaddress import ip_address
from typing import Annotated, Any

import typer

from lmsaes.cli.options import only_given, options_of, with_options
from lmsaes.errors import ConfigError, first_line
from lmsaes.explain.config import ExplainConfig

_EVERYWHERE = ("0.0.0.0", "::")


_EXPLAIN = [name for name in ExplainConfig.model_fields if name not in ("sae", "features", "score")]


@with_options(options_of(ExplainConfig, _EXPLAIN))
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
    host: Annotated[
        str,
        typer.Option(
            metavar="TEXT",
            help="Address to listen on; everyone who reaches another than this can read all.",
        ),
    ] = "127.0.0.1",
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Further host name that requests may come by, such as a proxy's; may be given"
            " several times. [default: this machine's own address]",
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            metavar="TEXT",
            help="Language model for own text and steering: auto for the one in an SAE's records,"
            " none, or a name or folder. It is loaded when it is first asked for.",
        ),
    ] = "auto",
    device: Annotated[
        str, typer.Option(metavar="TEXT", help="Where it runs: auto, cpu, cuda, cuda:1 or mps.")
    ] = "auto",
    open_browser: Annotated[
        bool, typer.Option("--open", help="Open the viewer in a browser.")
    ] = False,
    **given: Any,
) -> None:
    """Show the SAEs in the database in a browser, until Ctrl-C.

    With --endpoint and --explainer, labels by a language model can be asked for there.
    """
    import uvicorn

    from lmsaes.addresses import shown_address
    from lmsaes.database import Database
    from lmsaes.explain.endpoint import check_client
    from lmsaes.server.app import create_app
    from lmsaes.server.settings import explainer_of
    from lmsaes.server.viewer import BUILT

    explain = explainer_of(only_given(given))
    if explain is not None:
        check_client()

    names = [_host_name(name) for name in allow_host or ()]
    # An orderly end, with the embedded database stopped, for `kill` as well as for Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (
        listen(host, port) as listening,
        contextlib.suppress(KeyboardInterrupt),
        Database(db) as database,
    ):
        app = create_app(
            database=database,
            hosts=[*_names(host), *names],
            model=model,
            device=device,
            explain=explain,
        )
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        typer.echo(f"database  {database.address}, {len(database.saes())} SAEs")
        for each in database.unreadable():
            typer.echo(f"          {each.name} can't be read: {each.problem} ({each.hint})")
        typer.echo(f"viewer    {address}   (Ctrl-C stops)")
        if not _is_loopback(listening):
            typer.echo(
                f"          whoever reaches this machine at port {port} can read the SAEs, their "
                "features and the text they fire on: there is no password"
            )
        if not (BUILT / "index.html").is_file():
            typer.echo(
                "          not built: `make ui` in the repository builds it; the API is there"
            )
        if explain is not None:
            typer.echo(
                f"labels    by {explain.explainer} at {shown_address(str(explain.endpoint))}, when "
                f"asked: at most {explain.max_requests} requests each time"
            )
        if open_browser:
            webbrowser.open(address)
        # uvicorn raises the signal that ended it once more when it has closed its connections.
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=3)
        uvicorn.Server(config).run(sockets=[listening])
    typer.echo("stopped")


def _host_name(name: str) -> str:
    if not name or any(sign in name for sign in "/:*@ "):
        raise ConfigError(
            f"--allow-host '{name}' is not a host name", "give it alone, as --allow-host gpu-3"
        )
    return name


def _names(host: str) -> list[str]:
    """What a browser may call the address that the server listens on."""
    return [host] if host not in _EVERYWHERE else [socket.gethostname()]


def _is_loopback(listening: socket.socket) -> bool:
    return ip_address(listening.getsockname()[0].partition("%")[0]).is_loopback


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 is any free one. Raises ConfigError when it can't be had."""
    if not host:  # which the system takes for all addresses
        raise ConfigError(
            "--host is empty", "leave it out to serve this machine alone, or give --host 0.0.0.0"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With its protocol named, asyncio sends small answers at once; without, each waits 40 ms for
    # the acknowledgement of the one before.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen()
    except (OSError, ValueError, TypeError) as error:  # the last two: no host's name at all
        listening.close()
        reason = getattr(error, "strerror", None) or first_line(error)
        taken = isinstance(error, OSError) and error.errno in (errno.EADDRINUSE, errno.EACCES)
        raise ConfigError(
            f"can't listen on {host}:{port}: {reason.lower()}",
            "choose another with --port" if taken else "give an address of this machine as --host",
        ) from None
    return listening
