"""dictionary_learning: a run's trainer_N/ae.pt with config.json beside it.

Each class has a rule of its own for the decoder's bias (its dictionary.py and trainers/*.py):

    AutoEncoder, Gated…, …TopK, BatchTopK…, Matryoshka…   encode x − b
    AutoEncoderNew, JumpReluAutoEncoder                     encode x
"""

import re
from collections.abc import Iterator
from typing import Any

import torch
from pydantic import BaseModel, Field
from torch import Tensor

from lmsaes.errors import ConfigError
from lmsaes.interop.config import ImportConfig
from lmsaes.interop.files import Tensors, read_json, read_settings, read_torch
from lmsaes.interop.hooks import hook_of_module
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

WEIGHTS = "ae.pt"


class _Trainer(BaseModel):
    dict_class: str
    k: int | None = Field(default=None, gt=0)
    layer: int | None = None
    lm_name: str | None = None
    submodule_name: str | None = None


class _Buffer(BaseModel):
    ctx_len: int | None = Field(default=None, gt=0)


class _Config(BaseModel):
    trainer: _Trainer
    buffer: _Buffer = Field(default_factory=_Buffer)


def read(source: Source, config: ImportConfig) -> Iterator[Published]:
    """The SAE of a trainer's folder, or of a checkpoint in it.

    Raises SAEError for damaged files and unknown classes, ConfigError where the hook isn't known.
    """
    path = source.path(source.file or WEIGHTS)
    beside = None if "config.json" in source.names() else source.beside("config.json")
    described = beside or source.path("config.json")
    cfg = read_settings(_Config, read_json(described), described)
    trainer = cfg.trainer
    content = read_torch(path)
    tensors = Tensors({k: v for k, v in content.items() if isinstance(v, Tensor)}, path)
    if isinstance(content.get("ae"), dict):  # a backup with the optimizer's state
        tensors = tensors.within("ae", content["ae"])
    if trainer.dict_class not in _READERS:
        known = ", ".join(_READERS)
        raise refusal(source, f"its class is {trainer.dict_class}", f"those known are {known}")
    hook = hook_of_module(trainer.submodule_name) if trainer.submodule_name else None
    if hook is None and trainer.layer is not None and not trainer.submodule_name:
        hook = f"blocks.{trainer.layer}.hook_resid_post"
    facts = facts_of(
        source,
        config,
        "dictionary-learning",
        hook=hook,
        model=trainer.lm_name,
        context_size=cfg.buffer.ctx_len,
        weights="raw",
    )
    kind, parts, formula, settings = _READERS[trainer.dict_class](tensors, cfg, config)
    facts = facts.model_copy(update={"dtype": tensors.dtype})
    tensors.finish()
    name = re.sub(r"\W+", "-", source.file or "").strip("-")
    yield Published(assemble(kind, facts, parts, **settings), formula, name)


_Read = tuple[str, dict[str, Any], Formula, dict[str, Any]]


def _linear(t: Tensors, bias: str) -> tuple[Tensor, Tensor, Tensor]:
    """encoder.weight [F, d], decoder.weight [d, F] and the decoder's bias."""
    enc = t.take("encoder.weight", None, None)
    features, d = enc.shape
    return enc, t.take("decoder.weight", d, features), t.take(bias, d)


def _autoencoder(t: Tensors, cfg: _Config, config: ImportConfig) -> _Read:
    enc, dec, bias = _linear(t, "bias")
    b_enc = t.take("encoder.bias", enc.shape[0])

    def formula(x: Tensor) -> tuple[Tensor, Tensor]:
        f = ((x - bias) @ enc.T + b_enc).relu()
        return f, f @ dec.T + bias

    parts = {"W_enc": enc, "b_enc": b_enc, "W_dec": dec.T, "b_dec": bias, "input_bias": bias}
    return "relu", parts, formula, {}


def _autoencoder_new(t: Tensors, cfg: _Config, config: ImportConfig) -> _Read:
    enc, dec, bias = _linear(t, "decoder.bias")
    b_enc = t.take("encoder.bias", enc.shape[0])

    def formula(x: Tensor) -> tuple[Tensor, Tensor]:
        f = (x @ enc.T + b_enc).relu()
        return f, f @ dec.T + bias

    return "relu", {"W_enc": enc, "b_enc": b_enc, "W_dec": dec.T, "b_dec": bias}, formula, {}


