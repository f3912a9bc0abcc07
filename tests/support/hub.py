"""A stand-in of the Hugging Face hub on this machine: the few addresses its client asks.

Repositories are folders, OWNER/REPO below one root. Every upload is taken as small files are.
"""

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

SHA = "c0ffee" + "0" * 34


class _Hub(BaseHTTPRequestHandler):
    root: ClassVar[Path]
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._file(with_body=False)

    def do_GET(self) -> None:
        words = self._words()
        if words[:2] != ["api", "models"]:
            self._file(with_body=True)
            return
        repo = self.root / words[2] / words[3]
        if not repo.is_dir():
            self._answer(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
            return
        names = sorted(p.relative_to(repo).as_posix() for p in repo.rglob("*") if p.is_file())
        siblings = [{"rfilename": name} for name in names]
        self._answer(200, {"id": "/".join(words[2:4]), "sha": SHA, "siblings": siblings})

    def do_POST(self) -> None:
        words, body = self._words(), self._body()
        if words == ["api", "repos", "create"]:
            asked = json.loads(body)
            (self.root / asked["organization"] / asked["name"]).mkdir(parents=True, exist_ok=True)
            self._answer(200, {"url": self._url(f"/{asked['organization']}/{asked['name']}")})
        elif "preupload" in words:
            files = [
                {"path": each["path"], "uploadMode": "regular", "shouldIgnore": False}
                for each in json.loads(body)["files"]
            ]
            self._answer(200, {"files": files})
        elif "commit" in words:
            repo = self.root / words[2] / words[3]
            for line in body.decode().splitlines():
                change = json.loads(line)
                if change["key"] == "file":
                    path = repo / change["value"]["path"]
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(base64.b64decode(change["value"]["content"]))
            url = self._url(f"/{'/'.join(words[2:4])}/commit/{SHA}")
            self._answer(200, {"success": True, "commitOid": SHA, "commitUrl": url})
        else:
            self._answer(200, {"errors": [], "warnings": []})  # of the card's front matter

    def _file(self, with_body: bool) -> None:
        words = self._words()
        path = self.root / "/".join([*words[:2], *words[4:]])  # OWNER/REPO/resolve/REVISION/…
        headers = {"X-Repo-Commit": SHA}
        if not path.is_file():
            self._answer(
                404, {"error": "Entry not found"}, headers | {"X-Error-Code": "EntryNotFound"}
            )
            return
        content = path.read_bytes()
        headers["ETag"] = f'"{hashlib.sha256(content).hexdigest()}"'
        self._send(200, content, headers, with_body)

    def _words(self) -> list[str]:
        return self.path.partition("?")[0].strip("/").split("/")

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts: list[bytes] = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _url(self, path: str) -> str:
        return f"http://{self.headers['Host']}{path}"

    def _answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(body).encode(), headers or {}, self.command != "HEAD")

    def _send(self, status: int, body: bytes, headers: dict[str, str], with_body: bool) -> None:
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def hub_of(root: Path) -> Iterator[str]:
    """Serves the repositories in `root`; yields the address for HF_ENDPOINT."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Hub", (_Hub,), {"root": root}))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
