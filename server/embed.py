"""Features to be shown inside other pages: no script, and nothing that can be written."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from lmsaes.database import feature_document, feature_page

from .dependencies import AnalyzedSAE, CurrentStore

router = APIRouter(prefix="/embed", include_in_schema=False)

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none';"
    " form-action 'none'; frame-ancestors *",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


@router.get("/saes/{name}/features/{index}")
def embedded_feature(index: int, record: AnalyzedSAE, store: CurrentStore) -> HTMLResponse:
    """A feature's page by itself."""
    store.features(record).check(index)
    page = feature_page(store.database, record, index)
    return HTMLResponse(feature_document(page, record.analysis), headers=_HEADERS)
