"""Gemma Scope 1 (params.npz) and 2 (params.safetensors with config.json): JumpReLU SAEs and
transcoders that never subtract b_dec.

    f = relu(z)·1[z > threshold], z = x W_enc + b_enc
    x̂ = f W_dec + b_dec  (+ x affine_skip_connection)

Hook, model and target are in the names of repository and folder, as
google/gemma-scope-2b-pt-res/layer_20/width_16k/average_l0_71 or
google/gemma-scope-2-270m-pt/transcoder/layer_9_width_16k_l0_small_affine.
"""

import math
import re
from collections.abc import Iterator
from typing import Any

from torch import Tensor

from lmsaes.errors import ConfigError
from lmsaes.interop.config import ImportConfig
from lmsaes.interop.files import damaged, read_json, read_tensors
from lmsaes.interop.published import Published, assemble, facts_of, refusal
from lmsaes.interop.source import Source

PARAMS = ("params.npz", "params.safetensors")
_CONTEXT = 1024  # of both releases' training


def read(source: Source, config: ImportConfig) -> Iterator[Published]:
    """The SAE or transcoder of a Gemma Scope folder.

    Raises SAEError for cross-layer transcoders and damaged files, ConfigError where the names say
    too little.
    """
    name = source.file or next((name for name in PARAMS if name in source.names()), PARAMS[0])
    path = source.path(name)
    tensors = read_tensors(path)
    old = {"W_enc": "w_enc", "W_dec": "w_dec"}
    names = {new: new if new in tensors else low for new, low in old.items()}
    W_enc = tensors.take(names["W_enc"], None, None)
    d_in, features = W_enc.shape
    if "clt" in source.place.rpartition("gemma-scope")[2]:
        raise refusal(source, "it is a cross-layer transcoder", "it writes to several layers")
    W_dec = tensors.take(names["W_dec"], features, None)
    d_out = W_dec.shape[1]
    b_enc, b_dec = tensors.take("b_enc", features), tensors.take("b_dec", d_out)
    threshold = tensors.take("threshold", features)
    affine: Tensor | None = None
    if "affine_skip_connection" in tensors:
        affine = tensors.take("affine_skip_connection", d_in, d_out)
    tensors.finish()
    said = _said(source, config)
    target = config.target or said.get("target")
    if target is None and (affine is not None or d_in != d_out):
        raise ConfigError(
            f"{source.where} is a transcoder and does not say which hook it predicts",
            "add --target, such as blocks.8.hook_mlp_out",
        )
    facts = facts_of(
        source,
        config,
        "gemma-scope",
        hook=said.get("hook"),
        target=target,
        model=said.get("model"),
        context_size=_CONTEXT,
        prepend_bos=True,
        weights="raw",
        dtype=tensors.dtype,
    )
    # Trained on embeddings times √d, which the hook doesn't have.
    s = math.sqrt(d_in) if "/embedding" in source.place else 1.0
    parts = {
        "W_enc": W_enc.T / s,
        "W_dec": W_dec * s,
        "b_enc": b_enc,
        "b_dec": b_dec,
        "threshold": threshold,
        "W_skip": None if affine is None else affine.T,
    }

    def formula(x: Tensor) -> tuple[Tensor, Tensor]:
        pre = x @ (W_enc / s) + b_enc
        f = pre.relu() * (pre > threshold)
        out = f @ (W_dec * s) + b_dec
        return f, out if affine is None else out + x @ affine

    yield Published(assemble("jumprelu", facts, parts), formula)


def _said(source: Source, config: ImportConfig) -> dict[str, str]:
    """Hook, target and model, from the configuration beside the weights or the names of folders."""
    place = source.place.rpartition("gemma-scope")[2]
    layer = re.search(r"layer_(\d+)", place or source.place)
    block = f"blocks.{layer[1]}." if layer else None
    if "config.json" in source.names():
        path = source.path("config.json")
        content = read_json(path)
        kind = content.get("architecture")
        if kind != "jump_relu":
            raise damaged(path, f"architecture is {kind!r}, not 'jump_relu'")
        return _of_release_2(content, place or source.place, block)
    if place.startswith("-2-"):
        size = place.removeprefix("-2-").split("/")[0]
        return _of_release_2({"model_name": f"gemma-3-{size}"}, place, block)
    return _of_release_1(place, block) if place else {}


def _of_release_1(place: str, block: str | None) -> dict[str, str]:
    found = re.match(r"-(2b|9b|27b)-(?:pt|(it))-([a-z]+)", place)
    if found is None:
        return {}
    size, tuned, kind = found.groups()
    said = {"model": f"google/gemma-2-{size}" + ("-it" if tuned else "")}
    if kind == "res" and "/embedding" in place:
        return said | {"hook": "hook_embed"}
    hooks = {"res": "hook_resid_post", "mlp": "hook_mlp_out", "att": "attn.hook_z"}
    if block is None:
        return said
    if kind == "transcoders":
        return said | {"hook": block + "ln2.hook_normalized", "target": block + "hook_mlp_out"}
    return said | ({"hook": block + hooks[kind]} if kind in hooks else {})


def _of_release_2(content: dict[str, Any], place: str, block: str | None) -> dict[str, str]:
    said: dict[str, str] = {}
    if isinstance(content.get("model_name"), str):
        model = content["model_name"].removeprefix("google/").replace("-v3", "-3")
        # the small model's base version has no suffix on the hub
        said["model"] = "google/" + (model.replace("-pt", "") if "270m" in model else model)
    hooks = {
        "transcoder": "mlp.hook_in",
        "resid_post": "hook_resid_post",
        "attn_out": "attn.hook_z",
        "mlp_out": "hook_mlp_out",
    }
    point = str(content.get("hf_hook_point_in") or "")
    points = {
        "pre_feedforward_layernorm.output": "transcoder",
        "o_proj.input": "attn_out",
        "post_feedforward_layernorm.output": "mlp_out",
    }
    kind = next((kind for kind in hooks if kind in place), None)
    kind = kind or next((kind for end, kind in points.items() if point.endswith(end)), None)
    if kind is None and re.fullmatch(r"(?:.*\.)?layers\.\d+\.output", point):
        kind = "resid_post"
    layer = re.search(r"layers\.(\d+)\.", point)
    block = f"blocks.{layer[1]}." if layer else block
    if kind is None or block is None:
        return said
    said["hook"] = block + hooks[kind]
    if kind == "transcoder":
        said["target"] = block + "hook_mlp_out"
    return said
