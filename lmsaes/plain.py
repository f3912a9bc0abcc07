"""The plain Hugging Face forward pass under TransformerLens' hook names.

TransformerLens' bridge wraps every module and needs eager attention; that costs 13 to 20 % of a
forward pass. Hooks that are a module's input or output need neither: the bridge says which module
and side a name means, the wrappers are taken out of the model again, and plain torch hooks on it
give the same values at full speed, with fused attention.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Tap:
    """Where a hook's values pass: into or out of a module."""

    module: nn.Module
    output: bool


class PlainModel:
    """The bridge's own model without its wrappers, run to the last of some taps.

    `unwrap` takes the wrappers out, `rewrap` puts them back: the weights exist once.
    """

    def __init__(self, bridge: Any) -> None:
        self._model: Any = bridge.original_model
        self._wrapped: list[tuple[nn.Module, str, nn.Module]] = []
        self._attention: str = self._model.config._attn_implementation

    def unwrap(self) -> None:
        """Puts the raw modules in the wrappers' places and turns fused attention on.

        Raises ValueError when the model has no fused attention.
        """
        from transformer_lens.model_bridge.generalized_components.base import GeneralizedComponent

        pending: list[nn.Module] = [self._model]
        seen: set[int] = set()
        while pending:
            parent = pending.pop()
            if id(parent) in seen:
                continue
            seen.add(id(parent))
            for name, child in list(parent.named_children()):
                raw: nn.Module | None = child
                while isinstance(raw, GeneralizedComponent):
                    raw = raw.original_component
                if raw is None:
                    continue
                if raw is not child:
                    self._wrapped.append((parent, name, child))
                    setattr(parent, name, raw)
                pending.append(raw)
        self._model.set_attn_implementation("sdpa")

    def rewrap(self) -> None:
        """Undoes `unwrap`."""
        self._model.set_attn_implementation(self._attention)
        while self._wrapped:
            parent, name, child = self._wrapped.pop()
            setattr(parent, name, child)

    def holds(self, taps: Sequence[Tap]) -> bool:
        """Whether all tapped modules belong to the unwrapped model."""
        modules = {id(module) for module in self._model.modules()}
        return all(id(tap.module) in modules for tap in taps)

    def run(self, tokens: Tensor, taps: dict[str, Tap]) -> dict[str, Tensor]:
        """What passes the taps, by name, as it comes: the pass ends when all have been passed."""
        captured: dict[str, Tensor] = {}

        def keep(name: str, value: Any) -> None:
            captured[name] = value[0] if isinstance(value, tuple) else value
            if len(captured) == len(taps):
                raise _AllCaptured

        def before(name: str) -> Any:
            def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
                keep(name, args[0] if args else kwargs["hidden_states"])

            return hook

        def after(name: str) -> Any:
            return lambda _module, _args, output: keep(name, output)

        handles = [
            tap.module.register_forward_hook(after(name))
            if tap.output
            else tap.module.register_forward_pre_hook(before(name), with_kwargs=True)
            for name, tap in taps.items()
        ]
        try:
            with torch.inference_mode(), contextlib.suppress(_AllCaptured):
                self._model(tokens, use_cache=False)
        finally:
            for handle in handles:
                handle.remove()
        return captured


class _AllCaptured(Exception):
    """Ends a forward pass whose wanted taps have all been passed."""


def find_taps(bridge: Any, hooks: Sequence[str]) -> dict[str, Tap] | None:
    """The module and side that each hook name means; None when one is neither an input nor an
    output of a raw module. The bridge's wrappers must be in place."""
    from transformer_lens.hook_points import HookPoint

    modules = dict(bridge.named_modules())
    paths = {id(m): path for path, m in modules.items() if isinstance(m, HookPoint)}
    taps: dict[str, Tap] = {}
    for hook in hooks:
        path = paths.get(id(bridge.hook_dict.get(hook)))
        owner, _, side = (path or "").rpartition(".")
        raw = getattr(modules.get(owner), "original_component", None)
        if side not in ("hook_in", "hook_out") or not isinstance(raw, nn.Module):
            return None
        taps[hook] = Tap(raw, side == "hook_out")
    return taps
