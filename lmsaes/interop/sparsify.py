"""sparsify (EleutherAI): a folder per hookpoint with cfg.json and sae.safetensors, both ways.

    f = topk(relu(encoder(x − b_dec)))   x̂ = f W_dec + b_dec
    transcoders: encoder(x), and x W_skipᵀ is added

A hookpoint is the path of a Hugging Face module, such as layers.3 or layers.3.mlp, whose output is
read; a transcoder reads the module's input and predicts its output.
"""

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from pydantic import BaseModel, Field
from safetensors.torch import save_file
from torch import Tensor

from lmsaes.atomic import replace_file, replacing
from lmsaes.errors import ConfigError, SAEError
from lmsaes.interop.config import ImportConfig
from lmsaes.interop.files import read_json, read_settings, read_tensors
from lmsaes.interop.hooks import hook_of_module, hooks_of_transcoder
from lmsaes.interop.published import Published, assemble, facts_of, refusal, topk_rows
from lmsaes.interop.source import Source
from lmsaes.sae import SAE, TopK

CONFIG, WEIGHTS = "cfg.json", "sae.safetensors"


class _Config(BaseModel):
    d_in: int = Field(gt=0)
    k: int = Field(default=32, gt=0)
    activation: str = "topk"
    signed: bool = False  # of versions before 1.0
    expansion_factor: float = 32
    num_latents: int = 0
    transcode: bool = False
    skip_connection: bool = False


def read(source: Source, config: ImportConfig) -> Iterator[Published]:
    """The SAE or transcoder of a hookpoint's folder.

    Raises SAEError for damaged files and for what no class here holds (groupmax, signed
    activations, a skip without transcode), ConfigError where the hook isn't known.
    """
    path = source.path(CONFIG)
    cfg = read_settings(_Config, read_json(path), path)
    if cfg.activation != "topk":
        raise refusal(
            source, f"its activation is {cfg.activation}", "it takes the largest of each group"
        )
    if cfg.signed:
        raise refusal(
            source, "its activations have a sign", "here a feature fires above zero alone"
        )
    if cfg.skip_connection and not cfg.transcode:
        raise refusal(source, "it adds its own input through a skip", "only transcoders have one")
    d = cfg.d_in
    features = cfg.num_latents or round(d * cfg.expansion_factor)
    tensors = read_tensors(source.path(WEIGHTS))
    weight, bias = (
        tensors.take("encoder.weight", features, d),
        tensors.take("encoder.bias", features),
    )
    W_dec, b_dec = tensors.take("W_dec", features, d), tensors.take("b_dec", d)
    W_skip = tensors.take("W_skip", d, d) if cfg.skip_connection else None
    tensors.finish()
    hookpoint = PurePosixPath(source.place).name
    hook, target = hook_of_module(hookpoint), None
    if cfg.transcode:
        hook, target = hooks_of_transcoder(hookpoint) or (None, None)
        if (config.target or target) is None:
            raise ConfigError(
                f"{source.where} is a transcoder and does not say which hook it predicts",
                "add --target, such as blocks.8.hook_mlp_out",
            )
    run = _run(source)
    facts = facts_of(
        source,
        config,
        "sparsify",
        hook=hook,
        target=target,
        model=run.get("model") if isinstance(run.get("model"), str) else None,
        context_size=run.get("ctx_len") if isinstance(run.get("ctx_len"), int) else None,
        weights="raw",
        dtype=tensors.dtype,
    )
    parts = {
        "W_enc": weight,
        "b_enc": bias,
        "W_dec": W_dec,
        "b_dec": b_dec,
        "input_bias": None if cfg.transcode else b_dec,
        "W_skip": W_skip,
    }

    def formula(x: Tensor) -> tuple[Tensor, Tensor]:
        u = x if cfg.transcode else x - b_dec
        f = topk_rows((u @ weight.T + bias).relu(), cfg.k)
        out = f @ W_dec + b_dec
        return f, out if W_skip is None else out + x @ W_skip.T

    yield Published(assemble("topk", facts, parts, k=min(cfg.k, features)), formula)


def _run(source: Source) -> dict[str, Any]:
    """The configuration of the run, one folder up."""
    path = source.beside("config.json")
    return {} if path is None else read_json(path)


def check(sae: SAE, where: str) -> None:
    """Raises SAEError when sparsify has no class for this SAE."""
    if not isinstance(sae, TopK):
        raise SAEError(
            f"{where} is {sae.config.architecture}, and sparsify has TopK SAEs alone",
            "export it --to saelens",
        )
    if sae.row_norm_parts:
        raise SAEError(f"{where} was trained with layer norm, which sparsify doesn't have")
    if len(sae.config.inputs) > 1:
        raise SAEError(f"{where} is a crosscoder, which sparsify doesn't have")
    if sae.d_in != sae.d_out:
        raise SAEError(f"{where} maps {sae.d_in} dimensions to {sae.d_out}; sparsify keeps them")


def config(sae: SAE, digest: str) -> bytes:
    """cfg.json, with the digest of our weights under a name that sparsify passes over."""
    assert isinstance(sae, TopK)
    content = {
        "activation": "topk",
        "expansion_factor": max(1, sae.features // sae.d_in),
        "normalize_decoder": not sae.transcodes,
        "num_latents": sae.features,
        "k": sae.k,
        "multi_topk": False,
        "skip_connection": sae.W_skip is not None,
        "transcode": sae.transcodes,
        "d_in": sae.d_in,
        "lmsaes_weights_sha256": digest,
    }
    return (json.dumps(content, indent=2) + "\n").encode()


def write(sae: SAE, folder: Path, digest: str) -> None:
    """`folder` as sparsify's SparseCoder.load_from_disk opens it. `check` comes first.

    sparsify subtracts b_dec from an autoencoder's input, so that its bias is that of ours for
    x − b_dec: b_enc + W_enc (b_dec − input bias), in float64.
    """
    assert isinstance(sae, TopK)
    shift = torch.zeros(sae.d_in, dtype=torch.float64)
    if not sae.transcodes:
        shift = shift + sae.b_dec.double()
    if sae.input_bias is not None:
        shift = shift - sae.input_bias.double()
    bias = sae.b_enc.double() + sae.W_enc.double() @ shift
    tensors = {
        "encoder.weight": sae.W_enc.detach().float(),
        "encoder.bias": bias.float(),
        "W_dec": sae.W_dec.detach().float(),
        "b_dec": sae.b_dec.detach().float(),
    }
    if sae.W_skip is not None:
        tensors["W_skip"] = sae.W_skip.detach().float()
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / WEIGHTS) as temporary:
        (folder / CONFIG).unlink(missing_ok=True)
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary)
    replace_file(folder / CONFIG, config(sae, digest))
