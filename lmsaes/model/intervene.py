"""Run a language model with activations replaced, and of it only what lies above them.

    tokens ─► embedding ─► blocks below, skipped ─┐
                     what enters a block (Entry) ─┴─► blocks above ─► logits
                                                        ▲
                                           edits, by hook name

A block that is skipped stays where it is and hands on what it is given, so that whatever the model
does around its blocks (masks, rotary embeddings, kinds of layers) goes on as ever.
"""

import re
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lmsaes.errors import ModelError
from lmsaes.model._compat import hook_points, unwrapped
from lmsaes.model.forward import (
    DirectForward,
    HookSite,
    differ_by_rounding,
    edit_site,
    find_sites,
)
from lmsaes.model.language_model import LanguageModel, check_dtype

Edit = Callable[[Tensor], Tensor]
"""What becomes of a hook's activations [contexts, positions, width]; the same shape comes back."""

_TRIAL = (2, 16)  # contexts and positions of the batch that shows two ways to be equal
_IN_A_BLOCK = re.compile(r"blocks\.(\d+)\.")


@dataclass(frozen=True)
class Entry:
    """Where a forward pass begins: what enters block `block`, [contexts, positions, d_model].

    `block` may be the number of blocks: `stream` is then what the last one gives.
    """

    block: int
    stream: Tensor


