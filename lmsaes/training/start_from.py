"""Training that starts from an SAE, trained here or imported, on whatever cache.

    SAE folder ──settings──► the table's defaults           (`with_settings_of_start`)
       └──weights, of raw activations──► training units     (`started_sae`)

A saved SAE takes raw activations; the cache's own normalization is put in front of it by the
inverse of what `SAE.fold_normalization` does at the end, so that it starts as the same function.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lmsaes.addresses import expand_home
from lmsaes.errors import ConfigError
from lmsaes.sae import ARCHITECTURES, SAE, SAEConfig, row_norms, saved_settings
from lmsaes.training.normalization import Normalization

_log = logging.getLogger("lmsaes")

# What belongs to a run and not to the SAE: a run that starts from it has its own.
_OF_THE_RUN = (
    "name", "seed", "lr", "warmup", "lr_decay_fraction", "schedule", "lr_end", "restarts", "ema",
    "resample", "dead_window", "start_from", "freeze", "fine_tune", "init", "k_start", "k_anneal",
)  # fmt: skip
# A penalty that grows from zero would undo, at first, what the SAE has learned.
_NO_WARMUP = ("l1_warmup", "weight_warmup")
_EITHER = {"features": "expansion", "hook": "hooks"}


def with_settings_of_start(
    table: Mapping[str, Any], defaults: Mapping[str, Any], hook: str | None
) -> dict[str, Any]:
    """An SAE's table with the settings of the SAE that it starts from, where it says none itself.

    defaults: of every table; they come before those of the SAE. hook: of the run, if given. Raises
    ConfigError where the SAE is of another hook or kind, SAEError where it can't be read.
    """
    given = {**defaults, **table}
    start = given.get("start_from")
    if not isinstance(start, str):
        return {**table}
    source = saved_settings(Path(expand_home(start)))
    own = {k: v for k, v in source.config.items() if k not in _OF_THE_RUN and v is not None}
    own |= {name: 0.0 for name in _NO_WARMUP if name in own}
    own |= {"architecture": source.architecture, "features": source.features}
    own.pop("expansion", None)
    if not own.get("hook") and not own.get("hooks"):
        own |= {"hook": source.hooks[0]} if len(source.hooks) == 1 else {"hooks": source.hooks}
        own |= {} if source.target is None else {"target": source.target}
    _check_hook(start, own, {**({} if hook is None else {"hook": hook}), **table})
    if given.get("architecture", source.architecture) != source.architecture:
        raise ConfigError(
            f"{start} is a {source.architecture} SAE, and can't go on as {given['architecture']}",
            "leave the architecture out",
        )
    for name, other in _EITHER.items():
        if given.get(other):
            own.pop(name, None)
    return {**{name: value for name, value in own.items() if name not in given}, **table}


def _check_hook(start: str, own: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    for name in ("hook", "target"):
        if name in given and own.get(name) and given[name] != own[name]:
            raise ConfigError(
                f"{start} was trained on {own[name]}, not on {given[name]}",
                f"leave the {name} out, or start from an SAE of {given[name]}",
            )


def started_sae(config: SAEConfig, inputs: Normalization, outputs: Normalization) -> SAE:
    """The SAE that `config.start_from` names, in units of this training: `inputs` and `outputs`.

    Raises ConfigError, with the reason, where it doesn't fit what is to be trained.
    """
    assert config.start_from is not None
    source = SAE.load(config.start_from)
    d_in, d_out = inputs.mean.shape[0], outputs.mean.shape[0]
    sae = ARCHITECTURES[config.architecture](config, d_in, d_out)
    _check_shapes(config.start_from, source, sae)
    mean_in, scale_in = _inverse(inputs)
    mean_out, scale_out = _inverse(outputs)
    here = source.fold_normalization(mean_in, scale_in, mean_out, scale_out)
    with torch.no_grad():
        if here.input_bias is not None:
            here.shift_inputs(here.input_bias)
            here.input_bias = None
    sae.load_state_dict(here.state_dict())
    _tell_of_uneven_rows(sae)
    return sae


def _inverse(normalization: Normalization) -> tuple[Tensor, Tensor]:
    """Mean and scale that lead from training units back: x = (x' − mean)·scale."""
    mean, scale = normalization.mean, normalization.scale
    if scale.dim() == 1:
        return -mean * scale, 1 / scale
    return -(mean @ scale), torch.linalg.inv(scale.double()).float()


def _check_shapes(start: str, source: SAE, sae: SAE) -> None:
    layer_norm = ("layer_norm: each row by itself", "weights alone")
    for what, theirs, ours in (
        ("architecture", source.config.architecture, sae.config.architecture),
        ("input dimensions", source.d_in, sae.d_in),
        ("output dimensions", source.d_out, sae.d_out),
        ("features", source.features, sae.features),
        ("hooks", max(1, len(source.config.hooks)), max(1, len(sae.config.hooks))),
        ("linear skip", source.W_skip is not None, sae.W_skip is not None),
        ("transcoder", source.transcodes, sae.transcodes),
        (
            "normalization",
            layer_norm[not source.row_norm_parts],
            layer_norm[not sae.row_norm_parts],
        ),
    ):
        if theirs != ours:
            raise ConfigError(
                f"{start} can't be where this SAE starts: its {what}: {theirs}; here: {ours}",
                "leave that setting out, or start from an SAE that fits the cache and the settings",
            )


def _tell_of_uneven_rows(sae: SAE) -> None:
    """A TopK kind makes its decoder rows unit in each step, which changes an SAE whose rows differ
    in length in this run's units; of others the length is the activation's."""
    config = sae.config
    if not hasattr(sae, "k") or sae.transcodes or config.fine_tune is not None:
        return
    norms = row_norms(sae.W_dec.detach())
    spread = float((norms.max() - norms.min()) / norms.mean().clamp(min=1e-30))
    if spread > 1e-2:
        _log.warning(
            "%s: decoder rows differ in length by %.0f %% in this run's units; the first step makes"
            " them equal, which changes the SAE; with normalize = mean_square they would keep it",
            config.name,
            100 * spread,
        )
