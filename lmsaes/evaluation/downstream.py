"""What a reconstruction does to the model's predictions: cross-entropy and KL divergence.

    cached rows ──► replaced at valid positions ──► the model above the hook ──► next-token loss

As in SAELens, special tokens keep their own activations and what is predicted at them does not
count, but zero ablation replaces them as well. Three things besides: each context's first position
counts as special, since training leaves it out; padding is not to be predicted; and the mean
ablation, which SAELens has not, spares special tokens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lmsaes.evaluation.context_sums import by_context
from lmsaes.model import Edit, Entry, LanguageModel, PatchedForward, replaced_at


@dataclass(frozen=True)
class Batch:
    """Contexts with what the cache holds of them.

    tokens: int64 [contexts, positions] on the host. rows: by hook, float32
    [contexts, positions, width]. valid: bool [contexts, positions], positions that are replaced
    and whose predictions count. context: int64 [valid positions], the context of each.
    """

    tokens: Tensor
    rows: Mapping[str, Tensor]
    valid: Tensor
    context: Tensor

    @property
    def contexts(self) -> int:
        return self.tokens.shape[0]

    def filled(self, hook: str, values: Tensor) -> Tensor:
        """The hook's rows with `values` [valid positions, width] at the valid positions."""
        out = self.rows[hook].clone()
        out[self.valid] = values
        return out


@dataclass(frozen=True)
class _Start:
    """How the model is entered for a hook, and its predictions as it is."""

    clean: "_Predictions"
    block: int | None  # that the hook's own rows enter; None: they are put in as an edit
    stream: Entry | None = None  # what enters below the edit; None: the tokens


class Downstream:
    """The model above some hooks, run on a cache's rows."""

    def __init__(
        self,
        lm: LanguageModel,
        means: Mapping[str, Tensor],
        inputs: Sequence[str],
        padding_id: int | None,
    ) -> None:
        """means: by hook to replace, the mean activation [width], which mean ablation puts in.
        inputs: hooks that are read. padding_id: the token that fills up contexts."""
        self.forward = PatchedForward(lm, list(dict.fromkeys([*means, *inputs])))
        self._means = means
        self._padding_id = padding_id

    def measure(
        self, batch: Batch, outputs: Mapping[str, Sequence[Tensor]]
    ) -> dict[str, list[dict[str, Tensor]]]:
        """By hook, one set of sums by context for each of its `outputs`, reconstructions
        [valid positions, width]: what `ContextSums` takes."""
        targets = self._targets(batch)
        inside = self._inside(batch, [h for h in outputs if not self._enters(batch, h)])
        found: dict[str, list[dict[str, Tensor]]] = {}
        for hook, reconstructions in outputs.items():
            start = inside[hook] if hook in inside else self._entered(batch, hook)
            found[hook] = self._measure_hook(batch, targets, start, hook, reconstructions)
        return found

    def _measure_hook(
        self,
        batch: Batch,
        targets: "_Targets",
        start: _Start,
        hook: str,
        outputs: Sequence[Tensor],
    ) -> list[dict[str, Tensor]]:
        def scores(name: str, values: Tensor, everywhere: bool = False) -> dict[str, Tensor]:
            where = torch.ones_like(batch.valid) if everywhere else batch.valid
            logits = self._replaced(batch, start, hook, values, where)
            return targets.scores(name, _log_probabilities(logits), start.clean)

        rows = batch.rows[hook]
        common = {
            **targets.clean_scores(start.clean),
            **scores("zero", torch.zeros_like(rows), everywhere=True),
            **scores("mean", self._means[hook].expand_as(rows)),
        }
        return [common | scores("sae", batch.filled(hook, output)) for output in outputs]

    def _replaced(
        self, batch: Batch, start: _Start, hook: str, values: Tensor, where: Tensor
    ) -> Tensor:
        """Logits with `values` [contexts, positions, width] at the hook's positions `where`."""
        if start.block is not None:
            stream = torch.where(where[..., None], values, batch.rows[hook])
            return self.forward.logits(batch.tokens, entry=Entry(start.block, stream))
        edits: dict[str, Edit] = {hook: replaced_at(where, values)}
        return self.forward.logits(batch.tokens, edits, start.stream)

    def _enters(self, batch: Batch, hook: str) -> bool:
        """Whether the hook's rows are all that the model needs to go on from there."""
        whole = bool(batch.rows[hook].isfinite().all())  # stored in 16 bits, special tokens may not
        return whole and self.forward.boundary(hook) is not None

    def _entered(self, batch: Batch, hook: str) -> _Start:
        block = self.forward.boundary(hook)
        assert block is not None
        logits = self.forward.logits(batch.tokens, entry=Entry(block, batch.rows[hook]))
        return _Start(_Predictions.of(logits), block)

    def _inside(self, batch: Batch, hooks: Sequence[str]) -> dict[str, _Start]:
        """Hooks for which the cache lacks the stream around them: the model runs once from its
        tokens, and what enters their blocks is noted."""
        if not hooks:
            return {}
        blocks = {hook: self.forward.block_of(hook) for hook in hooks}
        names = {block: self.forward.input_of(block) for block in blocks.values() if block}
        logits, streams = self.forward.read(batch.tokens, list(names.values()))
        clean = _Predictions.of(logits)
        return {
            hook: _Start(clean, None, Entry(block, streams[names[block]]) if block else None)
            for hook, block in blocks.items()
        }

    def _targets(self, batch: Batch) -> "_Targets":
        tokens = batch.tokens.to(batch.valid.device)
        following = torch.roll(tokens, -1, 1)
        known = torch.ones_like(batch.valid)
        known[:, -1] = False
        if self._padding_id is not None:
            padded = (tokens == self._padding_id).long().flip(1).cumprod(1).flip(1).bool()
            known[:, :-1] &= ~padded[:, 1:]
        return _Targets(following, known, batch.valid, batch.context, batch.contexts)


