"""A model's attention heads and MLP neurons, by their weights, block by block.

    stream ─► norm ─► heads ───► (norm) ─► stream        a gain is what a norm multiplies by,
    stream ─► norm ─► neurons ─► (norm) ─► stream        wherever the model has that norm

Which norm stands before a part, and whether one stands after it, is seen in a pass over a few
tokens: architectures differ in that, and their names for norms don't tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from lmsaes.model.forward import differ_by_rounding
from lmsaes.model.language_model import LanguageModel, norm_gain

_TRIAL = (2, 8)

Place = Literal[
    "entering", "middle", "leaving",  # the residual stream, before, inside and after the block
    "attention", "mlp",  # what a part adds to the stream
    "attention_out", "mlp_out",  # what it gives to the norm behind it, where there is one
    "attention_in", "mlp_in",  # what it reads, behind the norm
    "attention_normalized", "mlp_normalized",  # the same before the norm's gain and bias
    "heads", "neurons",  # outputs of all heads one after the other (z), and of all neurons
]  # fmt: skip
"""What a hook sees of a block."""


@dataclass(frozen=True)
class Heads:
    """A block's attention heads; of grouped ones, keys and values have fewer than queries."""

    W_Q: Tensor  # [heads, d_model, d_head], in the model's dtype as all of these
    W_K: Tensor  # [key heads, d_model, d_head]
    W_V: Tensor  # the same
    W_O: Tensor  # [heads, d_head, d_model]
    before: Gain
    after: Gain


@dataclass(frozen=True)
class Neurons:
    """A block's MLP neurons."""

    W_in: Tensor  # [d_model, neurons], in the model's dtype as all of these
    W_gate: Tensor | None  # the same; None where the MLP is not gated
    W_out: Tensor  # [neurons, d_model]
    before: Gain
    after: Gain


@dataclass(frozen=True)
class Gain:
    """What a norm does to a direction but for its denominator, which is the same for all."""

    weight: Tensor | None = None  # [d_model]; None: there is no norm
    centered: bool = False

    def back(self, directions: Tensor) -> Tensor:
        """Directions [..., d_model] behind the norm as directions before it."""
        if self.weight is None:
            return directions
        found = directions * self.weight.to(directions)
        return found - found.mean(-1, keepdim=True) if self.centered else found

    @property
    def ungained(self) -> Gain:
        """The same norm with a gain of one."""
        return Gain(None if self.weight is None else torch.ones_like(self.weight), self.centered)

    def forward(self, directions: Tensor) -> Tensor:
        """Directions [..., d_model] before the norm as directions behind it."""
        if self.weight is None:
            return directions
        if self.centered:
            directions = directions - directions.mean(-1, keepdim=True)
        return directions * self.weight.to(directions)


@dataclass(frozen=True)
class BlockParts:
    """What is known of a block; None for a part that is not built of these weights."""

    heads: Heads | None
    neurons: Neurons | None
    parallel: bool  # attention and MLP both read what enters the block
    places: Mapping[str, Place]  # of the hooks that were asked for and are in this block


def block_parts(lm: LanguageModel, hooks: Sequence[str] = ()) -> Iterator[BlockParts]:
    """The parts of each block, from the first to the last, and what `hooks` see of it.

    A block of mixed experts has no neurons here, one without attention no heads. A hook that sees
    none of the places has none.
    """
    bridge = lm.bridge
    tokens = torch.arange(_TRIAL[0] * _TRIAL[1], device=lm.device) % lm.vocabulary
    with torch.inference_mode():
        try:
            _, seen = bridge.run_with_cache(tokens.reshape(_TRIAL), return_cache_object=False)
        except RuntimeError:
            # the bridge's own forward pass fails for some models in half precision (OLMo 2 in
            # bfloat16), which run without it
            seen = {}
        for layer, block in enumerate(getattr(bridge, "blocks", ())):
            name = f"blocks.{layer}."
            own = [hook.removeprefix(name) for hook in hooks if hook.startswith(name)]
            yield _parts(block, _Seen(seen, name), own)


class _Seen:
    """What a block's hooks saw in the trial."""

    def __init__(self, values: Mapping[str, Any], block: str) -> None:
        self._values, self._block = values, block

    def __getitem__(self, hook: str) -> Tensor | None:
        found = self._values.get(self._block + hook)
        return found if isinstance(found, Tensor) else None

    def one(self, *hooks: str) -> Tensor | None:
        """The first of these hooks that there is."""
        return next((found for hook in hooks if (found := self[hook]) is not None), None)

    def same(self, first: str, second: str) -> bool:
        return _equal(self[first], self[second])


