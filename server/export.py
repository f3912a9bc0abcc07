"""A feature to take away: what is known of it, a page that stands by itself, its directions."""

import json
from collections.abc import Callable
from io import BytesIO
from typing import Any, Literal

import numpy as np
from fastapi import APIRouter
from fastapi.responses import Response
from safetensors.numpy import save

from lmsaes.database import Database, SAERecord, feature_document, page_with_words

from .dependencies import AnalyzedSAE, CurrentStore
from .model_routes import CurrentLive

router = APIRouter(prefix="/saes/{name}/features/{index}/export", tags=["features"])

_PYTHON = """\
{imports}from lmsaes.database import Database, feature_page

with Database({where}) as database:
    record = database.sae({sae!r})
    feature = feature_page(database, record, {feature})
print(feature["label"], feature["maximum"])
"""
_Directions = dict[str, np.ndarray]


@router.get(
    "",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def export_feature(
    index: int,
    record: AnalyzedSAE,
    store: CurrentStore,
    live: CurrentLive,
    format: Literal["json", "html", "python", "vector", "npy", "safetensors"] = "json",
) -> Response:
    """A feature as a file: what is known (`json`, `html`), a snippet that reads it (`python`), or
    its rows of the SAE's weights, float32: `decoder` and `encoder` (`vector`, which is JSON, and
    `safetensors`), the decoder's alone (`npy`)."""
    store.features(record).check(index)
    about = {"sae": record.name, "feature": index, "hook": record.target or record.hook}
    if format == "python":
        code = _PYTHON.format(**_where(store.database), sae=record.name, feature=index)
        return _file(record, index, "py", "text/plain", code)
    if format in ("json", "html"):
        page = page_with_words(store.database, record, index)
        if format == "html":
            document = feature_document(page, record.analysis)
            return _file(record, index, "html", "text/html", document)
        contents = json.dumps({"analysis": record.analysis, **page}, ensure_ascii=False)
        return _file(record, index, "json", "application/json", contents)
    directions = live.directions(record, index)
    media_type, write = _VECTORS[format]
    ending = "vector.json" if format == "vector" else format
    return _file(record, index, ending, media_type, write(directions, about))


def _json(directions: _Directions, about: dict[str, Any]) -> str:
    return json.dumps(about | {name: row.tolist() for name, row in directions.items()})


def _npy(directions: _Directions, _: dict[str, Any]) -> bytes:
    file = BytesIO()
    np.save(file, directions["decoder"], allow_pickle=False)
    return file.getvalue()


def _safetensors(directions: _Directions, about: dict[str, Any]) -> bytes:
    return save(directions, {name: str(value) for name, value in about.items()})


_VECTORS: dict[str, tuple[str, Callable[[_Directions, dict[str, Any]], str | bytes]]] = {
    "vector": ("application/json", _json),
    "npy": ("application/octet-stream", _npy),
    "safetensors": ("application/octet-stream", _safetensors),
}


def _where(database: Database) -> dict[str, str]:
    """What opens the database again."""
    if database.folder is None:
        return {"imports": "", "where": repr(database.uri)}
    folder = f"folder=Path({str(database.folder)!r})"
    return {"imports": "from pathlib import Path\n\n", "where": folder}


def _file(
    record: SAERecord, index: int, ending: str, media_type: str, contents: str | bytes
) -> Response:
    name = f"{record.name.replace(':', '-')}-{index}.{ending}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    data = contents.encode(errors="replace") if isinstance(contents, str) else contents
    return Response(data, media_type=media_type, headers=headers)
