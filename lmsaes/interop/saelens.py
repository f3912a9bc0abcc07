"""SAELens: a folder of cfg.json and sae_weights.safetensors, as of 2024 and as of version 6.

Formulas and defaults are those of sae_lens 6.54 (saes/*.py, loading/pretrained_sae_loaders.py);
x is the raw row, n its layer norm or nothing, b is b_dec where apply_b_dec_to_input is true:

    standard, topk, jumprelu   f = activation((n(x) − b) W_enc + b_enc)   x̂ = n⁻¹(f W_dec + b_dec)
    gated                      a gate and a magnitude of the same product
    …transcoder                never b, never n⁻¹; a skip adds x W_skipᵀ
"""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeVar, cast

import torch
from pydantic import BaseModel, Field
from torch import Tensor

from lmsaes.errors import ConfigError
from lmsaes.interop.config import ImportConfig
from lmsaes.interop.files import Tensors, read_json, read_settings, read_tensors
from lmsaes.interop.published import (
    Formula,
    Published,
    above,
    assemble,
    facts_of,
    refusal,
    topk_rows,
)
from lmsaes.interop.source import Source
from lmsaes.sae import SAE, row_norms

_Kind = TypeVar("_Kind", str, int, bool)

CONFIG, WEIGHTS = "cfg.json", "sae_weights.safetensors"
_OURS: dict[str, Literal["relu", "gated", "topk", "jumprelu"]] = {
    "standard": "relu",
    "gated": "gated",
    "topk": "topk",
    "jumprelu": "jumprelu",
    "transcoder": "relu",
    "skip_transcoder": "relu",
    "jumprelu_transcoder": "jumprelu",
    "jumprelu_skip_transcoder": "jumprelu",
}
_WHY_NOT = {
    "abstopk": "its features fire below zero too, and here a feature fires above zero",
    "temporal": "its encoder attends to the whole context",
    "matching_pursuit": "its encoder is iterative",
}
_NORMALIZATION = {
    "constant_norm_rescale": "each row is scaled to one norm and back, which no SAE here does",
    "covariance_whitening": "the whitening is not among its weights",
}
# Processing of weights that changes what hooks see, of sae_lens' model_from_pretrained_kwargs.
PROCESSED = ("fold_ln", "center_writing_weights", "center_unembed", "fold_value_biases")


class _Config(BaseModel):
    """cfg.json as version 6 has it; keys that sae_lens drops are dropped."""

    architecture: str = "standard"
    d_in: int = Field(gt=0)
    d_sae: int = Field(gt=0)
    d_out: int = Field(default=768, gt=0)  # sae_lens' own default
    apply_b_dec_to_input: bool = True
    normalize_activations: str = "none"
    k: int = Field(default=100, gt=0)
    rescale_acts_by_decoder_norm: bool = False
    metadata: dict[str, Any] = Field(default_factory=dict)

    @property
    def transcodes(self) -> bool:
        return self.architecture.endswith("transcoder")


def read(source: Source, config: ImportConfig) -> Iterator[Published]:
    """The SAE of a SAELens folder.

    Raises SAEError for a damaged folder and for kinds that no class here can hold, ConfigError
    where --hook or --scale is needed.
    """
    path = source.path(CONFIG)
    content = read_json(path)
    legacy = not _version(content)
    cfg = read_settings(_Config, _of_version_6(content) if legacy else content, path)
    _refuse_what_cannot_be_held(source, cfg)
    tensors = read_tensors(source.path(WEIGHTS))
    raw = _take(source, cfg, tensors)
    meta = cfg.metadata
    hook, target = _of(meta, "hook_name", str), _of(meta, "hook_name_out", str)
    facts = facts_of(
        source,
        config,
        "saelens",
        hook=hook,
        target=target if cfg.transcodes else None,
        model=_of(meta, "model_name", str),
        context_size=_of(meta, "context_size", int),
        prepend_bos=_of(meta, "prepend_bos", bool),
        weights=_weights(meta, legacy),
        dtype=tensors.dtype,
    )
    if cfg.transcodes and facts.target is None:
        raise ConfigError(
            f"{source.where} does not say which hook the transcoder predicts",
            "add --target, such as blocks.8.hook_mlp_out",
        )
    if config.scale is not None:
        raw = raw | {
            "W_enc": raw["W_enc"] * config.scale,
            "W_dec": raw["W_dec"] / config.scale,
            "b_dec": raw["b_dec"] / config.scale,
        }
    elif cfg.normalize_activations == "expected_average_only_in":
        raise ConfigError(
            f"{source.where} was trained on scaled activations and does not say by how much",
            "add --scale, the norm_scaling_factor of sae_lens' pretrained_saes.yaml",
        )
    yield Published(_ours(cfg, raw, facts), _formula(cfg, raw))


