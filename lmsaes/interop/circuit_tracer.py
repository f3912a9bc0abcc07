"""circuit-tracer's sets of per-layer transcoders, config.yaml and layer_N.safetensors, both ways.

    f = activation(x W_encᵀ + b_enc)    ŷ = f W_dec + b_dec  (+ x W_skipᵀ)

Activations are z·1[z > threshold] where a threshold is there, topk where config.yaml says so (no
ReLU in either), else ReLU. Hook names leave out "blocks.N.". mwhanna's transcoders and those that
config.yaml lists elsewhere on the hub are read too.
"""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import torch
import yaml
from pydantic import BaseModel, Field
from safetensors.torch import save_file
from torch import Tensor

from lmsaes.atomic import replace_file, replacing
from lmsaes.errors import SAEError
from lmsaes.interop import gemma_scope
from lmsaes.interop.config import ImportConfig
from lmsaes.interop.files import damaged, read_settings, read_tensors, read_yaml
from lmsaes.interop.hooks import layer_of_hook
from lmsaes.interop.hub import open_source
from lmsaes.interop.published import Published, assemble, facts_of, refusal, thresholds, topk_rows
from lmsaes.interop.saelens_export import public_name
from lmsaes.interop.source import Source
from lmsaes.sae import SAE, Gated, ReLU, TopK

CONFIG = "config.yaml"
LAYERS = r"layer_\d+\.safetensors"
_LAYER = re.compile(r"layer_(\d+)\.safetensors")


class _Config(BaseModel):
    model_name: str | None = None
    model_kind: str = "transcoder_set"
    feature_input_hook: str = "mlp.hook_in"
    feature_output_hook: str = "hook_mlp_out"
    activation: str | None = None
    k: int | None = Field(default=None, gt=0)
    transcoders: list[str] | None = None


def read(source: Source, config: ImportConfig) -> Iterator[Published]:
    """The transcoders of a set, layer by layer; or of the one file that was asked for.

    Raises SAEError for damaged files and for cross-layer transcoders.
    """
    cfg = _Config()
    if CONFIG in source.names():
        path = source.path(CONFIG)
        cfg = read_settings(_Config, read_yaml(path), path)
    if cfg.model_kind != "transcoder_set":
        raise refusal(source, f"it is a {cfg.model_kind}", "its features write to several layers")
    if cfg.activation not in (None, "relu", "jumprelu", "topk"):
        raise refusal(source, f"its activation is {cfg.activation}", "which isn't known here")
    if cfg.transcoders is not None:
        for layer, place in enumerate(cfg.transcoders):
            yield from _elsewhere(open_source(place), layer, cfg, config)
        return
    names = [source.file] if source.file else source.names()
    layers = {int(found[1]): name for name in names if (found := _LAYER.fullmatch(name))}
    if not layers:
        raise SAEError(
            f"{source.where} holds no layer_N.safetensors", "give the folder of config.yaml"
        )
    for layer in sorted(layers):
        yield _read_layer(source, layers[layer], layer, cfg, config)


def _elsewhere(
    source: Source, layer: int, cfg: _Config, config: ImportConfig
) -> Iterator[Published]:
    """A transcoder that config.yaml lists: Gemma Scope's, or one of circuit-tracer's own."""
    name = source.file or ""
    if PurePosixPath(name).name not in gemma_scope.PARAMS:
        yield _read_layer(source, name, layer, cfg, config)
        return
    given = config.model_copy(
        update={
            "hook": config.hook or f"blocks.{layer}.{cfg.feature_input_hook}",
            "target": config.target or f"blocks.{layer}.{cfg.feature_output_hook}",
        }
    )
    for each in gemma_scope.read(source, given):
        yield Published(each.sae, each.formula, f"layer_{layer}")


def _read_layer(
    source: Source, name: str, layer: int, cfg: _Config, config: ImportConfig
) -> Published:
    path = source.path(name)
    tensors = read_tensors(path)
    W_enc = tensors.take("W_enc", None, None)
    features, d = W_enc.shape
    W_dec = tensors.take("W_dec", features, None)
    b_enc, b_dec = tensors.take("b_enc", features), tensors.take("b_dec", W_dec.shape[1])
    threshold, kind = None, "relu"
    if "activation_function.threshold" in tensors:
        kind, threshold = "jumprelu", tensors.take("activation_function.threshold", features)
        if bool((threshold < 0).any()):
            raise damaged(path, "thresholds below 0, where features would fire below zero")
    W_skip = tensors.take("W_skip", W_dec.shape[1], d) if "W_skip" in tensors else None
    tensors.finish()
    k = config.k or cfg.k
    if cfg.activation == "topk":
        kind = "topk"
        if k is None:
            raise damaged(path, f"{CONFIG} says topk and not how many: add --k")
    facts = facts_of(
        source,
        config,
        "circuit-tracer",
        hook=f"blocks.{layer}.{cfg.feature_input_hook}",
        target=f"blocks.{layer}.{cfg.feature_output_hook}",
        model=cfg.model_name,
        weights="raw",
        dtype=tensors.dtype,
    )
    parts = {
        "W_enc": W_enc,
        "b_enc": b_enc,
        "W_dec": W_dec,
        "b_dec": b_dec,
        "W_skip": W_skip,
        "threshold": threshold,
    }
    settings: dict[str, Any] = {"k": k} if kind == "topk" else {}

    def formula(x: Tensor) -> tuple[Tensor, Tensor]:
        pre = x @ W_enc.T + b_enc
        if kind == "topk":
            f = topk_rows(pre, k or 0)
        else:
            f = pre.relu() if threshold is None else pre * (pre > threshold)
        out = f @ W_dec + b_dec
        return f, out if W_skip is None else out + x @ W_skip.T

    sae = assemble(kind, facts, parts, **settings)
    return Published(sae, formula, f"layer_{layer}")


