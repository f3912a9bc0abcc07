"""Makes the golden caches beside it, one for each storage format and dtype that is named.

    python -m tests.cache.golden.make safetensors-int8-2 zarr-int8-2

They are kept as they were written: a new one is made when the format has something new to keep,
an old one is never made again. Those in float16 are of before int8 caches and storage errors, those
in zarr but for zarr-float32 of before the manifest knew their blocks' checksums. Those whose names
end in 2 are of format 2, all others of format 1.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lmsaes.cache.reader import valid_positions
from lmsaes.cache.writer import CacheWriter
from lmsaes.provenance import TextPosition
from tests.support.made_up_cache import made_up_manifest

HOOKS = {"blocks.0.hook_resid_post": 6, "blocks.1.mlp.hook_post": 3}
CONTEXTS, SIZE = 5, 4


def golden_tokens() -> np.ndarray:
    """int32 [contexts, context_size]; 0 is special."""
    tokens = np.arange(CONTEXTS * SIZE, dtype=np.int32).reshape(CONTEXTS, SIZE) * 7 % 50
    tokens[:, 0] = 0
    return tokens


def golden_rows(d_model: int) -> np.ndarray:
    """float32 [contexts, context_size, d_model]: eighths, which float16 holds exactly."""
    rows = np.arange(CONTEXTS * SIZE)[:, None] * 37 + np.arange(d_model) * 11
    return ((rows % 101 - 50) / 8).astype(np.float32).reshape(CONTEXTS, SIZE, d_model)


def make(folder: Path, format: Any, dtype: Any) -> None:
    manifest = made_up_manifest(
        CONTEXTS,
        SIZE,
        HOOKS,
        dtype,
        format,
        block_contexts=1,
        shard_contexts=2,
    )
    if format == "zarr":
        manifest.compression = "zstd"
    tokens = torch.from_numpy(golden_tokens())
    valid = valid_positions(tokens, manifest.text.special_ids)
    with CacheWriter(folder, manifest) as writer:
        for start in range(0, CONTEXTS, 2):
            part = slice(start, start + 2)
            rows = {hook: torch.from_numpy(golden_rows(d)[part]) for hook, d in HOOKS.items()}
            writer.write(tokens[part], rows, valid[part], TextPosition(document=start))
        writer.finish()
    (folder / ".lock").unlink(missing_ok=True)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        folder = Path(__file__).parent / name
        if folder.exists():
            sys.exit(f"{folder} is there: it must stay as it is")
        make(folder, *name.split("-")[:2])
