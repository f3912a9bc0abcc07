"""Releases that differ from ours in names, layout and scales alone: one table.

    format        encoder [F, d]          decoder               activation      b_dec subtracted
    goodfire      encoder_linear.weight   decoder_linear ᵀ      relu            no
    deepseek-r1   encoder.weight          decoder.weight ᵀ      relu            no
    qwen-scope    W_enc                   W_dec ᵀ               topk            no
    openai        encoder.weight          decoder.weight ᵀ      topk, relu      pre_bias
    llama-scope   encoder.weight          decoder.weight ᵀ      jumprelu        where it says so
    llamascopium  W_E ᵀ                   W_D                   any of these    no

What else is different is beside each reader: OpenAI's layer norm; OpenMOSS' scales (openmoss.py).
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from lmsaes.errors import ConfigError
from lmsaes.interop.config import ImportConfig
from lmsaes.interop.files import (
    Tensors,
    read_tensors,
    read_torch,
)
from lmsaes.interop.published import Published, assemble, facts_of, refusal, topk_rows
from lmsaes.interop.source import Source

RENAMES: dict[str, dict[str, tuple[str, bool]]] = {
    "goodfire": {
        "W_enc": ("encoder_linear.weight", False),
        "b_enc": ("encoder_linear.bias", False),
        "W_dec": ("decoder_linear.weight", True),
        "b_dec": ("decoder_linear.bias", False),
    },
    "deepseek-r1": {
        "W_enc": ("encoder.weight", False),
        "b_enc": ("encoder.bias", False),
        "W_dec": ("decoder.weight", True),
        "b_dec": ("decoder.bias", False),
    },
    "qwen-scope": {
        "W_enc": ("W_enc", False),
        "b_enc": ("b_enc", False),
        "W_dec": ("W_dec", True),
        "b_dec": ("b_dec", False),
    },
    "openai": {
        "W_enc": ("encoder.weight", False),
        "b_enc": ("latent_bias", False),
        "W_dec": ("decoder.weight", True),
        "b_dec": ("pre_bias", False),
    },
    "llama-scope": {
        "W_enc": ("encoder.weight", False),
        "b_enc": ("encoder.bias", False),
        "W_dec": ("decoder.weight", True),
        "b_dec": ("decoder.bias", False),
    },
    "llamascopium": {
        "W_enc": ("W_E", True),
        "b_enc": ("b_E", False),
        "W_dec": ("W_D", False),
        "b_dec": ("b_D", False),
    },
}
"""By format, what a tensor of ours is called there, and whether it lies transposed."""


@dataclass(frozen=True)
class Taken:
    """The four tensors in our layout, as they were stored."""

    W_enc: Tensor  # [features, d_in]
    b_enc: Tensor
    W_dec: Tensor  # [features, d_out]
    b_dec: Tensor

    def parts(self) -> dict[str, Tensor]:
        return {"W_enc": self.W_enc, "b_enc": self.b_enc, "W_dec": self.W_dec, "b_dec": self.b_dec}


def take(tensors: Tensors, format: str, decoder_bias: bool = True) -> Taken:
    names = RENAMES[format]

    def matrix(ours: str, *shape: int | None) -> Tensor:
        theirs, transposed = names[ours]
        taken = tensors.take(theirs, *(reversed(shape) if transposed else shape))
        return taken.T.contiguous() if transposed else taken

    W_enc = matrix("W_enc", None, None)
    features = W_enc.shape[0]
    W_dec = matrix("W_dec", features, None)
    b_enc = tensors.take(names["b_enc"][0], features)
    b_dec = torch.zeros(W_dec.shape[1])
    if decoder_bias:
        b_dec = tensors.take(names["b_dec"][0], W_dec.shape[1])
    return Taken(W_enc, b_enc, W_dec, b_dec)


def read_relu(format: str) -> Callable[[Source, ImportConfig], Iterator[Published]]:
    """A reader of Goodfire's and EleutherAI-like DeepSeek R1 files: ReLU, b_dec not subtracted."""

    def read(source: Source, config: ImportConfig) -> Iterator[Published]:
        tensors = read_tensors(weights_file(source))
        t = take(tensors, format)
        tensors.finish()
        layer = re.search(r"l(\d+)\.pth?$", source.place)
        facts = facts_of(
            source,
            config,
            format,
            hook=f"blocks.{layer[1]}.hook_resid_post" if layer else None,
            weights="raw",
            dtype=tensors.dtype,
        )

        def formula(x: Tensor) -> tuple[Tensor, Tensor]:
            f = (x @ t.W_enc.T + t.b_enc).relu()
            return f, f @ t.W_dec + t.b_dec

        yield Published(assemble("relu", facts, t.parts()), formula)

    return read


