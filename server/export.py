"""A feature to take away: all that is known as JSON, a page that stands by itself, Python."""

from html import escape
from typing import Any, Literal

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from lmsaes.database import Database, feature_page

from .dependencies import AnalyzedSAE, CurrentStore

router = APIRouter(prefix="/saes/{name}/features/{index}/export", tags=["features"])

_SHOWN = 20
_STYLE = (
    "body{font:14px/1.5 system-ui,sans-serif;max-width:70em;margin:2em auto;padding:0 1em}"
    "p{font-family:monospace;white-space:pre-wrap;margin:.4em 0}small{color:#555}"
)
_PYTHON = """\
{imports}from lmsaes.database import Database, feature_page

with Database({where}) as database:
    record = database.sae({sae!r})
    feature = feature_page(database, record, {feature})
print(feature["label"], feature["maximum"])
"""


@router.get(
    "", response_class=Response, responses={200: {"content": {"text/plain": {"schema": {}}}}}
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
    return _file(HTMLResponse(_html(page, record.analysis)), f"{name}.html")


def _where(database: Database) -> dict[str, str]:
    """What opens the database again."""
    if database.folder is None:
        return {"imports": "", "where": repr(database.uri)}
    folder = f"folder=Path({str(database.folder)!r})"
    return {"imports": "from pathlib import Path\n\n", "where": folder}


def _file(response: Response, name: str) -> Response:
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _html(page: dict[str, Any], analysis: str) -> str:
    title = escape(f"feature {page['feature']} of {page['sae']}")
    lines = [
        f"<p><small>{escape(group)} · {context['maximum']:.4g}</small> "
        + "".join(map(_token, context["tokens"], context["activations"], _all(page, context)))
        + "</p>"
        for group, found in page["groups"].items()
        for context in found["contexts"][:_SHOWN]
    ]
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style><h1>{title}</h1><p>{escape(page['label'] or 'never fires')}</p>"
        f"<small>{page['firings']} firings; maximum {page['maximum']:.4g}; analysis {analysis}"
        f"</small>{''.join(lines)}</html>"
    )


def _all(page: dict[str, Any], context: dict[str, Any]) -> list[float]:
    return [page["maximum"]] * len(context["tokens"])


def _token(token: str, activation: float, maximum: float) -> str:
    if activation <= 0 or maximum <= 0:
        return escape(token)
    share = 0.12 + 0.68 * min(activation / maximum, 1) ** 0.5
    color = f"background:rgba(20,150,140,{share:.2f})"
    return f'<span style="{color}" title="{activation:.4g}">{escape(token)}</span>'
