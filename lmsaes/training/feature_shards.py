"""The state of an SAE whose features are spread over ranks, as one whole and in parts.

What is saved doesn't say how many ranks there were: the first one puts every tensor together, one
at a time in the host's memory, and each takes its part of what is read.
"""

import torch
from torch import Tensor

from lmsaes.parallel import OneRank
from lmsaes.sae import SAE


def whole_state(sae: SAE, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state of all features, on the first rank; on the others what they have themselves.

    `state` is a trainer's (`SAETrainer.state_tensors`), or the weights of an SAE.
    """
    ranks = sae.shards.features
    if isinstance(ranks, OneRank):
        return state
    width, size, names = sae.config.width(sae.d_in), ranks.size, set(sae.names_by_feature())
    whole = dict(state)
    for key, value in state.items():
        if key == "silent":
            here = torch.zeros(width, dtype=torch.int64)
            here[value.cpu() * size + ranks.rank] = 1
            whole[key] = ranks.sum(here).nonzero().squeeze(1)
        elif _by_feature(key, value, names):
            part = value.cpu()
            longest = -(-width // size)
            padded = part.new_zeros(longest, *part.shape[1:])
            padded[: part.shape[0]] = part
            parts = ranks.gather_first(padded)
            if parts is not None:
                # feature f is the (f // size)-th of rank f % size
                whole[key] = parts.transpose(0, 1).flatten(0, 1)[:width].clone()
    return whole


def own_state(sae: SAE, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """This rank's part of the whole state: the inverse of `whole_state`."""
    ranks = sae.shards.features
    if isinstance(ranks, OneRank):
        return state
    names, own = set(sae.names_by_feature()), slice(ranks.rank, None, ranks.size)
    found = {k: v[own].clone() if _by_feature(k, v, names) else v for k, v in state.items()}
    ids = state["silent"]
    found["silent"] = ids[ids % ranks.size == ranks.rank] // ranks.size
    return found


def whole_sae(sae: SAE) -> SAE:
    """An SAE of all features, in the host's memory of the first rank; others get their own back."""
    ranks = sae.shards.features
    if isinstance(ranks, OneRank):
        return sae
    weights = {f"weights.{name}": value.detach() for name, value in sae.state_dict().items()}
    whole = whole_state(sae, weights)
    if ranks.rank != 0:
        return sae
    copy = type(sae)(sae.config, sae.d_in, sae.d_out)
    copy.load_state_dict({key.removeprefix("weights."): value for key, value in whole.items()})
    return copy


def _by_feature(key: str, value: Tensor, names: set[str]) -> bool:
    """Whether a tensor of the state has a row for each feature."""
    if key == "silent_for":
        return True
    kind, _, rest = key.partition(".")
    name = rest.removeprefix("tensor.").partition(".")[0]
    return kind in ("weights", "optimizer", "average") and name in names and value.dim() > 0
