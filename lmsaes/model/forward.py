"""The direct forward pass: the Hugging Face model itself, under TransformerLens' hook names.

TransformerLens' bridge wraps every module and needs eager attention; that costs 13 to 20 % of a
forward pass. Hooks that are a module's input or output need neither: the bridge says which module
and side a name means, the wrappers are taken out of the model again, and torch's own hooks on it
give the same values at full speed, with fused attention.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from lmsaes.errors import ModelError, first_line
from lmsaes.model._compat import (
    attention_of,
    compile_errors,
    hook_points,
    unwrapped,
    with_key_value_cache,
)


@dataclass(frozen=True)
class HookSite:
    """Where a hook's values pass: into or out of a module."""

    module: nn.Module
    output: bool


class DirectForward:
    """The bridge's own model without its wrappers, run to the last of some sites.

    `unwrap` takes the wrappers out, `rewrap` puts them back: the weights exist once.
    """

    def __init__(self, bridge: Any) -> None:
        self._model: Any = bridge.original_model
        self._wrapped: list[tuple[nn.Module, str, nn.Module]] = []
        self._attention = attention_of(self._model)
        self._compiled: Callable[[Tensor], dict[str, Tensor]] | None = None

    def unwrap(self) -> None:
        """Puts the raw modules in the wrappers' places and turns fused attention on.

        Raises ValueError when the model has no fused attention.
        """
        pending: list[nn.Module] = [self._model]
        seen: set[int] = set()
        while pending:
            parent = pending.pop()
            if id(parent) in seen:
                continue
            seen.add(id(parent))
            for name, child in list(parent.named_children()):
                raw = unwrapped(child)
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

    def holds(self, sites: Sequence[HookSite]) -> bool:
        """Whether all sites' modules belong to the unwrapped model."""
        modules = {id(module) for module in self._model.modules()}
        return all(id(site.module) in modules for site in sites)

    def run(self, tokens: Tensor, sites: Mapping[str, HookSite]) -> dict[str, Tensor]:
        """What passes the sites, by name, as it comes: the pass ends when all have been passed."""
        with torch.inference_mode():
            if self._compiled is not None:
                found = self._compiled(tokens)
                return {name: found[name] for name in sites}
            captured: dict[str, Tensor] = {}

            def keep(name: str, value: Tensor) -> None:
                captured[name] = value
                if len(captured) == len(sites):
                    raise _AllCaptured

            handles = [_attach(site, partial(keep, name)) for name, site in sites.items()]
            try:
                with contextlib.suppress(_AllCaptured):
                    self._model(tokens, use_cache=False)
            finally:
                for handle in handles:
                    handle.remove()
            return captured

    def logits(self, tokens: Tensor) -> Tensor:
        """The whole pass: logits of `tokens`, [contexts, positions, vocabulary]."""
        return self._model(tokens, use_cache=False).logits

    def step(self, tokens: Tensor, past: Any) -> tuple[Tensor, Any]:
        """Logits of `tokens` that follow those whose keys and values are in `past` (None: there
        are none), and what holds theirs too."""
        return with_key_value_cache(self._model, tokens, past)

    def compile(self, sites: Mapping[str, HookSite]) -> None:
        """Compiles the pass to these sites, as one graph, which the next `run` does.

        What the sites don't need, as later blocks, is no part of the graph. Each shape of batch is
        compiled for itself, so that none depends on which came before. From here on `run` takes
        these sites alone, and raises ModelError where the model can't be compiled.
        """
        captured: dict[str, Tensor] = {}
        for name, site in sites.items():
            _attach(site, partial(captured.__setitem__, name))

        def forward(tokens: Tensor) -> dict[str, Tensor]:
            self._model(tokens, use_cache=False)
            return {name: captured.pop(name) for name in sites}

        compiled = torch.compile(forward, fullgraph=True, dynamic=False)

        def explained(tokens: Tensor) -> dict[str, Tensor]:
            try:
                return compiled(tokens)
            except compile_errors() as error:
                raise ModelError(
                    f"the model can't be compiled here: {first_line(error)}",
                    "leave out --compile, or install a C++ compiler (on a GPU: Triton)",
                ) from error

        self._compiled = explained


def _attach(site: HookSite, keep: Callable[[Tensor], None]) -> RemovableHandle:
    """Gives `keep` what passes the site in every forward pass until the handle is removed."""

    def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        keep(args[0] if args else kwargs["hidden_states"])

    def after(_: nn.Module, __: tuple[Any, ...], output: Any) -> None:
        keep(output[0] if isinstance(output, tuple) else output)

    if site.output:
        return site.module.register_forward_hook(after)
    return site.module.register_forward_pre_hook(before, with_kwargs=True)


def edit_site(site: HookSite, edit: Callable[[Tensor], Tensor]) -> RemovableHandle:
    """Puts what `edit` makes of the site's values in their place in every forward pass, until the
    handle is removed."""

    def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if args:
            return (edit(args[0]), *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": edit(kwargs["hidden_states"])}

    def after(_: nn.Module, __: tuple[Any, ...], output: Any) -> Any:
        return (edit(output[0]), *output[1:]) if isinstance(output, tuple) else edit(output)

    if site.output:
        return site.module.register_forward_hook(after)
    return site.module.register_forward_pre_hook(before, with_kwargs=True)


def differ_by_rounding(found: Tensor, expected: Tensor) -> bool:
    """Whether two ways of computing the same values differ by rounding alone."""
    if found.shape != expected.shape:
        return False
    error = (found.float() - expected.float()).norm() / expected.float().norm().clamp(min=1e-30)
    return bool(error < (1e-4 if expected.dtype == torch.float32 else 0.05))


class _AllCaptured(Exception):
    """Ends a forward pass whose wanted sites have all been passed."""


def find_sites(bridge: Any, hooks: Sequence[str]) -> dict[str, HookSite] | None:
    """The module and side that each hook name means; None when one is neither an input nor an
    output of a module of the model's own. The bridge's wrappers must be in place."""
    points = hook_points(bridge)
    sites: dict[str, HookSite] = {}
    for hook in hooks:
        component, side = points.get(hook, (None, ""))
        module = unwrapped(component)
        if side not in ("hook_in", "hook_out") or module is None or module is component:
            return None
        sites[hook] = HookSite(module, side == "hook_out")
    return sites
