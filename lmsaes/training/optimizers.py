"""The optimizers one may choose, from torch and from packages of their own."""

import copy
from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lmsaes.errors import ConfigError
from lmsaes.sae import SAE

# Adam's ε as in Gao et al. 2024: a feature that fires rarely has gradients near the usual 1e-8.
_EPSILON = 6.25e-10
# Of a matrix whose update has orthonormal columns; docs/training.md says how it was found.
_MUON_LR = 2e-2


def make_optimizers(sae: SAE, lr: float) -> list[Optimizer]:
    """What updates an SAE's parameters; each group keeps its highest rate as `peak`.

    adam           one fused AdamW for all parameters (Loshchilov & Hutter 2019)
    muon           Muon for encoder and decoder, Adam for the vectors
    schedule-free  AdamW without a fall at the end (Defazio et al. 2024); see `averaged`
    signum         the sign of the momentum (Bernstein et al. 2018)
    adam-8bit      AdamW with its moments in eight bits (Dettmers et al. 2022)

    Raises ConfigError where the package or the torch that has it is not there.
    """
    config = sae.config
    betas = (config.beta1, config.beta2)
    others = [parameter for parameter in sae.parameters() if parameter is not sae.W_enc]
    optimizers: list[Optimizer]
    if config.optimizer == "schedule-free":
        # Its β weighs two sequences of weights and is not Adam's first moment, which may be 0.
        kind = _imported(config.optimizer, "schedulefree", "AdamWScheduleFree")
        free = kind(_groups(sae, others), lr=lr, betas=(0.9, config.beta2), eps=_EPSILON)
        free.train()
        optimizers = [free]
    elif config.optimizer == "signum":
        kind = _imported(config.optimizer, "pytorch_optimizer", "SignSGD")
        optimizers = [kind(_groups(sae, others), lr=lr, momentum=config.beta1)]
    elif config.optimizer == "adam-8bit":
        kind = _imported(config.optimizer, "bitsandbytes.optim", "AdamW8bit")
        optimizers = [kind(_groups(sae, others), lr=lr, betas=betas, eps=_EPSILON)]
    elif config.optimizer == "muon":
        if not hasattr(torch.optim, "Muon"):
            raise ConfigError(f"torch {torch.__version__} has no Muon", "use 2.9 or newer, or adam")
        rate = _MUON_LR if config.lr is None else config.lr
        matrices = [parameter for parameter in others if parameter.dim() == 2]
        vectors = [parameter for parameter in others if parameter.dim() != 2]
        optimizers = [
            torch.optim.Adam(vectors, lr=lr, betas=betas, eps=_EPSILON, fused=True),
            torch.optim.Muon(_groups(sae, matrices), lr=rate),
        ]
    else:
        groups = _groups(sae, others)
        optimizers = [torch.optim.AdamW(groups, lr=lr, betas=betas, eps=_EPSILON, fused=True)]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return optimizers


def _groups(sae: SAE, others: list[nn.Parameter]) -> list[dict[str, Any]]:
    """Of the parameters the encoder alone decays."""
    decay = sae.config.weight_decay
    return [{"params": [sae.W_enc], "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]


def averaged(sae: SAE, optimizers: list[Optimizer]) -> SAE:
    """The SAE that the optimizer means: `sae`, or with schedule-free a copy of averaged weights."""
    if sae.config.optimizer != "schedule-free":
        return sae
    (free,) = optimizers
    weights = [parameter.detach().clone() for parameter in sae.parameters()]
    free.eval()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    average = copy.deepcopy(sae)
    free.train()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    with torch.no_grad():  # there and back again is not to the bit
        for parameter, weight in zip(sae.parameters(), weights, strict=True):
            parameter.copy_(weight)
    if sae.config.fine_tune is None:
        average.after_update()
    return average


@torch.no_grad()
def forget(optimizers: list[Optimizer], parameter: nn.Parameter, ids: Tensor) -> None:
    """Clears what is known of the rows `ids` int64 [n] of a parameter."""
    for optimizer in optimizers:
        state = optimizer.state.get(parameter, {})
        for key, value in state.items():
            if not isinstance(value, Tensor) or value.shape != parameter.shape:
                continue
            if key == "z":  # schedule-free's other sequence of weights
                value[ids] = parameter[ids].to(value.dtype)
            elif value.dtype == torch.uint8:  # the code of zero
                value[ids] = state[f"qmap{key[-1]}"].abs().argmin().to(torch.uint8)
            else:
                value[ids] = 0


def optimizer_state(sae: SAE, optimizers: list[Optimizer]) -> dict[str, Tensor]:
    """Everything that the next update depends on but the weights; numbers as tensors."""
    names: dict[Tensor, str] = {parameter: name for name, parameter in sae.named_parameters()}
    saved: dict[str, Tensor] = {}
    for index, optimizer in enumerate(optimizers):
        for number, group in enumerate(optimizer.param_groups):
            numbers = {k: v for k, v in group.items() if _is_number(v)}
            saved |= {f"group.{index}.{number}.{k}": _as_tensor(v) for k, v in numbers.items()}
        for parameter, state in optimizer.state.items():
            for key, value in state.items():
                if isinstance(value, Tensor):
                    saved[f"tensor.{names[parameter]}.{key}"] = value
                elif _is_number(value):
                    saved[f"number.{names[parameter]}.{key}"] = _as_tensor(value)
    return saved


def load_optimizer_state(sae: SAE, optimizers: list[Optimizer], saved: dict[str, Tensor]) -> None:
    """The inverse of `optimizer_state`, onto the parameters' device."""
    names: dict[Tensor, str] = {parameter: name for name, parameter in sae.named_parameters()}
    for index, optimizer in enumerate(optimizers):
        for number, group in enumerate(optimizer.param_groups):
            values = _under(f"group.{index}.{number}.", saved)
            group.update({key: value.item() for key, value in values.items()})
            for parameter in group["params"]:
                tensors = _under(f"tensor.{names[parameter]}.", saved)
                numbers = _under(f"number.{names[parameter]}.", saved)
                state = {key: value.to(parameter.device) for key, value in tensors.items()}
                optimizer.state[parameter] = state | {k: v.item() for k, v in numbers.items()}


def _under(prefix: str, saved: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in saved.items() if k.startswith(prefix)}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _as_tensor(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.int64 if isinstance(value, int) else torch.float64)


def _imported(optimizer: str, module: str, name: str) -> Callable[..., Any]:
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        package = module.split(".")[0]
        if error.name != package:
            raise
        raise ConfigError(
            f"the optimizer {optimizer} needs the package {package}",
            "pip install 'lmsaes[optimizers]', or use adam",
        ) from None