def _version(content: Mapping[str, Any]) -> bool:
    """Whether sae_lens would read it as a configuration of version 6 or later."""
    metadata = content.get("metadata")
    inside = cast(Mapping[str, Any], metadata) if isinstance(metadata, Mapping) else {}
    version = str(content.get("sae_lens_version") or inside.get("sae_lens_version") or "0")
    major = version.partition(".")[0]
    return major.isdecimal() and int(major) >= 6


def _of_version_6(content: Mapping[str, Any]) -> dict[str, Any]:
    """An older configuration, as sae_lens' handle_pre_6_0_config reads it."""
    renamed = {"hook_point": "hook_name", "hook_point_head_index": "hook_head_index"}
    new = {renamed.get(key, key): value for key, value in content.items()}
    new = {"apply_b_dec_to_input": True, "prepend_bos": True, "architecture": "standard"} | new
    given = new.get("activation_fn_kwargs")
    kwargs = cast(dict[str, Any], given) if isinstance(given, dict) else {}
    activation = new.get("activation_fn", new.get("activation_fn_str", "relu"))
    if activation == "topk" and kwargs.get("k") is not None:
        new |= {"architecture": "topk", "k": kwargs["k"]}
    how = new.get("normalize_activations")
    if how is None or isinstance(how, bool):
        new["normalize_activations"] = "expected_average_only_in" if how else "none"
    return {**new, "metadata": new}


def _refuse_what_cannot_be_held(source: Source, cfg: _Config) -> None:
    kind, norm = cfg.architecture, cfg.normalize_activations
    if kind not in _OURS:
        known = ", ".join(_OURS)
        why = _WHY_NOT.get(kind, f"the kinds that can be are {known}")
        raise refusal(source, f"it is a {kind} SAE", why)
    if norm in _NORMALIZATION:
        raise refusal(source, f"its activations are normalized by {norm}", _NORMALIZATION[norm])
    if norm not in ("none", "expected_average_only_in", "layer_norm"):
        raise refusal(source, f"its activations are normalized by {norm}", "which isn't known here")
    if cfg.transcodes and cfg.apply_b_dec_to_input:
        raise refusal(
            source,
            "it is a transcoder whose b_dec is subtracted from its input",
            "sae_lens refuses it as well",
        )
    if "skip" in kind and norm != "none":
        raise refusal(source, f"it has a skip beside {norm}", "ours take normalized rows")
    if cfg.metadata.get("hook_head_index") is not None:
        raise refusal(source, "it reads one attention head", "caches here hold all heads together")


def _take(source: Source, cfg: _Config, tensors: Tensors) -> dict[str, Tensor]:
    """The tensors of this architecture under SAELens' names and in its layout."""
    d_in, d_sae = cfg.d_in, cfg.d_sae
    d_out = cfg.d_out if cfg.transcodes else d_in
    shapes: dict[str, tuple[int, ...]] = {
        "W_enc": (d_in, d_sae),
        "W_dec": (d_sae, d_out),
        "b_dec": (d_out,),
    }
    if _OURS[cfg.architecture] == "gated":
        shapes |= {"b_gate": (d_sae,), "b_mag": (d_sae,), "r_mag": (d_sae,)}
    else:
        shapes["b_enc"] = (d_sae,)
    if "skip" in cfg.architecture:
        shapes["W_skip"] = (d_out, d_in)
    if _OURS[cfg.architecture] == "jumprelu" and "log_threshold" not in tensors:
        shapes["threshold"] = (d_sae,)
    if "scaling_factor" in tensors:
        scaling = tensors.take("scaling_factor", d_sae)
        if not torch.allclose(scaling, torch.ones_like(scaling)):
            raise refusal(
                source, "it has a finetuned scaling_factor", "sae_lens reads it no longer either"
            )
    taken = {name: tensors.take(name, *shape) for name, shape in shapes.items()}
    if "log_threshold" in tensors:  # of old training checkpoints
        taken["threshold"] = tensors.exponential("log_threshold", d_sae)
    tensors.leave("b_enc")  # of gated SAEs of 2024, which don't use it
    tensors.finish()
    return taken


def _ours(cfg: _Config, raw: Mapping[str, Tensor], facts: Any) -> SAE:
    settings: dict[str, Any] = {}
    kind: str = _OURS[cfg.architecture]
    W_enc, W_dec = raw["W_enc"].T, raw["W_dec"]
    parts: dict[str, Tensor | None] = {
        "W_enc": W_enc,
        "W_dec": W_dec,
        "b_enc": raw["b_gate"] if kind == "gated" else raw["b_enc"],
        "b_dec": raw["b_dec"],
        "input_bias": raw["b_dec"] if cfg.apply_b_dec_to_input else None,
        "W_skip": raw.get("W_skip"),
        "r_mag": raw.get("r_mag"),
        "b_mag": raw.get("b_mag"),
        "threshold": raw.get("threshold"),
    }
    if cfg.normalize_activations == "layer_norm":
        settings |= {"normalize": "layer_norm", "layer_norm_eps": 1e-5, "layer_norm_ddof": 1}
    if kind == "topk":
        settings["k"] = cfg.k
        if cfg.rescale_acts_by_decoder_norm:
            norms = row_norms(raw["W_dec"]).clamp(min=1e-8)  # as sae_lens clamps them
            parts["W_enc"], parts["W_dec"] = W_enc * norms[:, None], W_dec / norms[:, None]
            parts["b_enc"] = raw["b_enc"] * norms
    elif kind == "jumprelu":
        kind, settings, parts["threshold"] = _trained_as(cfg, settings, raw["threshold"])
    kind = _own_kind(cfg, kind)
    return assemble(kind, facts, parts, **settings)


