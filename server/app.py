"""The HTTP API and the viewer on one port.

uvicorn server.app:app --port 24577        in the repository
uvicorn lmsaes.server.app:app              installed
lmsaes serve                               the same, with the viewer's address printed
"""

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lmsaes.database import SCHEMA_VERSION, Database
from lmsaes.errors import LmsaesError

from . import features, saes
from .dependencies import CurrentStore
from .schemas import About, Problem
from .settings import Settings
from .store import BeingReplacedError, NotThereError, Store
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
        # Their pages load scripts from elsewhere; openapi.json says the same.
        docs_url=None,
        redoc_url=None,
    )
    app.add_middleware(OneLineStartup)
    app.add_middleware(CORSMiddleware, allow_origins=[settings.ui_origin], allow_methods=["GET"])
    app.include_router(saes.router)
    app.include_router(features.router)
    app.get("/about", tags=["about"])(about)
    _answer_errors(app)
    mount_viewer(app)
    return app


class OneLineStartup:
    """Tells an ASGI server in one line why it can't start, where starlette hands it a traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def told(message: Message) -> None:
            error = sys.exception()  # what starlette is handling while it says so
            if message["type"] == "lifespan.startup.failed" and isinstance(error, LmsaesError):
                message["message"] = _told(error)
            await send(message)

        await self.app(scope, receive, told)


def about(store: CurrentStore) -> About:
    """What is serving."""
    return About(
        version=version("lmsaes"),
        schema_version=SCHEMA_VERSION,
        database=store.database.address,
    )


def _answer_errors(app: FastAPI) -> None:
    """Every error is `{"detail": "one line"}`."""

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        detail = f"nothing is at {request.url.path}" if error.status_code == 404 else error.detail
        return _problem(error.status_code, detail)

    @app.exception_handler(NotThereError)
    async def not_there(_: Request, error: NotThereError) -> JSONResponse:
        return _problem(404, str(error))

    @app.exception_handler(BeingReplacedError)
    async def being_replaced(_: Request, error: BeingReplacedError) -> JSONResponse:
        return _problem(503, "this analysis is being replaced by a newer one: ask again")

    @app.exception_handler(LmsaesError)
    async def failed(_: Request, error: LmsaesError) -> JSONResponse:
        return _problem(503, _told(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        return _problem(422, f"{first['loc'][-1]}: {first['msg']}")


def _told(error: LmsaesError) -> str:
    return f"{error} ({error.hint})" if error.hint else str(error)


def _problem(status: int, detail: str) -> JSONResponse:
    return JSONResponse(Problem(detail=detail).model_dump(), status)


app = create_app()
