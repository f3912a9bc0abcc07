"""Parts of an SAE that keep their weights while the rest learns."""

import torch
from torch import Tensor

from lmsaes.sae import SAE, SAEConfig

_DECODER = ("W_dec", "W_skip")
_BIASES = ("b_enc", "b_mag", "b_dec")


def frozen_names(config: SAEConfig, names: list[str]) -> list[str]:
    """Which of an SAE's weights stay as they are, by their names in its `state_dict`.

    encoder: all that decides what fires and how strongly, thresholds included, but for biases.
    decoder: its matrix and a linear skip's. bias: all biases. Fine-tuning against shrinkage keeps
    the encoder and its biases.
    """
    parts, found = {*(config.freeze or ())}, set[str]()
    encoder = {name for name in names if name not in (*_DECODER, *_BIASES)}
    if "encoder" in parts or config.fine_tune is not None:
        found |= encoder
    if config.fine_tune is not None:
        found |= {*_BIASES} - {"b_dec"}
    if "decoder" in parts:
        found |= {*_DECODER}
    if "bias" in parts:
        found |= {*_BIASES}
    return [name for name in names if name in found]


class FrozenWeights:
    """What stays of an SAE to the bit: no gradient, no update, no rescaling of rows."""

    def __init__(self, sae: SAE) -> None:
        named: dict[str, Tensor] = sae.state_dict(keep_vars=True)
        self._live = {name: named[name] for name in frozen_names(sae.config, list(named))}
        for tensor in self._live.values():
            if isinstance(tensor, torch.nn.Parameter):
                tensor.requires_grad_(False)
        self._kept = {name: tensor.detach().clone() for name, tensor in self._live.items()}

    @torch.no_grad()
    def restore(self) -> None:
        """Undoes what a step did to them: unit rows are divided by norms that are 1 but for
        rounding, and BatchTopK's threshold follows the batches."""
        for name, tensor in self._live.items():
            tensor.copy_(self._kept[name])

    def keep(self) -> None:
        """Keeps what they are now, after a checkpoint was read."""
        for name, tensor in self._live.items():
            self._kept[name].copy_(tensor)
