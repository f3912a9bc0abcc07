"""Reads the files that the server sends, as any program would."""

import json
from typing import Any

import httpx
import numpy as np
from safetensors.numpy import load


def read_file(answer: httpx.Response) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The tensors and what the file says of itself."""
    assert answer.status_code == 200, answer.text
    tensors = load(answer.content)
    length = int.from_bytes(answer.content[:8], "little")
    header = json.loads(answer.content[8 : 8 + length])
    return tensors, json.loads(header["__metadata__"]["about"])
