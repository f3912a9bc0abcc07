"""A model's forward pass over a text that grows, with edits of features at work.

    hook of the SAE's input ──► encode ──► f′ − f ──► · W_dec ──► added at the hook it writes to

An SAE of one hook encodes what the edited model has there: what other edits, below, have made of
it. A crosscoder's hooks lie above one another, so no pass has all of them before the first is to be
edited; its activations, and those of conditions, are of the unedited model on the same tokens (the
reference). Either way a position's edit depends on the tokens up to there alone, so that the
logits are the same with and without a key-value cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lmsaes.errors import ConfigError
from lmsaes.model import Edit as HookEdit
from lmsaes.model import LanguageModel, PatchedForward, patched_forward
from lmsaes.sae import SAE
from lmsaes.steering.edits import Edit, HooksOf, check_fits
from lmsaes.steering.tokens import special_ids


@dataclass
class _Group:
    """The edits of one SAE."""

    sae: SAE
    hooks: HooksOf
    edits: list[Edit]

    def __post_init__(self) -> None:
        features = sorted({edit.feature for edit in self.edits})
        self.features = torch.tensor(features, device=self.sae.W_dec.device)
        self.place = {feature: column for column, feature in enumerate(features)}

    @property
    def encodes(self) -> bool:
        """Whether rows of the SAE's input are needed at all."""
        return any(e.needs_activation for e in self.edits) or bool(
            self.sae.row_norm_parts and not self.sae.transcodes
        )

    @property
    def live(self) -> bool:
        """Whether it encodes what the edited model has."""
        return len(self.hooks.reads) == 1


@dataclass
class _Pass:
    """What edits need to know of one forward pass."""

    chosen: dict[int, Tensor]  # by id of an edit: bool [contexts, positions], where it acts
    reference: dict[str, Tensor]  # by hook: [contexts, positions, width]
    seen: dict[str, Tensor]  # the edited model's, by hook, where a transcoder reads


class FeatureEdits:
    """Edits of features as edits of a model's activations. Checked against the model."""

    def __init__(self, lm: LanguageModel, edits: Sequence[Edit]) -> None:
        """Raises ConfigError or SAEError for an SAE that doesn't fit the model."""
        groups: dict[int, _Group] = {}
        for edit in edits:
            if id(edit.sae) not in groups:
                groups[id(edit.sae)] = _Group(edit.sae, check_fits(edit.sae, lm), [])
            groups[id(edit.sae)].edits.append(edit)
        self.edits = list(edits)
        self.groups = [_Group(g.sae, g.hooks, g.edits) for g in groups.values()]
        conditions = {id(e.when.sae): e.when.sae for e in edits if e.when}
        self._conditions = {i: (sae, check_fits(sae, lm).reads) for i, sae in conditions.items()}
        reference = [hook for _, reads in self._conditions.values() for hook in reads]
        reference += [h for g in self.groups if g.encodes and not g.live for h in g.hooks.reads]
        self.reference_hooks = list(dict.fromkeys(reference))
        self._device = lm.device
        own = [hook for g in self.groups for hook in (*g.hooks.reads, *g.hooks.writes)]
        self.hooks = list(dict.fromkeys([*own, *self.reference_hooks]))

    def at_hooks(
        self, positions: Tensor, prompt: int, special: Tensor, reference: dict[str, Tensor]
    ) -> dict[str, HookEdit]:
        """By hook, what becomes of its activations in one pass over `positions` int64 [positions].

        prompt: how many tokens the prompt has. special: bool [contexts, positions]. reference:
        the unedited model's activations at `reference_hooks`.
        """
        chosen = {}
        for edit in self.edits:
            where = edit.chosen(positions, prompt, special)
            if edit.when is not None:
                sae, reads = self._conditions[id(edit.when.sae)]
                rows = torch.cat([reference[hook] for hook in reads], 2)
                ids = torch.tensor([edit.when.feature], device=sae.W_dec.device)
                fires = _encode(sae, rows, ids)[..., 0] > edit.when.above
                where = where & fires.to(where.device)
            chosen[id(edit)] = where
        at = _Pass(chosen, reference, {})
        read = {g.hooks.reads[0] for g in self.groups if g.live and g.encodes}
        written = {hook for g in self.groups for hook in g.hooks.writes}
        return {hook: self._edit_at(hook, at, hook in read) for hook in sorted(read | written)}

    def _edit_at(self, hook: str, at: _Pass, keep: bool) -> HookEdit:
        def edit(value: Tensor) -> Tensor:
            out = value
            for group in self.groups:
                if hook in group.hooks.writes:
                    change = _change(group, hook, value, at)
                    out = torch.where(change != 0, out + change.to(value.dtype), out)
            if keep:
                at.seen[hook] = out
            return out

        return edit