def read_qwen(source: Source, config: ImportConfig) -> Iterator[Published]:
    """A layerN.sae.pt of Qwen Scope, whose repository's name has the number of active features."""
    tensors = read_tensors(weights_file(source))
    t = take(tensors, "qwen-scope")
    tensors.finish()
    layer = re.search(r"layer(\d+)\.sae\.pt$", source.place)
    named = re.search(r"SAE-Res-(.+)-W\d+K-L0_(\d+)", source.place)
    k = config.k or (int(named[2]) if named else None)
    if k is None:
        raise ConfigError(f"{source.where} does not say how many features fire per row", "add --k")
    facts = facts_of(
        source,
        config,
        "qwen-scope",
        hook=f"blocks.{layer[1]}.hook_resid_post" if layer else None,
        model=f"Qwen/{named[1]}" if named else None,
        weights="raw",
        dtype=tensors.dtype,
    )

    def formula(x: Tensor) -> tuple[Tensor, Tensor]:
        f = topk_rows(x @ t.W_enc.T + t.b_enc, k).relu()
        return f, f @ t.W_dec + t.b_dec

    yield Published(assemble("topk", facts, t.parts(), k=k), formula)


_OPENAI_HOOKS = {
    "mlp_post_act": "mlp.hook_post",
    "resid_delta_attn": "hook_attn_out",
    "resid_post_attn": "hook_resid_mid",
    "resid_delta_mlp": "hook_mlp_out",
    "resid_post_mlp": "hook_resid_post",
}


def read_openai(source: Source, config: ImportConfig) -> Iterator[Published]:
    """A checkpoint of OpenAI's sparse_autoencoder. Its TopK SAEs normalize rows: x̂ = z·std + μ."""
    path = weights_file(source)
    content = read_torch(path)
    tensors = Tensors({k: v for k, v in content.items() if isinstance(v, Tensor)}, path)
    tensors.leave("stats_last_nonzero", "latents_activation_frequency", "latents_mean_square")
    t = take(tensors, "openai")
    activation = content.get("activation", "ReLU")
    state = content.get("activation_state_dict")
    inner = cast(dict[str, Any], state) if isinstance(state, dict) else {}
    tensors.finish()
    if activation not in ("ReLU", "TopK"):
        raise refusal(source, f"its activation is {activation}", "ReLU and TopK are known")
    if inner.get("postact_fn", "ReLU") != "ReLU":
        raise refusal(source, "its activations may be negative", "here a feature fires above zero")
    k = config.k or inner.get("k")
    if activation == "TopK" and not (isinstance(k, int | float | Tensor) and int(k) > 0):
        raise ConfigError(f"{source.where} does not say how many features fire per row", "add --k")
    count = int(k) if activation == "TopK" and k is not None else 0
    named = re.search(r"(\w+?)(?:_v\d\w*)?/autoencoders/(\d+)\.pt$", source.place)
    location = _OPENAI_HOOKS.get(named[1]) if named else None
    facts = facts_of(
        source,
        config,
        "openai",
        hook=f"blocks.{named[2]}.{location}" if named and location else None,
        model="gpt2" if "gpt2-small" in source.place else None,
        weights="raw",
        dtype=tensors.dtype,
    )
    parts = t.parts() | {"input_bias": t.b_dec}

    def formula(x: Tensor) -> tuple[Tensor, Tensor]:
        mean, std = x.new_zeros(()), x.new_ones(())
        if count:
            mean = x.mean(1, keepdim=True)
            x = x - mean
            std = x.std(1, keepdim=True)
            x = x / (std + 1e-5)
        pre = (x - t.b_dec) @ t.W_enc.T + t.b_enc
        f = topk_rows(pre, count).relu() if count else pre.relu()
        return f, (f @ t.W_dec + t.b_dec) * std + mean

    if count:
        norm: dict[str, Any] = {
            "normalize": "layer_norm",
            "layer_norm_eps": 1e-5,
            "layer_norm_ddof": 1,
        }
        yield Published(assemble("topk", facts, parts, **norm, k=count), formula)
    else:
        yield Published(assemble("relu", facts, parts), formula)


def weights_file(source: Source) -> Any:
    """The one file that was asked for, or the only torch file of the folder."""
    found = [name for name in source.names() if name.endswith((".pt", ".pth")) and "/" not in name]
    if source.file is None and len(found) != 1:
        raise ConfigError(
            f"{source.where} holds {len(found)} torch files", "give the one that is meant"
        )
    return source.path(source.file or found[0])
