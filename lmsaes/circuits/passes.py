"""The real model's pass over a prompt with something changed, from the change upward.

    blocks below ── passed by
    stream with the change ──► block ── … ──► what enters the final norm

What a graph holds may be held here too: attention patterns, the norms' denominators, the MLPs'
answers. What stands after each attention is what features and targets are read off.
"""

import contextlib
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lmsaes.circuits.edges import Targets
from lmsaes.circuits.frozen import Norm
from lmsaes.circuits.replacement import Replacement
from lmsaes.model import LanguageModel, unwrapped


@dataclass(frozen=True)
class Freed:
    """Which of the things that a graph holds the model may change."""

    patterns: bool = False
    norms: bool = False
    mlps: bool = False


States = dict[int, Tensor]
"""By block: what stands after its attention, [contexts, positions, d_model]; under the number of
blocks, what enters the final norm."""
MLPEdit = Callable[[int, Tensor, States], Tensor]
"""What becomes of a block's MLP's output, [contexts, positions, d_model]."""


def entering(replacement: Replacement, block: int) -> Tensor:
    """What enters a block on the prompt, or the final norm, [positions, d_model]."""
    model = replacement.model
    return model.blocks[block].stream if block < len(model.blocks) else model.last


def run_from(
    lm: LanguageModel,
    replacement: Replacement,
    block: int,
    stream: Tensor,
    freed: Freed,
    edit: MLPEdit | None = None,
) -> States:
    """Runs the model from a block on with another stream, [contexts, positions, d_model]."""
    model = replacement.model
    last = len(model.blocks)
    if block == last:
        return {last: stream}
    states: States = {}
    edits: list[tuple[str, Callable[..., Any]]] = [
        (f"blocks.{block}.hook_in", lambda value, hook: stream.to(value.dtype))
    ]

    def see(layer: int) -> Callable[..., None]:
        def keep(value: Tensor, hook: Any) -> None:
            states[layer] = value.float()

        return keep

    def written_by_mlp(layer: int) -> Callable[..., Tensor]:
        def change(value: Tensor, hook: Any) -> Tensor:
            found = value.float()
            if not freed.mlps:
                found = model.blocks[layer].mlp_out.expand_as(found)
                skip = replacement.skips.get(layer)
                if skip is not None:
                    found = found + skip.linear(states[layer] - model.blocks[layer].mid)
            if edit is not None:
                found = edit(layer, found, states)
            return found.to(value.dtype)

        return change

    for layer in range(block, last):
        own, name = model.blocks[layer], f"blocks.{layer}"
        if not freed.norms:
            for part, norm in (("ln1", own.norm_1), ("ln2", own.norm_2)):
                note, hold = _held(norm)
                edits += [(f"{name}.{part}.hook_in", note), (f"{name}.{part}.hook_out", hold)]
        if not freed.patterns:
            edits.append((f"{name}.attn.hook_pattern", _pattern(own.attention.pattern)))
        edits.append((f"{name}.ln2.hook_in", see(layer)))
        if edit is not None or not freed.mlps:
            edits.append((f"{name}.hook_mlp_out", written_by_mlp(layer)))

    def end(value: Tensor, hook: Any) -> None:
        states[last] = value.float()
        raise _AllSeenError

    edits.append(("ln_final.hook_in", end))
    tokens = torch.tensor([model.token_ids] * len(stream), device=lm.device)
    with (
        torch.no_grad(),
        _passing_by(lm, block, freed.mlps, model.tuple_of),
        contextlib.suppress(_AllSeenError),
    ):
        lm.bridge.run_with_hooks(tokens, return_type=None, fwd_hooks=edits)
    return states


class _AllSeenError(Exception):
    """Ends a forward pass before its logits, which are read off what enters the final norm."""


@contextlib.contextmanager
def _passing_by(lm: LanguageModel, block: int, mlps: bool, tuple_of: int | None) -> Generator[None]:
    """Blocks below `block` give back what they are given, and unless `mlps` so do all MLPs: what
    they would compute is replaced anyway."""

    def stay(hidden_states: Tensor, *rest: Any, **more: Any) -> Any:
        if tuple_of is None:
            return hidden_states
        return (hidden_states, *[None] * (tuple_of - 1))

    def same(hidden_states: Tensor, *rest: Any, **more: Any) -> Tensor:
        return hidden_states

    passed: list[tuple[Any, Callable[..., Any]]] = []
    for layer, each in enumerate(lm.bridge.blocks):
        if layer < block:
            passed.append((unwrapped(each), stay))
        elif not mlps:
            passed.append((unwrapped(each.mlp), same))
    done: list[Any] = []
    try:
        for module, forward in passed:
            if module is not None:
                module.forward = forward
                done.append(module)
        yield
    finally:
        for module in done:
            del module.forward  # the class' own is found again


def _held(norm: Norm) -> tuple[Callable[..., None], Callable[..., Tensor]]:
    entered: list[Tensor] = []

    def note(value: Tensor, hook: Any) -> None:
        entered[:] = [value]

    def hold(value: Tensor, hook: Any) -> Tensor:
        return norm(entered[0].float()).to(value.dtype)

    return note, hold


def _pattern(held: Tensor) -> Callable[..., Tensor]:
    return lambda value, hook: held.to(value.dtype).expand_as(value)


def read(replacement: Replacement, states: States, readers: Targets, freed: Freed) -> Tensor:
    """How far readers' values are from the model's own, [contexts, readers]; 0 of those that stand
    below the first state.

    A feature's value is read as the affine function that it is on the prompt, whether or not it
    would still fire.
    """
    model = replacement.model
    contexts = next(iter(states.values())).shape[0]
    found = readers.value.new_zeros(contexts, len(readers))
    for layer, after in states.items():
        here = torch.nonzero(readers.layer == layer)[:, 0]
        if not len(here):
            continue
        if layer == len(model.blocks):
            norm, before = model.norm, model.last
        else:
            norm = replacement.transcoders[layer].norm(model.blocks[layer])
            before = model.blocks[layer].mid
        if norm is not None:
            before, after = norm(before), norm.let_go(after) if freed.norms else norm(after)
        change, positions = after - before, readers.position[here]
        for position in positions.unique().tolist():
            rows = here[positions == position]
            found[:, rows] = change[:, position] @ readers.direction[rows].T
    return found
