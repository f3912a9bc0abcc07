"""Routes that ask the language model: own text through SAEs, loss effects, and steering.

What they do stands in `model_work.py`, which needs torch and is loaded by the first request.
"""

from collections.abc import Generator
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import StreamingResponse

from .dependencies import CurrentSAE, CurrentStore
from .live import Live
from .live_schemas import (
    Activations,
    ActivationsRequest,
    CompareRequest,
    Comparison,
    Index,
    LossEffect,
    LossEffectRequest,
    SteerRequest,
    TokenizeRequest,
    Tokens,
)
from .store import Store
from .streams import EVENT_STREAM, event_stream

router = APIRouter(tags=["model"])


def _live(request: Request) -> Live:
    return request.app.state.live


CurrentLive = Annotated[Live, Depends(_live)]


@router.post("/tokenize")
def tokenize_text(asked: TokenizeRequest, store: CurrentStore, live: CurrentLive) -> Tokens:
    """A text as the tokens of an SAE's language model."""
    store.sae(asked.sae)
    return work(live).tokens_of(asked, store, live)


@router.post("/saes/{name}/activations")
def activations(
    asked: ActivationsRequest, record: CurrentSAE, store: CurrentStore, live: CurrentLive
) -> Activations:
    """What an SAE's features do on a text: ranked, and token by token."""
    return work(live).activations_of(asked, record, store, live)


@router.post("/compare/activations")
def compare_activations(
    asked: CompareRequest, store: CurrentStore, live: CurrentLive
) -> Comparison:
    """One or two texts through some SAEs of one model."""
    return work(live).comparison_of(asked, store, live)


@router.post("/saes/{name}/features/{index}/loss-effect")
def loss_effect(
    asked: LossEffectRequest,
    index: Index,
    record: CurrentSAE,
    store: CurrentStore,
    live: CurrentLive,
) -> LossEffect:
    """What taking a feature out of contexts does to each next token's log-probability."""
    return work(live).loss_effect_of(asked, index, record, store, live)


@router.post(
    "/steer",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Server-sent events: a TokenEvent, CompletionEvent or ErrorEvent each",
            "content": {EVENT_STREAM: {"schema": {"type": "string"}}},
        }
    },
)
async def steer(asked: SteerRequest, store: CurrentStore, live: CurrentLive) -> StreamingResponse:
    """Completions of a prompt with features edited, beside the model's own, as they are written.

    A request whose client has gone stops.
    """
    return await event_stream(partial(_steered, asked, store, live))


def _steered(asked: SteerRequest, store: Store, live: Live) -> Generator[str]:
    yield from work(live).steered(asked, store, live)


def work(live: Live) -> Any:
    """The module that asks the model. Raises NoModelError where the server has none."""
    live.check_there()
    from . import model_work

    return model_work
