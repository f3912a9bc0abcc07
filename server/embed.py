"""Features to be shown inside other pages: no script, and nothing that can be written."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse

from lmsaes.database import feature_document, page_with_words

from .contexts import check_group
from .dependencies import AnalyzedSAE, CurrentStore
from .live_schemas import ActivationsRequest
from .model_routes import CurrentLive, work
from .store import NotFoundError

router = APIRouter(prefix="/embed", include_in_schema=False)

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none';"
    " form-action 'none'; frame-ancestors *",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


@router.get("/saes/{name}/features/{index}")
def embedded_feature(
    index: int,
    record: AnalyzedSAE,
    store: CurrentStore,
    live: CurrentLive,
    group: str | None = None,
    context: int | None = None,
    text: Annotated[str | None, Query(max_length=2000)] = None,
) -> HTMLResponse:
    """A feature's page by itself; or one group of its contexts, one context, or a text."""
    store.features(record).check(index)
    page = page_with_words(store.database, record, index)
    if text is not None:
        asked = ActivationsRequest(text=text, features=[index], limit=1, per_token=0)
        page["groups"] = {"text": _on_text(work(live).activations_of(asked, record, store, live))}
    elif context is not None:
        page["groups"] = _one_context(page, context)
    elif group is not None:
        check_group(record, group)
        page["groups"] = {group: page["groups"][group]}
    return HTMLResponse(feature_document(page, record.analysis), headers=_HEADERS)


def _on_text(found: Any) -> dict[str, Any]:
    (feature,) = found.chosen
    tokens = [each.token for each in found.tokens]
    shown = {"maximum": feature.maximum, "tokens": tokens, "activations": feature.values}
    return {"contexts": [shown]}


def _one_context(page: dict[str, Any], context: int) -> dict[str, Any]:
    for group, found in page["groups"].items():
        shown = [each for each in found["contexts"] if each["context"] == context]
        if shown:
            return {group: {"contexts": shown}}
    raise NotFoundError(f"feature {page['feature']} of '{page['sae']}' has no context {context}")
