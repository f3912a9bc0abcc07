"""Dependencies of the routes: the store, and the SAE that the path names."""

from typing import Annotated

from fastapi import Depends, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from lmsaes.database import GraphRecord, SAERecord

from .binary import IMMUTABLE
from .store import GoneError, Store


async def _store(request: Request) -> Store:
    return request.app.state.store


CurrentStore = Annotated[Store, Depends(_store)]


def _sae(
    name: Annotated[str, Path(description="Name of the SAE, `run:sae`")], store: CurrentStore
) -> SAERecord:
    return store.sae(name)


CurrentSAE = Annotated[SAERecord, Depends(_sae)]
_Analysis = Annotated[
    str | None, Query(description="The analysis that is meant; 410 where it is no longer the SAE's")
]


def _analyzed(
    record: CurrentSAE,
    response: Response,
    analysis: _Analysis = None,
) -> SAERecord:
    if analysis is None:
        return record
    if analysis != record.analysis:
        raise GoneError.of_analysis(record.name, analysis)
    response.headers["Cache-Control"] = IMMUTABLE
    return record


async def _recent(
    name: Annotated[str, Path(description="Name of the SAE, `run:sae`")],
    store: CurrentStore,
    response: Response,
    analysis: _Analysis = None,
) -> SAERecord:
    record = store.recent(name, analysis) or await run_in_threadpool(store.sae, name)
    return _analyzed(record, response, analysis)


AnalyzedSAE = Annotated[SAERecord, Depends(_analyzed)]
"""The SAE for an answer that follows from its analysis alone: under the address that names the
analysis it never changes, and pages of one analysis are never mixed with another's."""

RecentSAE = Annotated[SAERecord, Depends(_recent)]
"""The same for answers that are read from the analysis' own collections, which go when it is
replaced: whether it still is the SAE's is then not asked of the database each time."""


def _graph(
    name: Annotated[str, Path(description="Name of the graph")], store: CurrentStore
) -> GraphRecord:
    return store.graph(name)


CurrentGraph = Annotated[GraphRecord, Depends(_graph)]


def check_graph(record: GraphRecord, id: str) -> None:
    """Raises GoneError where another graph is called so now."""
    if id != record.graph:
        raise GoneError(f"graph {id} of '{record.name}'", f"/api/graphs/{record.name}")


def _fixed_graph(
    record: CurrentGraph,
    response: Response,
    graph: Annotated[
        str | None, Query(description="Id of the graph that is meant; 410 for another one's name")
    ] = None,
) -> GraphRecord:
    if graph is not None:
        check_graph(record, graph)
        response.headers["Cache-Control"] = IMMUTABLE
    return record


FixedGraph = Annotated[GraphRecord, Depends(_fixed_graph)]
"""The graph for an answer that follows from it alone: under the address with its id it never
changes."""
