"""Reads the files that the server sends, as any program would."""

import json
from typing import Any

import httpx
import numpy as np
from safetensors.numpy import load


def read_file(answer: httpx.Response) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The tensors and what the file says of itself."""
    assert answer.status_code == 200, answer.text
    return load(answer.content), file_about(answer.content)


def file_about(data: bytes) -> dict[str, Any]:
    """What a file says of itself."""
    return json.loads(_header(data)["__metadata__"]["about"])


def with_about(data: bytes, about: dict[str, Any]) -> bytes:
    """The same file, saying something else of itself."""
    header = _header(data)
    header["__metadata__"]["about"] = json.dumps(about)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + _length(data) :]


def _header(data: bytes) -> dict[str, Any]:
    return json.loads(data[8 : 8 + _length(data)])


def _length(data: bytes) -> int:
    return int.from_bytes(data[:8], "little")
