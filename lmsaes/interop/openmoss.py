"""OpenMOSS' SAEs: Llama Scope of 2024, and those of its library of 2025 on (llamascopium, R1).

Rows are multiplied by s = √d / (their mean norm in the training data), targets by s_out, and the
formulas below are of such rows; imported SAEs take raw ones.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import torch
from pydantic import BaseModel, Field
from torch import Tensor

from lmsaes.errors import ConfigError, SAEError
from lmsaes.interop.config import ImportConfig
from lmsaes.interop.files import Tensors, damaged, read_json, read_settings, read_tensors
from lmsaes.interop.published import Published, assemble, facts_of, refusal, topk_rows
from lmsaes.interop.renames import take
from lmsaes.interop.source import Source
from lmsaes.sae import row_norms


class _LlamaScope(BaseModel):
    """hyperparams.json."""

    d_model: int = Field(gt=0)
    d_sae: int = Field(gt=0)
    act_fn: str = "jumprelu"
    jump_relu_threshold: float = Field(default=0.0, ge=0)
    norm_activation: str = "dataset-wise"
    dataset_average_activation_norm: dict[str, float] | None = None
    sparsity_include_decoder_norm: bool = True
    hook_point_in: str
    hook_point_out: str | None = None
    use_decoder_bias: bool = True
    apply_decoder_bias_to_pre_encoder: bool = True
    use_glu_encoder: bool = False


def read_llama_scope(source: Source, config: ImportConfig) -> Iterator[Published]:
    """Llama Scope of 2024: hyperparams.json and checkpoints/final.safetensors.

    OpenMOSS' code first folds the data set's norms, s = √d / norm, then makes decoder rows unit
    where the sparsity loss had their norms in it, and compares with the one threshold only then
    (SparseAutoEncoder.from_config of lm_saes).
    """
    path = source.path("hyperparams.json")
    cfg = read_settings(_LlamaScope, read_json(path), path)
    if cfg.use_glu_encoder:
        raise refusal(source, "it has a gated linear unit", "no SAE here has one")
    if cfg.act_fn.lower() != "jumprelu":
        raise refusal(source, f"its activation is {cfg.act_fn}", "Llama Scope's is jumprelu")
    s, s_out = _scales_of_2024(source, path, cfg)
    tensors = read_tensors(source.path("checkpoints/final.safetensors"))
    t = take(tensors, "llama-scope", cfg.use_decoder_bias)
    tensors.finish()
    b_enc, b_dec, W_dec = t.b_enc / s, t.b_dec / s_out, t.W_dec * (s / s_out)
    length = torch.ones(len(b_enc))
    if cfg.sparsity_include_decoder_norm:
        length = row_norms(W_dec).clamp(min=1e-8)
    threshold = torch.full((len(b_enc),), cfg.jump_relu_threshold)
    bias = b_dec if cfg.apply_decoder_bias_to_pre_encoder and cfg.use_decoder_bias else None
    other = cfg.hook_point_out not in (None, cfg.hook_point_in)
    facts = facts_of(
        source,
        config,
        "llama-scope",
        hook=cfg.hook_point_in,
        target=cfg.hook_point_out if other else None,
        model="meta-llama/Llama-3.1-8B" if "Llama3_1-8B-Base" in source.place else None,
        context_size=1024,
        prepend_bos=True,
        weights="raw",
        dtype=tensors.dtype,
    )
    parts = {
        "W_enc": t.W_enc * length[:, None],
        "b_enc": b_enc * length,
        "W_dec": W_dec / length[:, None],
        "b_dec": b_dec,
        "input_bias": bias,
        "threshold": threshold,
    }

    def formula(x: Tensor) -> tuple[Tensor, Tensor]:
        u = x if bias is None else x - bias
        norms = W_dec.norm(dim=1) if cfg.sparsity_include_decoder_norm else length
        pre = (u @ t.W_enc.T + b_enc) * norms
        f = pre * (pre > cfg.jump_relu_threshold)
        return f, f @ (W_dec / norms.clamp(min=1e-8)[:, None]) + b_dec

    yield Published(assemble("jumprelu", facts, parts), formula)


def _scales_of_2024(source: Source, path: Path, cfg: _LlamaScope) -> tuple[float, float]:
    """What inputs and targets were multiplied by."""
    if cfg.norm_activation in ("none", "inference"):
        return 1.0, 1.0
    if cfg.norm_activation != "dataset-wise":
        raise _normalized_by_row(source, cfg.norm_activation)
    norms = cfg.dataset_average_activation_norm or {}
    if not all(math.isfinite(norm) and norm > 0 for norm in norms.values()) or "in" not in norms:
        raise damaged(path, "dataset_average_activation_norm has no positive 'in' and 'out'")
    s, s_out = (math.sqrt(cfg.d_model) / norms.get(k, norms["in"]) for k in ("in", "out"))
    return s, s_out


def _normalized_by_row(source: Source, how: str) -> SAEError:
    return refusal(
        source,
        f"its activations are normalized {how}",
        "each row or batch then has a scale of its own",
    )


class _Llamascopium(BaseModel):
    """config.json of OpenMOSS' library of 2026, and of Llama Scope R1."""

    sae_type: str = "sae"
    d_model: int = Field(gt=0)
    expansion_factor: float = Field(gt=0)
    act_fn: str = "relu"
    norm_activation: str = "dataset-wise"
    sparsity_include_decoder_norm: bool = True
    top_k: int | None = Field(default=None, gt=0)
    use_decoder_bias: bool = True
    use_glu_encoder: bool = False
    hook_point_in: str | None = None
    hook_point_out: str | None = None
    dataset_average_activation_norm: dict[str, float] | None = None