def _parts(block: Any, seen: _Seen, hooks: Sequence[str]) -> BlockParts:
    nothing = BlockParts(None, None, False, {})
    entering, leaving = seen["hook_in"], seen["hook_out"]
    if entering is None or leaving is None:
        return nothing
    after = _norms_after(block, seen, entering, leaving)
    if after is None:
        return nothing
    attention = seen[f"{after[0] or 'attn'}.hook_out"]
    mid = entering if attention is None else entering + attention
    like = entering[0, 0]

    def gain(norm: str | None) -> Gain:
        return Gain() if norm is None else Gain(*norm_gain(getattr(block, norm), like))

    for_heads = _norm_before(block, seen, "attn.hook_in", entering)
    for_neurons, parallel = _norm_before(block, seen, "mlp.hook_in", mid), False
    if for_neurons is None:
        for_neurons, parallel = _norm_before(block, seen, "mlp.hook_in", entering), True
    heads = neurons = None
    if for_heads is not None:
        heads = _heads(block.attn, gain(for_heads or None), gain(after[0]))
    if for_neurons is not None:
        neurons = _neurons(block.mlp, gain(for_neurons or None), gain(after[1]))
    parallel = parallel and for_neurons is not None
    values: dict[Place, Tensor | None] = {
        "entering": entering,
        "middle": None if parallel else mid,
        "leaving": leaving,
        "attention": attention,
        "mlp": seen[f"{after[1] or 'mlp'}.hook_out"],
        "attention_out": seen["attn.hook_out"],
        "mlp_out": seen["mlp.hook_out"],
        "attention_in": None if heads is None else seen["attn.hook_in"],
        "mlp_in": None if neurons is None else seen["mlp.hook_in"],
        "attention_normalized": heads and _normalized(seen, for_heads, heads.before),
        "mlp_normalized": neurons and _normalized(seen, for_neurons, neurons.before),
        "heads": None if heads is None else seen.one("attn.hook_z", "attn.o.hook_in"),
        "neurons": None if neurons is None else seen.one("mlp.hook_post", "mlp.out.hook_in"),
    }
    return BlockParts(heads, neurons, parallel, _places(seen, hooks, values))


def _normalized(seen: _Seen, norm: str | None, gain: Gain) -> Tensor | None:
    """What the norm gives before its gain and bias, where that is what its hook sees."""
    rows, out = seen[f"{norm}.hook_normalized"], seen[f"{norm}.hook_out"]
    if rows is None or out is None or gain.weight is None:
        return None
    bias = (out - rows * gain.weight.to(rows)).flatten(0, 1)
    return rows if _equal(rows * gain.weight.to(rows) + bias.mean(0), out) else None


def _places(
    seen: _Seen, hooks: Sequence[str], values: Mapping[Place, Tensor | None]
) -> dict[str, Place]:
    """By hook, the first place that has its values."""
    found: dict[str, Place] = {}
    for hook in hooks:
        own = seen[hook]
        for place, value in values.items():
            if own is not None and value is not None and _equal(own.flatten(2), value.flatten(2)):
                found[hook] = place
                break
    return found


def _norms_after(
    block: Any, seen: _Seen, entering: Tensor, leaving: Tensor
) -> tuple[str | None, str | None] | None:
    """The norms between attention, and the MLP, and the stream; None where they are not to be
    seen."""

    def written(part: str) -> dict[str | None, Tensor]:
        own = seen[f"{part}.hook_out"]
        found: dict[str | None, Tensor] = {} if own is None else {None: own}
        for norm in _norms(block):
            out = seen[f"{norm}.hook_out"]
            if out is not None and seen.same(f"{norm}.hook_in", f"{part}.hook_out"):
                found[norm] = out
        return found

    change = (leaving - entering).float()
    errors = {
        (first, second): float((a.float() + b.float() - change).norm())
        for first, a in written("attn").items()
        for second, b in written("mlp").items()
        if a.shape == b.shape == change.shape
    }
    best = min(errors, key=lambda pair: errors[pair], default=None)
    # half precision loses much of the small difference of two large streams
    allowed = 1e-3 if leaving.dtype == torch.float32 else 0.2
    return best if best and errors[best] <= allowed * float(change.norm()) else None


def _norm_before(block: Any, seen: _Seen, hook: str, stream: Tensor) -> str | None:
    """The norm between the stream and what a part reads, "" where there is none; None where that
    is not to be seen."""
    read = seen[hook]
    if _equal(read, stream):
        return ""
    for norm in _norms(block):
        if _equal(seen[f"{norm}.hook_in"], stream) and _equal(seen[f"{norm}.hook_out"], read):
            return norm
    return None


def _norms(block: Any) -> list[str]:
    return [name for name, _ in block.named_children() if name.startswith("ln")]


def _equal(a: Tensor | None, b: Tensor | None) -> bool:
    return a is not None and b is not None and differ_by_rounding(a, b)


def _heads(attention: Any, before: Gain, after: Gain) -> Heads | None:
    try:
        W_Q, W_K, W_V, W_O = (getattr(attention, f"W_{name}") for name in "QKVO")
    except (AttributeError, ValueError):
        return None  # attention of another kind
    if not W_Q.dim() == W_K.dim() == W_V.dim() == W_O.dim() == 3:
        return None
    return Heads(W_Q, W_K, W_V, W_O, before, after)


def _neurons(mlp: Any, before: Gain, after: Gain) -> Neurons | None:
    try:
        W_in, W_gate, W_out = mlp.W_in, mlp.W_gate, mlp.W_out
    except (AttributeError, ValueError):
        return None
    if any(weight is None or weight.dim() != 2 for weight in (W_in, W_out)):
        return None
    return Neurons(W_in, W_gate, W_out, before, after)
