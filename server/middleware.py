"""What happens to a request before its route: which host names and methods are answered.

request ─► known host? ─► method that its address has? ─► CORS, gzip ─► route
"""

import sys
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lmsaes.errors import LmsaesError

from .schemas import Problem

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class KnownHosts:
    """Answers requests to names of this machine alone.

    Without it, a page of any site could have its own name lead to this machine (DNS rebinding),
    and a browser that shows it would read the API as if it were that site's. Names are those of
    the loopback, the address that the connection came in at, and `names`. Ports are not compared:
    behind `ssh -L` they differ, and they tell no sites apart.
    """

    def __init__(self, app: ASGIApp, names: Iterable[str] = ()) -> None:
        self.app = app
        self.names = {*LOOPBACK, *(name.lower().rstrip(".") for name in names)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        name = _host_name(Headers(scope=scope).get("host", ""))
        here = (scope.get("server") or ("",))[0]
        if name and (name in self.names or name == here):
            await self.app(scope, receive, send)
            return
        detail = (
            f"this server does not answer to the name '{name or ''}' (if it is right: "
            "lmsaes serve --allow-host NAME, or LMSAES_ALLOW_HOSTS)"
        )
        await problem(403, detail)(scope, receive, send)


class SameOrigin:
    """Lets pages of its own origin write, and programs, which send no origin.

    Any page may send a form to any server, and the browser of whoever reads it would add a note or
    steer the model in their name.
    """

    def __init__(self, app: ASGIApp, origin: str) -> None:
        """origin: another one that may write, of the viewer in development."""
        self.app, self.origin = app, origin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD", "OPTIONS"):
            headers = Headers(scope=scope)
            origin = headers.get("origin")
            # schemes are not compared: behind a proxy they differ
            own = origin is None or urlsplit(origin).netloc == headers.get("host", "")
            if not own and origin != self.origin:
                detail = f"pages of {origin} may not write here"
                await problem(403, detail)(scope, receive, send)
                return
        await self.app(scope, receive, send)


def _host_name(header: str) -> str | None:
    """The name in a Host header, without its port; None for what is none."""
    try:
        name = urlsplit(f"//{header}").hostname
    except ValueError:
        return None
    return name and name.rstrip(".")


class Methods:
    """HEAD wherever there is GET, OPTIONS everywhere, and 405 that says what is allowed.

    has: whether there is a route at an address for a method.
    """

    def __init__(self, app: ASGIApp, has: Callable[[Scope, str], bool]) -> None:
        self.app, self.has = app, has

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"] if scope["type"] == "http" else None
        # which others an address has is asked only where it matters: it takes a while
        if method is None or (method in _METHODS and self.has(scope, method)):
            await self.app(scope, receive, send)
            return
        methods = {each for each in _METHODS if self.has(scope, each)}
        if not methods:
            await self.app(scope, receive, send)
            return
        if "GET" in methods:
            methods.add("HEAD")
        allow = {"Allow": ", ".join(sorted(methods | {"OPTIONS"}))}
        if method == "OPTIONS":
            await Response(status_code=204, headers=allow)(scope, receive, send)
        elif method != "HEAD" or "GET" not in methods:
            detail = f"{method} is not possible here: {allow['Allow']} are"
            await problem(405, detail, allow)(scope, receive, send)
        else:
            await self.app({**scope, "method": "GET"}, receive, _without_body(send))


def _without_body(send: Send) -> Send:
    async def send_head(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return send_head


class OneLineStartup:
    """One line instead of starlette's traceback when the server can't start."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_one_line(message: Message) -> None:
            error = sys.exception()  # what starlette is handling while it sends this
            if message["type"] == "lifespan.startup.failed" and isinstance(error, LmsaesError):
                message["message"] = with_hint(error)
            await send(message)

        await self.app(scope, receive, send_one_line)


def with_hint(error: LmsaesError) -> str:
    return f"{error} ({error.hint})" if error.hint else str(error)


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """An error as every one is answered: `{"detail": "one line"}`."""
    return JSONResponse(Problem(detail=" ".join(detail.split())).model_dump(), status, headers)
