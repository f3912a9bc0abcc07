"""The HTTP API under `/api` and the viewer, on one port.

uvicorn server.app:app --port 24577        in the repository
uvicorn lmsaes.server.app:app              installed
lmsaes serve                               the same, with the viewer's address printed
"""

from collections.abc import AsyncGenerator, Iterable
from contextlib import ExitStack, asynccontextmanager, suppress
from functools import partial
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import JSONResponse, RedirectResponse
from pydantic.json_schema import models_json_schema
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.routing import Match, Mount
from starlette.types import Scope

from lmsaes.database import SCHEMA_VERSION, Database, default_folder
from lmsaes.errors import ConfigError, LmsaesError
from lmsaes.explain.config import ExplainConfig

from . import (
    columns,
    comparison,
    compat,
    compat_2024,
    contexts,
    embed,
    explanations,
    export,
    features,
    graphs,
    health,
    jobs,
    lists,
    model_routes,
    notes,
    places,
    saes,
    trace_routes,
)
from .dependencies import CurrentStore
from .etags import ETags
from .feature_schemas import ContextsAbout
from .graph_schemas import TraceDone, TraceProgress
from .live import BusyError, Live, NoModelError
from .middleware import KnownHosts, Methods, OneLineStartup, SameOrigin, problem, with_hint
from .schemas import About, ColumnsAbout, Problem
from .settings import Settings
from .store import ConflictError, GoneError, NotFoundError, ReplacedError, Store
from .viewer import is_api, mount_viewer


def create_app(
    settings: Settings | None = None,
    database: Database | None = None,
    hosts: Iterable[str] = (),
    model: str | None = None,
    device: str | None = None,
    explain: ExplainConfig | None = None,
) -> FastAPI:
    """The application. A `database` that is given stays the caller's to close.

    model, device, explain: in place of those in the settings.

    hosts: names that it answers to beside the machine's own address and those in the settings.
    """
    settings = settings or Settings()
    live = Live(model or settings.model, device or settings.device)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        with ExitStack() as stack:
            opened = database or stack.enter_context(Database(settings.db, settings.db_folder))
            app.state.store = Store(opened)
            app.state.jobs = jobs.Jobs(explain or settings.explain())
            stack.callback(app.state.jobs.close)
            yield

    app = FastAPI(
        title="lmsaes",
        summary="Features of sparse autoencoders.",
        version=version("lmsaes"),
        lifespan=lifespan,
        generate_unique_id_function=lambda route: route.name,
        responses={status: {"model": Problem} for status in (404, 410, 422, 503)},
        openapi_url="/api/openapi.json",
        # Their pages load scripts from elsewhere; openapi.json has the same contents.
        docs_url=None,
        redoc_url=None,
    )
    app.state.live = live
    # the last one added is the first to see a request
    app.add_middleware(ETags)
    app.add_middleware(GZipMiddleware, minimum_size=500, compresslevel=6)
    app.add_middleware(Methods, has=partial(_has, app))
    app.add_middleware(
        CORSMiddleware,
        allow_origins=[settings.ui_origin],
        allow_methods=["GET", "POST", "PUT", "DELETE"],
        allow_headers=["Content-Type"],
    )
    app.add_middleware(SameOrigin, origin=settings.ui_origin)
    app.add_middleware(KnownHosts, names=[*settings.allow_hosts.split(), *hosts])
    app.add_middleware(OneLineStartup)
    api = APIRouter(prefix="/api")
    api.get("/about", tags=["about"])(about)
    api.include_router(health.router)
    api.include_router(places.router)
    api.include_router(saes.router)
    api.include_router(saes.unreadable_router)
    api.include_router(columns.router)
    api.include_router(features.router)
    api.include_router(contexts.router)
    api.include_router(explanations.router)
    api.include_router(notes.router)
    api.include_router(jobs.router)
    api.include_router(lists.router)
    api.include_router(export.router)
    api.include_router(comparison.router)
    api.include_router(model_routes.router)
    api.include_router(graphs.router)
    api.include_router(graphs.of_features_router)
    api.include_router(trace_routes.router)
    app.include_router(api)
    app.include_router(compat.router)
    app.include_router(compat_2024.router)
    app.include_router(embed.router)
    app.get("/dictionaries{rest:path}", include_in_schema=False)(former_address)
    _answer_errors(app)
    _describe_files(app)
    mount_viewer(app)
    return app