def read_llamascopium(source: Source, config: ImportConfig) -> Iterator[Published]:
    """h = s·x W_E + b_E, its gate on h·‖W_D‖ where the configuration includes the decoder's norm;
    outputs are divided by s_out. With norm_activation "inference" both are folded in already.
    """
    path = source.path("config.json")
    cfg = read_settings(_Llamascopium, read_json(path), path)
    _refuse_what_cannot_be_held(source, cfg)
    tensors = read_tensors(source.path("sae_weights.safetensors"))
    format = "llamascopium" if "W_E" in tensors else "llama-scope"  # R1 has the older names
    t = take(tensors, format, cfg.use_decoder_bias)
    features = len(t.b_enc)
    threshold: Tensor | None = None
    for name in ("activation_function.log_jumprelu_threshold", "log_jumprelu_threshold"):
        if name in tensors:
            threshold = tensors.exponential(name, features)
    s, s_out = _scales(source, config, cfg, tensors)
    tensors.finish()
    kind = cfg.act_fn.lower()
    if kind == "jumprelu" and threshold is None:
        raise damaged(path, "act_fn is jumprelu, and no thresholds are among the weights")
    k = config.k or cfg.top_k
    if kind == "topk" and k is None:
        raise ConfigError(f"{source.where} does not say how many features fire per row", "add --k")
    norms = torch.ones(features)
    if cfg.sparsity_include_decoder_norm:
        norms = row_norms(t.W_dec).clamp(min=1e-8)
    other = cfg.hook_point_out not in (None, cfg.hook_point_in)
    facts = facts_of(
        source,
        config,
        "llamascopium",
        hook=cfg.hook_point_in,
        target=cfg.hook_point_out if other else None,
        weights="raw",
        dtype=tensors.dtype,
    )
    parts = {"W_enc": t.W_enc * s, "b_enc": t.b_enc, "b_dec": t.b_dec / s_out}
    parts["W_dec"] = t.W_dec / s_out
    if kind == "topk":  # the k largest of h·‖W_D‖
        parts["W_enc"], parts["b_enc"] = parts["W_enc"] * norms[:, None], t.b_enc * norms
        parts["W_dec"] = parts["W_dec"] / norms[:, None]
    if kind == "jumprelu" and threshold is not None:
        parts["threshold"] = threshold / norms
    settings: dict[str, Any] = {"k": min(k or 0, features)} if kind == "topk" else {}
    sae = assemble(kind, facts, parts, **settings)

    def formula(x: Tensor) -> tuple[Tensor, Tensor]:
        h = (x * s) @ t.W_enc.T + t.b_enc
        gate = h * norms
        if kind == "topk":
            f = topk_rows(gate, k or 0).relu() / norms
        elif kind == "jumprelu":
            f = h * (gate > cast(Tensor, threshold))
        else:
            f = h.relu()
        return f, (f @ t.W_dec + t.b_dec) / s_out

    yield Published(sae, formula)


def _refuse_what_cannot_be_held(source: Source, cfg: _Llamascopium) -> None:
    if cfg.sae_type not in ("sae", "transcoder"):
        raise refusal(
            source, f"it is a {cfg.sae_type}", "only sae and transcoder have a class here"
        )
    if cfg.use_glu_encoder:
        raise refusal(source, "it has a gated linear unit", "no SAE here has one")
    if cfg.norm_activation not in ("dataset-wise", "inference"):
        raise _normalized_by_row(source, cfg.norm_activation)
    if cfg.act_fn.lower() == "batchtopk":
        raise refusal(
            source, "its activation is batchtopk", "its features depend on the rows beside them"
        )
    if cfg.act_fn.lower() not in ("relu", "topk", "jumprelu"):
        raise refusal(source, f"its activation is {cfg.act_fn}", "relu, topk, jumprelu are known")


def _scales(
    source: Source, config: ImportConfig, cfg: _Llamascopium, tensors: Tensors
) -> tuple[float, float]:
    """What inputs and targets were multiplied by."""
    norms = dict(cfg.dataset_average_activation_norm or {})
    start = "dataset_average_activation_norm."
    for name in [name for name in tensors.names() if name.startswith(start)]:
        norms[name.removeprefix(start)] = tensors.number(name)
    if cfg.norm_activation == "inference":
        return 1.0, 1.0
    if config.scale is not None:
        return config.scale, config.scale
    found = [
        norms.get(hook or "", norms.get(side))
        for hook, side in ((cfg.hook_point_in, "in"), (cfg.hook_point_out, "out"))
    ]
    inside = found[0]
    outside = found[1] or inside
    if not inside or not outside or not (0 < inside < math.inf and 0 < outside < math.inf):
        raise ConfigError(
            f"{source.where} was trained on scaled activations and does not say by how much",
            "add --scale, √d_model over the mean norm of its activations",
        )
    return math.sqrt(cfg.d_model) / inside, math.sqrt(cfg.d_model) / outside