@dataclass(frozen=True)
class _Predictions:
    """The next token's distribution at every position, [contexts, positions, vocabulary]."""

    log_probabilities: Tensor
    probabilities: Tensor

    @classmethod
    def of(cls, logits: Tensor) -> "_Predictions":
        found = _log_probabilities(logits)
        return cls(found, found.exp())


@dataclass(frozen=True)
class _Targets:
    """The token that follows each position, where one does, and which positions count.

    Logits are wide: each of them is passed as seldom as can be, and all positions' at once, since
    to take out the valid ones would be one more pass.
    """

    token: Tensor  # int64 [contexts, positions]
    known: Tensor  # bool [contexts, positions]
    valid: Tensor  # bool [contexts, positions]
    context: Tensor  # int64 [valid positions]
    contexts: int

    def clean_scores(self, clean: _Predictions) -> dict[str, Tensor]:
        """Sums by context of the cross-entropy, and what all are counted over."""
        ones = torch.ones_like(self.token, dtype=torch.float32)
        return {
            **self._cross_entropy("clean", clean.log_probabilities),
            "targets": self._sum(ones * self.known),
            "predictions": self._sum(ones),
        }

    def scores(self, name: str, found: Tensor, clean: _Predictions) -> dict[str, Tensor]:
        """Sums by context of the cross-entropy of log-probabilities `found`, and of their KL
        divergence from the clean ones. `found` is written over."""
        loss = self._cross_entropy(name, found)
        difference = torch.sub(clean.log_probabilities, found, out=found)
        kl = torch.linalg.vecdot(clean.probabilities, difference)
        return loss | {f"kl_{name}": self._sum(kl)}

    def _cross_entropy(self, name: str, found: Tensor) -> dict[str, Tensor]:
        loss = -found.gather(2, self.token[..., None])[..., 0]
        return {f"ce_{name}": self._sum(torch.where(self.known, loss, 0))}

    def _sum(self, values: Tensor) -> Tensor:
        return by_context(values[self.valid], self.context, self.contexts)


def _log_probabilities(logits: Tensor) -> Tensor:
    """Of the next token, float32."""
    return logits.float().log_softmax(-1)
