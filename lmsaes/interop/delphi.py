"""Delphi's cache of latents: each activation of an SAE over a cache of ours, split by features.

    layers.7/
      config.json
      0_3276.safetensors …      locations [n, 3] (context, position, feature within the split),
                                activations float16 [n], tokens int64 [contexts, context_size]

One pass over the cache; each split's firings are spooled to the disk as they come, so that memory
does not grow with the cache. Special tokens and first positions are left out, as in analysis, and
what is not above 1e-5, as Delphi leaves it out.
"""

import itertools
import json
import shutil
import struct
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

from lmsaes.atomic import naming, replace_file, replacing
from lmsaes.cache import ActivationCache
from lmsaes.errors import ConfigError, SAEError
from lmsaes.interop.saelens_export import public_name
from lmsaes.parallel import resolve_device
from lmsaes.progress import progress
from lmsaes.sae import SAE

CONFIG = "config.json"
_SMALLEST = 1e-5
_VALUES = 1 << 24  # activations at once


def write(sae: SAE, cache: ActivationCache, folder: Path, splits: int, device: str) -> None:
    """The SAE's activations on the cache's rows into `folder`; config.json is written last.

    Raises SAEError or ConfigError when SAE and cache don't fit, or there are more splits than
    features.
    """
    for hook in sae.config.inputs:
        cache.check_hook(hook)
    if sum(cache.hooks[hook].d_model for hook in sae.config.inputs) != sae.d_in:
        raise SAEError(f"the SAE reads vectors of {sae.d_in}, and {cache.path} holds others")
    if splits > sae.features:
        raise ConfigError(f"{splits} splits for {sae.features} features", "ask for fewer --splits")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).unlink(missing_ok=True)
    # as Delphi divides them: torch.linspace, cut off to whole numbers
    bounds = torch.linspace(0, sae.features, splits + 1).long().tolist()
    spans = list(itertools.pairwise(bounds))
    small = cache.contexts <= 1 << 16 and max(b - a for a, b in spans) <= 1 << 16
    dtype = np.dtype("<u2" if small else "<u4")
    with ExitStack() as stack:
        names = [folder / f"{start}_{stop - 1}" for start, stop in spans]
        spools = [_Spool(name, stack) for name in names]
        _pass(sae.to(resolve_device(device)), cache, spans, spools, dtype)
        for name, spool in zip(names, spools, strict=True):
            _assemble(name.with_name(name.name + ".safetensors"), spool, cache, dtype)
    text = cache.manifest.text
    content = {
        "dataset_repo": public_name(text.dataset),
        "dataset_split": text.split,
        "dataset_name": text.config or "",
        "dataset_column": text.text_column,
        "batch_size": cache.manifest.compute.batch_size,
        "cache_ctx_len": cache.context_size,
        "ctx_len": cache.context_size,
        "n_tokens": cache.contexts * cache.context_size,
        "n_splits": splits,
        "model_name": public_name(cache.manifest.model.name),
    }
    replace_file(folder / CONFIG, (json.dumps(content, indent=4) + "\n").encode())


class _Spool:
    """A split's firings on the disk, until their number is known."""

    def __init__(self, name: Path, stack: ExitStack) -> None:
        self.count = 0
        self.name = name
        self.files: list[IO[bytes]] = []
        for kind in ("locations", "activations"):
            path = name.with_name(f"{name.name}.{kind}.tmp")
            stack.callback(path.unlink, missing_ok=True)
            self.files.append(stack.enter_context(path.open("w+b")))

    def add(self, locations: np.ndarray, activations: np.ndarray) -> None:
        with naming(self.name):
            self.files[0].write(locations.tobytes())
            self.files[1].write(activations.tobytes())
        self.count += len(activations)


def _pass(
    sae: SAE,
    cache: ActivationCache,
    spans: list[tuple[int, int]],
    spools: list[_Spool],
    dtype: np.dtype[Any],
) -> None:
    size = cache.context_size
    step = max(1, _VALUES // (sae.features * size))
    where = sae.W_dec.device
    with progress("encoding", cache.rows, "tokens") as bar, torch.inference_mode():
        for start in range(0, cache.contexts, step):
            stop = min(start + step, cache.contexts)
            valid = cache.valid_positions(cache.tokens(start, stop)).reshape(-1).to(where)
            parts = [cache.activations(h, start, stop).flatten(0, 1) for h in sae.config.inputs]
            encoded = sae.encode(torch.cat(parts, 1).to(where, torch.float32))
            encoded = encoded.where(valid[encoded.row_ids()] & (encoded.values > _SMALLEST))
            rows = encoded.row_ids().cpu().numpy()
            features = encoded.indices.cpu().numpy()
            values = encoded.values.clamp(max=torch.finfo(torch.float16).max).half().cpu().numpy()
            for (first, end), spool in zip(spans, spools, strict=True):
                inside = (features >= first) & (features < end)
                context, position = start + rows[inside] // size, rows[inside] % size
                places = np.stack([context, position, features[inside] - first], 1)
                spool.add(places.astype(dtype), values[inside])
            bar.advance((stop - start) * size)


def _assemble(file: Path, spool: _Spool, cache: ActivationCache, dtype: np.dtype[Any]) -> None:
    """A safetensors file by hand: its header needs the number of firings, its body no memory."""
    n, contexts, size = spool.count, cache.contexts, cache.context_size
    kinds = {
        "activations": ("F16", [n], 2 * n),
        "locations": ("U16" if dtype.itemsize == 2 else "U32", [n, 3], 3 * n * dtype.itemsize),
        "tokens": ("I64", [contexts, size], 8 * contexts * size),
    }
    header: dict[str, Any] = {}
    offset = 0
    # the widest first, so that each lies at a multiple of its width
    for name in ("tokens", "locations", "activations"):
        kind, shape, length = kinds[name]
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [offset, offset + length]}
        offset += length
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with replacing(file) as temporary, temporary.open("wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for start in range(0, contexts, 4096):
            tokens = cache.tokens(start, min(start + 4096, contexts))
            out.write(tokens.numpy().astype("<i8").tobytes())
        for spooled in spool.files:
            spooled.seek(0)
            shutil.copyfileobj(spooled, out, 1 << 20)
