"""A server of OpenAI's chat protocol on this machine that answers by a rule instead of a model."""

import json
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Rule = Callable[[dict[str, Any]], "str | Reply"]
"""Of a request's JSON, the text to answer with, or a whole reply."""


@dataclass(frozen=True)
class Reply:
    """What is sent in place of an answer of the protocol."""

    status: int = 200
    body: str = ""
    content_type: str = "application/json"
    delay: float = 0.0


@dataclass
class ChatServer:
    """Its address, and what it was asked."""

    address: str
    requests: list[dict[str, Any]] = field(default_factory=list)
    authorizations: set[str | None] = field(default_factory=set)

    def questions(self, system: str) -> list[dict[str, Any]]:
        """The requests whose system message contains a text."""
        return [each for each in self.requests if system in each["messages"][0]["content"]]


@contextmanager
def chat_server(rule: Rule) -> Generator[ChatServer]:
    """Serves until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            asked = json.loads(self.rfile.read(length))
            with lock:
                served.requests.append(asked)
                served.authorizations.add(self.headers["Authorization"])
            if self.path != "/v1/chat/completions":
                reply = Reply(404, json.dumps({"error": {"message": f"no {self.path}"}}))
            else:
                said = rule(asked)
                reply = said if isinstance(said, Reply) else Reply(body=completion(said))
            time.sleep(reply.delay)
            data = reply.body.encode()
            try:
                self.send_response(reply.status)
                self.send_header("Content-Type", reply.content_type)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the client has waited long enough

        def log_message(self, *_: Any) -> None:
            pass

    lock = threading.Lock()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    served = ChatServer(f"http://127.0.0.1:{server.server_address[1]}/v1")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def completion(text: str) -> str:
    """An answer of the protocol."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop",
    }
    return json.dumps(
        {"id": "x", "object": "chat.completion", "created": 0, "model": "rule", "choices": [choice]}
    )