def _trained_as(
    cfg: _Config, settings: dict[str, Any], threshold: Tensor
) -> tuple[str, dict[str, Any], Tensor]:
    """BatchTopK and Matryoshka, which SAELens saves as JumpReLU with one threshold for all."""
    trained = cfg.metadata.get("training_architecture")
    given = cfg.metadata.get("training_architecture_details")
    details = cast(dict[str, Any], given) if isinstance(given, dict) else {}
    k, widths = details.get("k"), details.get("matryoshka_widths")
    one = bool((threshold == threshold[0]).all())
    if not one or trained not in ("batchtopk", "matryoshka_batchtopk") or not _is_count(k):
        return "jumprelu", settings, threshold
    settings = settings | {"k": max(1, min(round(cast(float, k)), cfg.d_sae))}
    threshold = above(threshold[0])
    if trained == "matryoshka_batchtopk" and _are_widths(widths, cfg.d_sae):
        starts = [0, *cast(list[int], widths)[:-1]]
        shares = [
            (end - start) / cfg.d_sae
            for start, end in zip(starts, cast(list[int], widths), strict=True)
        ]
        return "matryoshka", settings | {"prefixes": tuple(shares)}, threshold
    return "batchtopk", settings, threshold


def _own_kind(cfg: _Config, kind: str) -> str:
    """The kind that lmsaes trained, where it exported the folder and it computes the same."""
    own = cfg.metadata.get("lmsaes")
    trained = cast(dict[str, Any], own).get("architecture") if isinstance(own, dict) else None
    same = {"p_annealing": "relu", "hierarchical": "topk"}
    return str(trained) if same.get(str(trained)) == kind else kind


def _formula(cfg: _Config, raw: Mapping[str, Tensor]) -> Formula:
    """sae_lens' own forward pass on its own tensors."""

    def run(x: Tensor) -> tuple[Tensor, Tensor]:
        mean, std = x.new_zeros(()), x.new_ones(())
        u = x
        if cfg.normalize_activations == "layer_norm":
            mean = x.mean(1, keepdim=True)
            std = (x - mean).std(1, keepdim=True)
            u = (x - mean) / (std + 1e-5)
        if cfg.apply_b_dec_to_input:
            u = u - raw["b_dec"]
        f = _activations(cfg, raw, u @ raw["W_enc"])
        out = f @ raw["W_dec"] + raw["b_dec"]
        if cfg.rescale_acts_by_decoder_norm:
            out = f / raw["W_dec"].norm(dim=1).clamp(min=1e-8) @ raw["W_dec"] + raw["b_dec"]
        if "W_skip" in raw:
            out = out + x @ raw["W_skip"].T
        return f, out if cfg.transcodes else out * std + mean

    return run


def _activations(cfg: _Config, raw: Mapping[str, Tensor], product: Tensor) -> Tensor:
    kind = _OURS[cfg.architecture]
    if kind == "gated":
        magnitude = product * raw["r_mag"].exp() + raw["b_mag"]
        return magnitude.relu() * (product + raw["b_gate"] > 0)
    pre = product + raw["b_enc"]
    if kind == "topk":
        if cfg.rescale_acts_by_decoder_norm:
            pre = pre * raw["W_dec"].norm(dim=1).clamp(min=1e-8)
        return topk_rows(pre, cfg.k).relu()
    if kind == "jumprelu":
        return pre.relu() * (pre > raw["threshold"])
    return pre.relu()


def _weights(meta: Mapping[str, Any], legacy: bool) -> str | None:
    """Whether its hooks saw processed weights.

    Before SAELens had the setting, it loaded models as TransformerLens does by default.
    """
    kwargs = meta.get("model_from_pretrained_kwargs")
    if isinstance(kwargs, dict):
        given = cast(dict[str, Any], kwargs)
        return "processed" if any(given.get(name) for name in PROCESSED) else "raw"
    return "processed" if legacy and "hook_point_layer" in meta else None


def _of(meta: Mapping[str, Any], key: str, kind: type[_Kind]) -> _Kind | None:
    """A value of the metadata, where it is of this type and not empty."""
    value = meta.get(key)
    return value if type(value) is kind and (value or value is False) else None


def _is_count(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 1


def _are_widths(value: object, features: int) -> bool:
    if not isinstance(value, list) or not value:
        return False
    widths = cast(list[Any], value)
    if not all(isinstance(width, int) and width > 0 for width in widths):
        return False
    return widths[-1] == features and all(a < b for a, b in itertools.pairwise(widths))
