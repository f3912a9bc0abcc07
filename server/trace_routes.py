"""Routes of attribution graphs that ask the language model; what they do: trace_work.py."""

from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from lmsaes.circuits.places import layer_written, what_is_read
from lmsaes.database import SAERecord, check_name

from .dependencies import CurrentGraph, CurrentStore, FixedGraph, check_graph
from .graph_schemas import (
    EdgeSplit,
    Intervention,
    InterventionRequest,
    TraceRequest,
    TranscoderSet,
)
from .graphs import CONFLICT
from .live import Live
from .model_routes import CurrentLive
from .store import ConflictError
from .streams import EVENT_STREAM, event_stream

router = APIRouter(tags=["graphs"])


@router.get("/transcoders")
def transcoder_sets(store: CurrentStore) -> list[TranscoderSet]:
    """The analyzed transcoders of MLPs, a set of one per layer for each run, by name.

    Where a run has several of a layer there are as many sets.
    """
    by_run: dict[tuple[Path, str], dict[int, list[SAERecord]]] = defaultdict(dict)
    for record in store.database.saes():
        layer = layer_written(record.target)
        if layer is not None and what_is_read(record.hook, layer):
            run = Path(record.sae_path).parent, record.model
            by_run[run].setdefault(layer, []).append(record)
    found: list[TranscoderSet] = []
    for (_, model), layers in by_run.items():
        for number in range(max(map(len, layers.values()))):
            own = {n: each[number] for n, each in sorted(layers.items()) if number < len(each)}
            found.append(
                TranscoderSet(
                    run=next(iter(own.values())).run,
                    model=model,
                    saes=[record.name for record in own.values()],
                    layers=list(own),
                )
            )
    return sorted(found, key=lambda each: (each.run, each.saes))


@router.post(
    "/graphs",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Server-sent events: TraceProgress, then TraceDone or an ErrorEvent",
            "content": {EVENT_STREAM: {"schema": {"type": "string"}}},
        },
        **CONFLICT,
    },
)
async def trace_prompt(
    asked: TraceRequest, store: CurrentStore, live: CurrentLive
) -> StreamingResponse:
    """Traces a prompt and keeps the graph; a request whose client has gone stops.

    409 where a name was given that another graph has.
    """
    if asked.name is not None:
        check_name(asked.name)
    return await event_stream(partial(_traced, asked, store, live))


@router.get("/graphs/{name}/split")
def split_edge(
    record: FixedGraph, source: str, target: str, store: CurrentStore, live: CurrentLive
) -> EdgeSplit:
    """Through which attention heads an edge goes, at each block between its ends."""
    return work(live).split(record, source, target, store, live)


@router.post("/graphs/{name}/interventions")
def intervene_in_graph(
    record: CurrentGraph, asked: InterventionRequest, store: CurrentStore, live: CurrentLive
) -> Intervention:
    """Ablates or scales nodes and groups in the real model, beside what the graph predicts."""
    check_graph(record, asked.graph)
    return work(live).intervened(record, asked, store, live)


def _traced(asked: TraceRequest, store: Any, live: Live) -> Any:
    if asked.name is not None and store.database.graphs.get(asked.name) is not None:
        raise ConflictError(f"there is a graph '{asked.name}' already: choose another name")
    yield from work(live).traced(asked, store, live)


def work(live: Live) -> Any:
    """The module that asks the model. Raises NoModelError where the server has none."""
    live.check_there()
    from . import trace_work

    return trace_work