def _gated(t: Tensors, cfg: _Config, config: ImportConfig) -> _Read:
    enc, dec, bias = _linear(t, "decoder_bias")
    r_mag, gate, mag = (t.take(name, enc.shape[0]) for name in ("r_mag", "gate_bias", "mag_bias"))

    def formula(x: Tensor) -> tuple[Tensor, Tensor]:
        product = (x - bias) @ enc.T
        f = (product + gate > 0) * (r_mag.exp() * product + mag).relu()
        return f, f @ dec.T + bias

    parts = {"W_enc": enc, "b_enc": gate, "W_dec": dec.T, "b_dec": bias, "input_bias": bias}
    return "gated", parts | {"r_mag": r_mag, "b_mag": mag}, formula, {}


def _jumprelu(t: Tensors, cfg: _Config, config: ImportConfig) -> _Read:
    W_enc = t.take("W_enc", None, None)
    d, features = W_enc.shape
    W_dec, b_dec = t.take("W_dec", features, d), t.take("b_dec", d)
    b_enc, threshold = t.take("b_enc", features), t.take("threshold", features)

    def formula(x: Tensor) -> tuple[Tensor, Tensor]:
        pre = x @ W_enc + b_enc
        f = (pre * (pre > threshold)).relu()
        return f, f @ W_dec + b_dec

    parts = {"W_enc": W_enc.T, "b_enc": b_enc, "W_dec": W_dec, "b_dec": b_dec}
    return "jumprelu", parts | {"threshold": threshold}, formula, {}


def _topk(t: Tensors, cfg: _Config, config: ImportConfig) -> _Read:
    enc, dec, bias = _linear(t, "b_dec")
    b_enc, k = t.take("encoder.bias", enc.shape[0]), _k(t, cfg, config)
    t.leave("threshold")  # encode takes the k largest whatever it says

    def formula(x: Tensor) -> tuple[Tensor, Tensor]:
        f = topk_rows(((x - bias) @ enc.T + b_enc).relu(), k)
        return f, f @ dec.T + bias

    parts = {"W_enc": enc, "b_enc": b_enc, "W_dec": dec.T, "b_dec": bias, "input_bias": bias}
    return "topk", parts, formula, {"k": k}


def _batchtopk(t: Tensors, cfg: _Config, config: ImportConfig) -> _Read:
    enc, dec, bias = _linear(t, "b_dec")
    b_enc, k, threshold = t.take("encoder.bias", enc.shape[0]), _k(t, cfg, config), _threshold(t)

    def formula(x: Tensor) -> tuple[Tensor, Tensor]:
        f = ((x - bias) @ enc.T + b_enc).relu()
        f = f * (f > threshold)
        return f, f @ dec.T + bias

    parts = {"W_enc": enc, "b_enc": b_enc, "W_dec": dec.T, "b_dec": bias, "input_bias": bias}
    return "batchtopk", parts | {"threshold": above(threshold)}, formula, {"k": k}


def _matryoshka(t: Tensors, cfg: _Config, config: ImportConfig) -> _Read:
    W_enc = t.take("W_enc", None, None)
    d, features = W_enc.shape
    W_dec, bias = t.take("W_dec", features, d), t.take("b_dec", d)
    b_enc, k, threshold = t.take("b_enc", features), _k(t, cfg, config), _threshold(t)
    sizes = t.whole("group_sizes")
    if not sizes or min(sizes) < 1 or sum(sizes) != features:
        raise t.refused("group_sizes", f"its groups do not add up to {features} features")

    def formula(x: Tensor) -> tuple[Tensor, Tensor]:
        f = ((x - bias) @ W_enc + b_enc).relu()
        f = f * (f > threshold)
        return f, f @ W_dec + bias

    parts = {"W_enc": W_enc.T, "b_enc": b_enc, "W_dec": W_dec, "b_dec": bias, "input_bias": bias}
    shares = tuple(size / features for size in sizes)
    parts |= {"threshold": above(threshold)}
    return "matryoshka", parts, formula, {"k": k, "prefixes": shares}


def _k(t: Tensors, cfg: _Config, config: ImportConfig) -> int:
    k = round(t.number("k")) if "k" in t else 0
    found = config.k or k or cfg.trainer.k
    if not found or found < 1:
        raise ConfigError("the number of active features per row is not in the files", "add --k")
    return found


def _threshold(t: Tensors) -> Tensor:
    """Scalar; below zero (the −1 of an SAE that never found one) everything positive passes."""
    return torch.tensor(t.number("threshold"), dtype=torch.float32)


_READERS = {
    "AutoEncoder": _autoencoder,
    "AutoEncoderNew": _autoencoder_new,
    "GatedAutoEncoder": _gated,
    "JumpReluAutoEncoder": _jumprelu,
    "AutoEncoderTopK": _topk,
    "BatchTopKSAE": _batchtopk,
    "MatryoshkaBatchTopKSAE": _matryoshka,
}
