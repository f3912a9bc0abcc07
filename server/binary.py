"""Tables of numbers as one safetensors file: bytes that a browser reads without parsing.

    8 bytes: length of the header │ header, JSON │ tensors, little-endian, one after the other

What is said of them beside their shapes stands in the header as one JSON text,
`__metadata__.about`, whose schema is in openapi.json.
"""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from fastapi import Request
from pydantic import BaseModel
from safetensors.numpy import save
from starlette.responses import Response

MEDIA_TYPE = "application/octet-stream"
IMMUTABLE = "public, max-age=31536000, immutable"
"""For what stands under an address that names an analysis: another one has another address."""
ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A safetensors file",
        "content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}},
    }
}
_WORTH_COMPRESSING = 1 << 10


@dataclass(frozen=True)
class Packed:
    """A file in memory, compressed once for all who ask."""

    data: bytes

    @cached_property
    def compressed(self) -> bytes:
        # the fastest level: it is waited for, and most of what is to be gained it gains
        return gzip.compress(self.data, 1, mtime=0)

    def answer(self, request: Request, cache: str, media_type: str = MEDIA_TYPE) -> Response:
        """The file for whoever asks, compressed where that is understood."""
        headers = {"Cache-Control": cache, "Vary": "Accept-Encoding"}
        accepted = request.headers.get("accept-encoding", "")
        if "gzip" in accepted and len(self.data) >= _WORTH_COMPRESSING:
            headers["Content-Encoding"] = "gzip"
            return Response(self.compressed, headers=headers, media_type=media_type)
        return Response(self.data, headers=headers, media_type=media_type)


def packed(tensors: Mapping[str, np.ndarray], about: BaseModel) -> Packed:
    """A safetensors file of tensors and what is said of them."""
    whole = {name: np.ascontiguousarray(values) for name, values in tensors.items()}
    return Packed(save(whole, {"about": about.model_dump_json()}))