def _change(group: _Group, hook: str, value: Tensor, at: _Pass) -> Tensor:
    """What a group's edits add to `value` [contexts, positions, width] at one of its hooks."""
    sae, device = group.sae, group.sae.W_dec.device
    start = 0
    widths = [value.shape[2]] * len(group.hooks.writes)
    if len(widths) > 1:
        widths = [sae.d_out // len(widths)] * len(widths)
        start = group.hooks.writes.index(hook) * widths[0]
    directions = sae.W_dec[group.features][:, start : start + widths[0]]
    activations = scale = None
    if group.encodes:
        rows = _rows(group, hook, value, at)
        activations = _encode(sae, rows, group.features)
        scale = sae.direction_scale(rows.to(device).float().flatten(0, 1))
    h = value.to(device).float()
    total = torch.zeros_like(h)
    none = torch.zeros(h.shape[:2], device=device)
    for edit in group.edits:
        column = group.place[edit.feature]
        direction = directions[column]
        where = at.chosen[id(edit)].to(device)
        if edit.orthogonal is not None:
            length = direction.square().sum()
            along = (h @ direction) / torch.where(length > 0, length, 1.0)
            total += (where * (edit.orthogonal - 1) * along)[..., None] * direction
            continue
        own = none if activations is None else activations[..., column]
        change = (where * edit.difference(own))[..., None] * direction
        if scale is not None:
            change = change * scale[:, start : start + widths[0]].reshape_as(change)
        total += change
    return total.to(value.device)


def _rows(group: _Group, hook: str, value: Tensor, at: _Pass) -> Tensor:
    """The rows that the group's SAE encodes, [contexts, positions, d_in]."""
    if not group.live:
        return torch.cat([at.reference[name] for name in group.hooks.reads], 2)
    (read,) = group.hooks.reads
    if read == hook:
        return value
    if read not in at.seen:
        raise ConfigError(
            f"an SAE reads {read}, which the model computes after {hook}, where it writes",
            "give an SAE that writes above what it reads",
        )
    return at.seen[read]


def _encode(sae: SAE, rows: Tensor, features: Tensor) -> Tensor:
    """Activations of some features for [contexts, positions, d_in]: [contexts, positions, n]."""
    flat = rows.to(sae.W_dec.device).float().flatten(0, 1)
    return sae.activations(flat, features).reshape(*rows.shape[:2], -1)


class GrowingText:
    """The logits of a text that grows at its end, under edits.

    cache: keep keys and values of what has been passed; where the model can't, or False, every
    pass runs over the whole text again.
    """

    def __init__(
        self,
        lm: LanguageModel,
        edits: Sequence[Edit],
        prompt: int,
        cache: bool = True,
        hooks: Sequence[str] = (),
        reads: Sequence[str] = (),
    ) -> None:
        """prompt: how many of its tokens are the prompt's. hooks: those of other texts too, so
        that all run in one and the same way. reads: hooks of which `last_read` has what the
        last pass had there, edited."""
        self.lm, self.prompt, self.reads = lm, prompt, list(reads)
        self.edits = FeatureEdits(lm, edits)
        hooks = [*self.edits.hooks, *hooks, *reads]
        self.forward: PatchedForward = patched_forward(lm, hooks)
        self.caches = cache and self.forward.caches
        self.tokens = torch.zeros((1, 0), dtype=torch.int64, device=lm.device)
        self.special = torch.tensor(special_ids(lm), dtype=torch.int64, device=lm.device)
        self.last_read: dict[str, Tensor] = {}
        self._past: Any = None
        self._reference: GrowingText | None = None
        if self.edits.reference_hooks:
            self._reference = GrowingText(lm, [], prompt, cache, hooks, self.edits.reference_hooks)

    def extend(self, tokens: Sequence[int]) -> Tensor:
        """Adds tokens; their logits, [tokens, vocabulary], on the model's device."""
        new = torch.tensor([list(tokens)], dtype=torch.int64, device=self.lm.device)
        count = self.tokens.shape[1]
        self.tokens = torch.cat([self.tokens, new], 1)
        if self._reference is not None:
            self._reference.extend(tokens)
        start = count if self.caches else 0
        passed = self.tokens[:, start:]
        with torch.inference_mode():
            edits = self._edits(passed, start)
            if self.caches:
                logits, self._past = self.forward.step(passed, edits, self._past)
            else:
                logits = self.forward.logits(passed, edits)
        return logits[0, count - start :]

    def _edits(self, passed: Tensor, start: int) -> dict[str, HookEdit]:
        edits: dict[str, HookEdit] = {}
        if self.edits.edits:
            positions = torch.arange(start, start + passed.shape[1], device=passed.device)
            reference = {} if self._reference is None else self._reference.last_read
            special = torch.isin(passed, self.special)
            edits = self.edits.at_hooks(positions, self.prompt, special, reference)
        return {**edits, **{hook: self._reader(hook, edits.get(hook)) for hook in self.reads}}

    def _reader(self, hook: str, edit: HookEdit | None) -> HookEdit:
        def keep(value: Tensor) -> Tensor:
            self.last_read[hook] = value if edit is None else edit(value)
            return self.last_read[hook]

        return keep