class PatchedForward:
    """A language model's forward pass to its logits, with activations at some hooks edited.

    It runs on the Hugging Face model itself where the hooks are inputs or outputs of its modules
    and a trial gives the bridge's logits, and else on TransformerLens' bridge. From here on the
    model is this object's: other ways to run it are not to be used.
    """

    def __init__(self, lm: LanguageModel, hooks: Sequence[str]) -> None:
        """hooks: those to be edited or read. Raises ConfigError for one that the model has not."""
        lm.find_hooks(hooks)
        lm.mount(None)
        self.lm, self.device = lm, lm.device
        self._dtype = check_dtype(lm.record.dtype)
        wrapped: list[nn.Module] = list(getattr(lm.bridge, "blocks", ()))
        points = hook_points(lm.bridge)
        inputs = [f"blocks.{i}.hook_in" for i in range(len(wrapped))]
        self._inputs = inputs if all(name in points for name in inputs) else []
        self._boundaries = {hook: _boundary(points.get(hook), wrapped) for hook in hooks}
        self._blocks = wrapped
        self._direct: DirectForward | None = None
        self._sites: dict[str, HookSite] = {}
        self._outputs: dict[int, Any] = {}
        generator = torch.Generator().manual_seed(0)
        trial = torch.randint(0, lm.vocabulary, _TRIAL, generator=generator).to(self.device)
        self._use_the_model_itself([*hooks, *self._inputs], trial)
        self._skips = bool(self._inputs) and self._can_skip(trial)
        self._caches = self._direct is not None and self._can_cache(trial)

    @property
    def blocks(self) -> int:
        """How many blocks the model has."""
        return len(self._blocks)

    def boundary(self, hook: str) -> int | None:
        """The block that activations at `hook` enter whole, as of the residual stream between two
        blocks; None where the model needs more than them to go on."""
        return self._boundaries[hook]

    def block_of(self, hook: str) -> int:
        """A block such that entering there passes `hook`."""
        found = _IN_A_BLOCK.match(hook)
        return int(found[1]) if found and self._inputs else 0

    def logits(
        self, tokens: Tensor, edits: Mapping[str, Edit] | None = None, entry: Entry | None = None
    ) -> Tensor:
        """Logits of `tokens` int64 [contexts, positions], [contexts, positions, vocabulary].

        edits: what becomes of activations, by hook. entry: blocks below it don't run.
        """
        edits = edits or {}
        with torch.inference_mode(), ExitStack() as stack:
            if entry is not None:
                stack.enter_context(self._entered(entry))
            self.lm.mount(self._direct)
            if self._direct is None:
                hooks = [(name, _bridge_hook(edit)) for name, edit in edits.items()]
                return self.lm.bridge.run_with_hooks(
                    tokens.to(self.device), return_type="logits", fwd_hooks=hooks
                )
            self._attach(edits, stack)
            return self._direct.logits(tokens.to(self.device))

    @property
    def caches(self) -> bool:
        """Whether `step` can go on from the keys and values of what came before."""
        return self._caches

    def step(
        self, tokens: Tensor, edits: Mapping[str, Edit] | None = None, past: Any = None
    ) -> tuple[Tensor, Any]:
        """Logits of `tokens` int64 [contexts, positions] that follow those in `past`, and a `past`
        that has them too. None stands for no tokens. Edits see the new positions alone.

        Raises ModelError where `caches` is false.
        """
        if self._direct is None:
            raise ModelError("this model runs without a key-value cache here")
        with torch.inference_mode(), ExitStack() as stack:
            self.lm.mount(self._direct)
            self._attach(edits or {}, stack)
            return self._direct.step(tokens.to(self.device), past)

    def _attach(self, edits: Mapping[str, Edit], stack: ExitStack) -> None:
        for name, edit in edits.items():
            stack.callback(edit_site(self._sites[name], _shaped(edit)).remove)

    def read(self, tokens: Tensor, hooks: Sequence[str]) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits of the model as it is, and its activations [contexts, positions, width] at
        `hooks`."""
        found: dict[str, Tensor] = {}

        def keeps(name: str) -> Edit:
            def keep(value: Tensor) -> Tensor:
                found[name] = value
                return value

            return keep

        logits = self.logits(tokens, {hook: keeps(hook) for hook in hooks})
        return logits, found

    def input_of(self, block: int) -> str:
        """The hook that sees what enters a block, for `read`."""
        return f"blocks.{block}.hook_in"

    # ── which way it runs ────────────────────────────────────────────────────────────────────

    def _use_the_model_itself(self, hooks: Sequence[str], trial: Tensor) -> None:
        lm = self.lm
        sites = find_sites(lm.bridge, hooks) if lm.record.weights == "raw" else None
        raw = [unwrapped(block) for block in self._blocks]
        if sites is None or any(block is None for block in raw):
            return
        expected = self.logits(trial)
        direct = DirectForward(lm.bridge)
        try:
            lm.mount(direct)
            with torch.inference_mode():
                same = differ_by_rounding(direct.logits(trial), expected)
            if same and direct.holds(list(sites.values())):
                self._direct, self._sites = direct, sites
                self._blocks = [block for block in raw if block is not None]
                return
        except ValueError:
            pass  # the architecture has no fused attention
        lm.mount(None)

    def _can_skip(self, trial: Tensor) -> bool:
        """Whether entering in the middle gives what the whole pass gives."""
        middle = len(self._blocks) // 2
        with self._watched_outputs():
            whole, found = self.read(trial, [self.input_of(middle)])
        self._skips = True
        stream = found[self.input_of(middle)]
        return differ_by_rounding(self.logits(trial, entry=Entry(middle, stream)), whole)

    def _can_cache(self, trial: Tensor) -> bool:
        """Whether going on from keys and values gives what the whole pass gives."""
        whole, cut = self.logits(trial), trial.shape[1] // 2
        first, past = self.step(trial[:, :cut])
        if past is None:
            return False
        steps = [first]
        for position in range(cut, trial.shape[1]):
            logits, past = self.step(trial[:, position : position + 1], past=past)
            steps.append(logits)
        return differ_by_rounding(torch.cat(steps, 1), whole)

    @contextmanager
    def _watched_outputs(self) -> Generator[None]:
        """Notes what each block's output is made of: a tensor, or a tuple that begins with one."""

        def watch(index: int) -> Callable[..., None]:
            def note(_: nn.Module, __: Any, output: Any) -> None:
                self._outputs[index] = output[1:] if isinstance(output, tuple) else None

            return note

        handles = [b.register_forward_hook(watch(i)) for i, b in enumerate(self._blocks)]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
        self._outputs = {
            i: None if rest is None else (None,) * len(rest) for i, rest in self._outputs.items()
        }

    @contextmanager
    def _entered(self, entry: Entry) -> Generator[None]:
        """Has the model begin at a block: those below give `entry.stream` without running."""
        stream = entry.stream.to(self.device, self._dtype)
        last = entry.block == len(self._blocks)
        at = HookSite(self._blocks[-1 if last else entry.block], output=last)
        below = range(entry.block if self._skips else 0)

        def passed_by(index: int) -> Callable[..., Any]:
            rest = self._outputs.get(index)
            return lambda *_, **__: stream if rest is None else (stream, *rest)

        handle = edit_site(at, lambda _: stream)
        try:
            for index in below:
                # not setattr: the bridge's components hand that on to the module they wrap
                self._blocks[index].__dict__["forward"] = passed_by(index)
            yield
        finally:
            handle.remove()
            for index in below:
                self._blocks[index].__dict__.pop("forward", None)


def patched_forward(lm: LanguageModel, hooks: Sequence[str]) -> PatchedForward:
    """The model's `PatchedForward` for these hooks: made and tried once, then kept with the model.

    Raises ConfigError for a hook that the model has not.
    """
    key = frozenset(hooks)
    if key not in lm.patched:
        lm.patched[key] = PatchedForward(lm, sorted(key))
    return lm.patched[key]


def replaced_at(where: Tensor, values: Tensor) -> Edit:
    """The edit that puts `values` [contexts, positions, width] at the positions `where`, bool
    [contexts, positions]; the others keep their activations."""
    return lambda old: torch.where(where[..., None], values.to(old), old)


def _boundary(point: tuple[nn.Module, str] | None, blocks: Sequence[nn.Module]) -> int | None:
    component, side = point or (None, "")
    for index, block in enumerate(blocks):
        if component is block and side in ("hook_in", "hook_out"):
            return index + (side == "hook_out")
    return None


def _shaped(edit: Edit) -> Edit:
    """The edit on one vector per token, whatever shape the model has there (heads, say)."""
    return lambda value: edit(value.flatten(2)).reshape(value.shape)


def _bridge_hook(edit: Edit) -> Callable[..., Tensor]:
    shaped = _shaped(edit)
    return lambda value, hook: shaped(value)
