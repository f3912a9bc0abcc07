"""Answers that need not travel twice: a hash of what was answered, and 304 for who has it.

What stands under an address that names an analysis is kept for ever and is not asked for again
(`Cache-Control: immutable`). All other answers of the API may change at any moment: a browser
keeps them too and asks, with their hash, whether they still hold.
"""

from hashlib import blake2b

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class ETags:
    """Gives every answer to `GET` under `/api` that may change its `ETag`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = scope["type"] == "http" and scope["method"] == "GET"
        if not asked or not scope["path"].startswith("/api/"):
            await self.app(scope, receive, send)
            return
        known = _tags(Headers(scope=scope).get("if-none-match", ""))
        start: Message | None = None

        async def send_tagged(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and _may_change(message):
                start = message  # waits for the body, which the hash is of
                return
            if start is not None:
                began, start = start, None
                if not message.get("more_body"):  # a stream has no hash before its end
                    message = _tag(began, message, known)
                await send(began)
            await send(message)

        await self.app(scope, receive, send_tagged)


def _may_change(start: Message) -> bool:
    kept = Headers(raw=start["headers"]).get("cache-control", "")
    return start["status"] == 200 and not {"immutable", "no-store"} & set(kept.split(", "))


def _tag(start: Message, body: Message, known: set[str]) -> Message:
    """Puts the hash into an answer's head; the body, or none where it is known."""
    # weak: the same contents may be compressed or not
    tag = f'W/"{blake2b(body.get("body", b""), digest_size=12).hexdigest()}"'
    headers = MutableHeaders(raw=start["headers"])
    headers["ETag"] = tag
    headers.setdefault("Cache-Control", "no-cache")
    if tag not in known:
        return body
    start["status"] = 304
    for name in ("content-length", "content-type", "content-encoding"):
        if name in headers:
            del headers[name]
    return {**body, "body": b""}


def _tags(header: str) -> set[str]:
    return {each.strip() for each in header.split(",")}