def check(saes: dict[str, SAE]) -> list[str]:
    """The SAEs' names in the order of their layers.

    Raises SAEError when they are no set of transcoders that circuit-tracer opens: one for each
    layer from 0, between the same hooks, all of one width and kind.
    """
    by_layer: dict[int, str] = {}
    kinds: set[tuple[object, ...]] = set()
    for name, sae in saes.items():
        if not sae.transcodes or sae.d_in != sae.d_out:
            raise SAEError(
                f"{name} is no transcoder of one width, which circuit-tracer needs",
                "train one for each layer: hook blocks.N.mlp.hook_in, target blocks.N.hook_mlp_out",
            )
        if isinstance(sae, Gated) or sae.row_norm_parts:
            what = "gated" if isinstance(sae, Gated) else "trained with layer norm"
            raise SAEError(f"{name} is {what}, and circuit-tracer has no such transcoders")
        places = layer_of_hook(sae.config.inputs[0]), layer_of_hook(sae.config.outputs[0])
        if places[0] is None or places[1] is None or places[0][0] != places[1][0]:
            raise SAEError(f"{name} does not stay within one layer, which circuit-tracer needs")
        if places[0][0] in by_layer:
            raise SAEError(
                f"{name} and {by_layer[places[0][0]]} are of one layer", "export one of them"
            )
        by_layer[places[0][0]] = name
        kinds.add((places[0][1], places[1][1], sae.features, _activation(sae)))
    if missing := [str(n) for n in range(max(by_layer) + 1) if n not in by_layer]:
        raise SAEError(
            f"circuit-tracer needs a transcoder for each layer: {', '.join(missing)} missing",
            "train them with the same width",
        )
    if len(kinds) > 1:
        raise SAEError(
            "the transcoders differ in hooks, width or activation, which circuit-tracer doesn't"
            " allow",
            "train them alike",
        )
    return [by_layer[layer] for layer in sorted(by_layer)]


def _activation(sae: SAE) -> tuple[Literal["relu", "jumprelu", "topk"], int | None]:
    if isinstance(sae, TopK):
        return "topk", sae.k
    return ("relu" if isinstance(sae, ReLU) else "jumprelu"), None


def write_layer(sae: SAE, folder: Path, layer: int) -> None:
    """A set's file of one layer. An input bias goes into b_enc, in float64."""
    b_enc = sae.b_enc.double()
    if sae.input_bias is not None:
        b_enc = b_enc - sae.W_enc.double() @ sae.input_bias.double()
    tensors = {
        "W_enc": sae.W_enc.detach(),
        "W_dec": sae.W_dec.detach(),
        "b_enc": b_enc,
        "b_dec": sae.b_dec.detach(),
    }
    threshold = thresholds(sae)
    if threshold is not None:
        tensors["activation_function.threshold"] = threshold
    if sae.W_skip is not None:
        tensors["W_skip"] = sae.W_skip.detach()
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / f"layer_{layer}.safetensors") as temporary:
        save_file({k: t.to(torch.float32).contiguous() for k, t in tensors.items()}, temporary)


def write_config(sae: SAE, folder: Path, digest: str) -> None:
    """The set's config.yaml, written last."""
    replace_file(folder / CONFIG, config(sae, digest))


def config(sae: SAE, digest: str) -> bytes:
    """config.yaml of the set that `sae` is of; digest: of all their weights."""
    reads, writes = layer_of_hook(sae.config.inputs[0]), layer_of_hook(sae.config.outputs[0])
    assert reads is not None
    assert writes is not None
    origin = sae.provenance or sae.imported
    activation, k = _activation(sae)
    content: dict[str, object] = {
        "model_name": public_name(origin.model) if origin else None,
        "model_kind": "transcoder_set",
        "feature_input_hook": reads[1],
        "feature_output_hook": writes[1],
        "lmsaes_weights": digest,
    }
    if activation == "topk":
        content |= {"activation": "topk", "k": k}
    return yaml.safe_dump(content, sort_keys=False).encode()
