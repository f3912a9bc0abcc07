"""Dependencies of the routes: the store, and the SAE that the path names."""

from typing import Annotated

from fastapi import Depends, Path, Query, Request, Response

from lmsaes.database import GraphRecord, SAERecord

from .binary import IMMUTABLE
from .store import GoneError, Store


def _store(request: Request) -> Store:
    return request.app.state.store


CurrentStore = Annotated[Store, Depends(_store)]


def _sae(
    name: Annotated[str, Path(description="Name of the SAE, `run:sae`")], store: CurrentStore
) -> SAERecord:
    return store.sae(name)


CurrentSAE = Annotated[SAERecord, Depends(_sae)]


def _analyzed(
    record: CurrentSAE,
    response: Response,
    analysis: Annotated[
        str | None,
        Query(description="The analysis that is meant; 410 where it is no longer the SAE's"),
    ] = None,
) -> SAERecord:
    if analysis is None:
        return record
    if analysis != record.analysis:
        raise GoneError(f"analysis {analysis} of '{record.name}'", f"/api/saes/{record.name}")
    response.headers["Cache-Control"] = IMMUTABLE
    return record


AnalyzedSAE = Annotated[SAERecord, Depends(_analyzed)]
"""The SAE for an answer that follows from its analysis alone: under the address that names the
analysis it never changes, and pages of one analysis are never mixed with another's."""


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
