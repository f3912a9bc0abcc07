"""An SAE as somebody published it: in our form, and the formula of the library it comes from.

    files ─► reader ─► Published(sae, formula, facts) ─► compare ─► SAE folder

The two are made from the same tensors by different code, so that comparing them on rows finds
what a reader got wrong.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lmsaes.errors import ConfigError, SAEError
from lmsaes.interop.config import ImportConfig
from lmsaes.interop.source import Source
from lmsaes.sae import ARCHITECTURES, CONFIGS, SAE, BatchTopK, Imported

Formula = Callable[[Tensor], tuple[Tensor, Tensor]]
"""x [rows, d_in] → activations [rows, features] and output [rows, d_out]."""


@dataclass(frozen=True)
class Published:
    """One SAE that was read. formula: its library's own, None where that library is this one.
    name: its folder where several come from one place."""

    sae: SAE
    formula: Formula | None
    name: str = ""


Reader = Callable[[Source, ImportConfig], Iterator[Published]]


def assemble(
    architecture: str, facts: Imported, tensors: Mapping[str, Tensor | None], **settings: Any
) -> SAE:
    """An SAE of ours with these weights: W_enc [features, d_in], W_dec [features, d_out], b_enc,
    b_dec, and where they are not None W_skip [d_out, d_in], what its architecture has beside
    them, and an `input_bias` [d_in], which is left out where it is zero.

    settings: what its configuration says beside hook, target and width
    """
    given = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    bias = given.pop("input_bias", None)
    (hook,) = facts.hooks
    (features, d_in), d_out = given["W_enc"].shape, given["W_dec"].shape[1]
    said: dict[str, Any] = {"normalize": "none", "features": features, "hook": hook}
    if facts.target is not None:
        said |= {"target": facts.target, "skip": "W_skip" in given}
    config = CONFIGS[architecture].model_validate(
        {"architecture": architecture, "name": architecture, **said, **settings}
    )
    sae = ARCHITECTURES[architecture](config, d_in, d_out)
    for name, tensor in given.items():
        _put(sae, name, tensor.contiguous())
    if bias is not None and bool(bias.any()):
        sae.input_bias = bias.clone()  # it may be the decoder's
    sae.imported = facts
    sae.after_load()
    return sae.requires_grad_(False).eval()


def _put(sae: SAE, name: str, tensor: Tensor) -> None:
    """In the place of the tensor that is there, without a copy."""
    there = getattr(sae, name)
    assert there.shape == tensor.shape, (name, there.shape, tensor.shape)
    setattr(sae, name, nn.Parameter(tensor) if isinstance(there, nn.Parameter) else tensor)


def facts_of(
    source: Source,
    config: ImportConfig,
    format: str,
    *,
    hook: str | None,
    target: str | None = None,
    **facts: Any,
) -> Imported:
    """What is known of the SAE, the user's word first.

    Raises ConfigError where nobody says which hook it reads.
    """
    hook = config.hook or hook
    if hook is None:
        raise ConfigError(
            f"{source.where} does not say which hook it reads",
            "add --hook, such as blocks.8.hook_resid_pre",
        )
    said = {"model": config.model, "weights": config.weights, "prepend_bos": config.bos}
    known: dict[str, Any] = {"dtype": "float32"} | facts
    known |= {name: value for name, value in said.items() if value is not None}
    return Imported(
        format=format,
        source=source.where,
        revision=source.revision,
        file_sha256={},
        hooks=(hook,),
        target=config.target or target,
        **known,
    )


def refusal(source: Source, what: str, why: str) -> SAEError:
    """The error that our classes can't hold what is there."""
    return SAEError(
        f"{source.where} can't be imported: {what}",
        why + "; use it in the library that it was made with",
    )


def above(threshold: Tensor) -> Tensor:
    """Thresholds of `z ≥ t` that let the same activations pass as `z > threshold`.

    Below 0, where the ReLU decides, it becomes 0.
    """
    return torch.where(
        threshold > 0, torch.nextafter(threshold, threshold.new_tensor(torch.inf)), 0.0
    )


def below(threshold: Tensor) -> Tensor:
    """Thresholds of `z > t` that let the same activations pass as `z ≥ threshold`."""
    return torch.where(
        threshold > 0, torch.nextafter(threshold, threshold.new_tensor(-torch.inf)), 0.0
    )


def thresholds(sae: SAE) -> Tensor | None:
    """By feature, what z must be above to fire, [features]; None for SAEs without a threshold."""
    if isinstance(sae, BatchTopK):
        return below(sae.threshold).expand(sae.features).contiguous()
    found = getattr(sae, "threshold", None)
    return None if found is None else found.detach()


def topk_rows(pre: Tensor, k: int) -> Tensor:
    """The k largest entries of each row in their places, the rest zero."""
    values, indices = pre.topk(min(k, pre.shape[1]), dim=1)
    return torch.zeros_like(pre).scatter(1, indices, values)
