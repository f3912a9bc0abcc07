"""The built viewer: its files, and its one HTML page for every address outside the API."""

from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response
from starlette.types import Scope

BUILT = Path(__file__).with_name("static")

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self';"
    " connect-src 'self'; base-uri 'none'; form-action 'none'"
)
_NOT_BUILT = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>lmsaes</title>
<body style="font: 16px/1.6 system-ui, sans-serif; margin: 15vh auto; max-width: 34em">
<h1>The viewer is not built</h1>
<p>In the repository, type <code>make ui</code> and start the server again. The API is here
already: <a href="/api/openapi.json">openapi.json</a>, <a href="/api/saes">saes</a>.</p>
</body></html>
"""


def mount_viewer(app: FastAPI, folder: Path = BUILT) -> None:
    """Adds the viewer under `/`, behind the routes that the application has so far."""
    if (folder / "index.html").is_file():
        app.mount("/", _Viewer(directory=folder, html=True))
    else:
        app.get("/", include_in_schema=False, response_class=HTMLResponse)(lambda: _NOT_BUILT)


class _Viewer(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        if is_api(scope["path"]):
            raise HTTPException(404)
        try:
            response = await super().get_response(path, scope)
        except HTTPException as error:
            if error.status_code != 404 or not _accepts_html(scope):
                raise
            response = await super().get_response("index.html", scope)
        # The pages need nothing from elsewhere, and may not get it; what is made to be shown in
        # other pages is in embed.py.
        response.headers["Content-Security-Policy"] = f"{_POLICY}; frame-ancestors 'none'"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        # The names of bundled files change with their contents; the page that names them doesn't.
        bundled = path.startswith("assets/")
        response.headers["Cache-Control"] = (
            "public, max-age=31536000, immutable" if bundled else "no-cache"
        )
        return response


def is_api(path: str) -> bool:
    """Whether an address belongs to the API, where the viewer is not."""
    return path.partition("/")[2].partition("/")[0] in ("api", "compat")


def _accepts_html(scope: Scope) -> bool:
    """Whether a person's browser navigates here, rather than a program that wants data."""
    accepted = dict(scope["headers"]).get(b"accept", b"")
    return b"text/html" in accepted