def _describe_files(app: FastAPI) -> None:
    """Puts the schemas of what files say of themselves into openapi.json, beside the others."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        _, models = models_json_schema(
            [
                (model, "serialization")
                for model in (ColumnsAbout, ContextsAbout, TraceProgress, TraceDone)
            ],
            ref_template="#/components/schemas/{model}",
        )
        document["components"]["schemas"].update(models["$defs"])
        return document

    app.openapi = openapi


def _has(app: FastAPI, scope: Scope, method: str) -> bool:
    """Whether an address has a method; the viewer is wherever the API is not."""
    if method == "GET" and not is_api(scope["path"]):
        return True
    asked = {**scope, "method": method}
    routes = (route for route in app.routes if not isinstance(route, Mount))
    return any(route.matches(asked)[0] is Match.FULL for route in routes)


def former_address(rest: str, request: Request) -> RedirectResponse:
    """Leads programs that know the API's former addresses to today's."""
    return RedirectResponse(str(request.url.replace(path=f"/api/saes{rest}")), 308)


def about(store: CurrentStore, live: model_routes.CurrentLive, running: jobs.CurrentJobs) -> About:
    """Version of lmsaes, which database is served, and whether there are models to ask."""
    database = store.database
    folder = database.folder
    return About(
        version=version("lmsaes"),
        schema_version=SCHEMA_VERSION,
        database=database.address,
        database_uri=database.uri,
        database_folder=None if folder in (None, default_folder()) else str(folder),
        asks_model=live.mode != "none",
        model=live.loaded,
        explainer=running.explainer,
    )


def _answer_errors(app: FastAPI) -> None:
    """Has every error answered with `{"detail": "one line"}`."""

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        detail = f"nothing is at {request.url.path}" if error.status_code == 404 else error.detail
        headers = None if error.headers is None else dict(error.headers)
        return problem(error.status_code, detail, headers)

    @app.exception_handler(Exception)
    async def unforeseen(_: Request, error: Exception) -> JSONResponse:
        # what it was stands in the server's log
        return problem(500, f"something unforeseen happened: {type(error).__name__}")

    @app.exception_handler(NotFoundError)
    async def not_found(_: Request, error: NotFoundError) -> JSONResponse:
        return problem(404, str(error))

    @app.exception_handler(ReplacedError)
    async def replaced(request: Request, error: ReplacedError) -> JSONResponse:
        asked = request.query_params.get("analysis")
        name = request.path_params.get("name", "")
        with suppress(LmsaesError):
            if asked and await run_in_threadpool(app.state.store.is_gone, name, asked):
                return problem(410, str(GoneError.of_analysis(name, asked)))
        return problem(
            503, "this analysis is being replaced by a newer one: try again", {"Retry-After": "1"}
        )

    @app.exception_handler(ConflictError)
    async def conflict(_: Request, error: ConflictError) -> JSONResponse:
        return problem(409, str(error))

    @app.exception_handler(GoneError)
    async def gone(_: Request, error: GoneError) -> JSONResponse:
        return problem(410, str(error))

    @app.exception_handler(ConfigError)
    async def impossible(_: Request, error: ConfigError) -> JSONResponse:
        return problem(422, with_hint(error))

    @app.exception_handler(BusyError)
    async def occupied(_: Request, error: BusyError) -> JSONResponse:
        return problem(
            503, "the model is busy with other requests: try again", {"Retry-After": "5"}
        )

    @app.exception_handler(NoModelError)
    async def no_model(_: Request, error: NoModelError) -> JSONResponse:
        return problem(503, "no language model is served: start lmsaes serve --model auto")

    @app.exception_handler(LmsaesError)
    async def failed(_: Request, error: LmsaesError) -> JSONResponse:
        return problem(503, with_hint(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        return problem(422, f"{first['loc'][-1]}: {first['msg']}")


app = create_app()
