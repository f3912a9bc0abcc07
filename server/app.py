"""The HTTP API under `/api` and the viewer, on one port.

uvicorn server.app:app --port 24577        in the repository
uvicorn lmsaes.server.app:app              installed
lmsaes serve                               the same, with the viewer's address printed
"""

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lmsaes.database import SCHEMA_VERSION, Database, default_folder
from lmsaes.errors import LmsaesError

from . import features, saes
from .dependencies import CurrentStore
from .schemas import About, Problem
from .settings import Settings
from .store import NotFoundError, ReplacedError, Store
from .viewer import mount_viewer


def create_app(settings: Settings | None = None, database: Database | None = None) -> FastAPI:
    """The application. A `database` that is given stays the caller's to close."""
    settings = settings or Settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        if database is not None:
            app.state.store = Store(database)
            yield
        else:
            with Database(settings.db, settings.db_folder) as opened:
                app.state.store = Store(opened)
                yield

    app = FastAPI(
        title="lmsaes",
        summary="Features of sparse autoencoders.",
        version=version("lmsaes"),
        lifespan=lifespan,
        generate_unique_id_function=lambda route: route.name,
        responses={status: {"model": Problem} for status in (404, 422, 503)},
        openapi_url="/api/openapi.json",
        # Their pages load scripts from elsewhere; openapi.json has the same contents.
        docs_url=None,
        redoc_url=None,
    )
    app.add_middleware(OneLineStartup)
    app.add_middleware(CORSMiddleware, allow_origins=[settings.ui_origin], allow_methods=["GET"])
    api = APIRouter(prefix="/api")
    api.get("/about", tags=["about"])(about)
    api.include_router(saes.router)
    api.include_router(saes.unreadable_router)
    api.include_router(features.router)
    app.include_router(api)
    app.get("/dictionaries{rest:path}", include_in_schema=False)(former_address)
    _answer_errors(app)
    mount_viewer(app)
    return app


class OneLineStartup:
    """ASGI middleware: one line instead of starlette's traceback when the server can't start."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_one_line(message: Message) -> None:
            error = sys.exception()  # what starlette is handling while it sends this
            if message["type"] == "lifespan.startup.failed" and isinstance(error, LmsaesError):
                message["message"] = _with_hint(error)
            await send(message)

        await self.app(scope, receive, send_one_line)


def former_address(rest: str, request: Request) -> RedirectResponse:
    """Leads programs that know the API's former addresses to today's."""
    return RedirectResponse(str(request.url.replace(path=f"/api/saes{rest}")), 308)


def about(store: CurrentStore) -> About:
    """Version of lmsaes, and which database is served."""
    database = store.database
    folder = database.folder
    return About(
        version=version("lmsaes"),
        schema_version=SCHEMA_VERSION,
        database=database.address,
        database_uri=database.uri,
        database_folder=None if folder in (None, default_folder()) else str(folder),
    )


def _answer_errors(app: FastAPI) -> None:
    """Has every error answered with `{"detail": "one line"}`."""

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        detail = f"nothing is at {request.url.path}" if error.status_code == 404 else error.detail
        return _problem(error.status_code, detail)

    @app.exception_handler(NotFoundError)
    async def not_found(_: Request, error: NotFoundError) -> JSONResponse:
        return _problem(404, str(error))

    @app.exception_handler(ReplacedError)
    async def replaced(_: Request, error: ReplacedError) -> JSONResponse:
        return _problem(503, "this analysis is being replaced by a newer one: try again")

    @app.exception_handler(LmsaesError)
    async def failed(_: Request, error: LmsaesError) -> JSONResponse:
        return _problem(503, _with_hint(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        return _problem(422, f"{first['loc'][-1]}: {first['msg']}")


def _with_hint(error: LmsaesError) -> str:
    return f"{error} ({error.hint})" if error.hint else str(error)


def _problem(status: int, detail: str) -> JSONResponse:
    return JSONResponse(Problem(detail=detail).model_dump(), status)


app = create_app()
