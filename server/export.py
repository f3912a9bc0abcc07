"""A feature to take away: all that is known as JSON, a page that stands by itself, Python."""

from typing import Literal

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from lmsaes.database import Database, feature_document, feature_page

from .dependencies import AnalyzedSAE, CurrentStore

router = APIRouter(prefix="/saes/{name}/features/{index}/export", tags=["features"])

_PYTHON = """\
{imports}from lmsaes.database import Database, feature_page

with Database({where}) as database:
    record = database.sae({sae!r})
    feature = feature_page(database, record, {feature})
print(feature["label"], feature["maximum"])
"""


@router.get(
    "",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def export_feature(
    index: int,
    record: AnalyzedSAE,
    store: CurrentStore,
    format: Literal["json", "html", "python"] = "json",
) -> Response:
    """A feature as a file: `json`, `html` or `python`."""
    store.features(record).check(index)
    name = f"{record.name.replace(':', '-')}-{index}"
    if format == "python":
        code = _PYTHON.format(**_where(store.database), sae=record.name, feature=index)
        return _file(PlainTextResponse(code), f"{name}.py")
    page = feature_page(store.database, record, index)
    if format == "json":
        return _file(JSONResponse({"analysis": record.analysis, **page}), f"{name}.json")
    return _file(HTMLResponse(feature_document(page, record.analysis)), f"{name}.html")


def _where(database: Database) -> dict[str, str]:
    """What opens the database again."""
    if database.folder is None:
        return {"imports": "", "where": repr(database.uri)}
    folder = f"folder=Path({str(database.folder)!r})"
    return {"imports": "from pathlib import Path\n\n", "where": folder}


def _file(response: Response, name: str) -> Response:
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
