"""Completions with features edited, side by side with the model's own.

Every completion draws its tokens with the same random numbers, so that two of them differ only
where the edits made a difference. `stream` gives tokens as they come, a token of each in turn;
`steer` waits for all.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor

from lmsaes.errors import ConfigError, ModelError
from lmsaes.model import LanguageModel
from lmsaes.steering.edited_forward import FeatureEdits, GrowingText
from lmsaes.steering.edits import Edit
from lmsaes.steering.tokens import TokenizedText, check_length, tokenize


@dataclass(frozen=True)
class Sampling:
    """How next tokens are chosen.

    temperature: 0 takes the likeliest. top_p: only among the likeliest tokens that together have
    this probability. seed: of all random numbers.

    Raises ConfigError for a value that can't be.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float("inf"):
            raise ConfigError(f"the temperature can't be {self.temperature}", "give 0 or more")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p can't be {self.top_p}", "give a share above 0, at most 1")
        if not 0 <= self.seed < 2**63:
            raise ConfigError(f"the seed can't be {self.seed}", "give a whole number from 0 on")


@dataclass(frozen=True)
class Completion:
    """What a model wrote after a prompt."""

    text: str  # without special tokens
    token_ids: list[int]  # generated, the one that ends the text included
    logits: Tensor = field(repr=False)
    """float32 [n, vocabulary] on the CPU: what each generated token was drawn from."""
    kl: Tensor = field(repr=False)
    """float32 [n]: KL(this ‖ default) in nats of the next-token distributions on this text."""


@dataclass(frozen=True)
class NewToken:
    """A token of a completion that is being written; `set` None is the model's own."""

    set: int | None
    place: int  # among the generated, from 0
    token_id: int
    text: str  # what it adds; empty within a character
    logits: Tensor = field(repr=False)  # float32 [vocabulary], on the CPU


@dataclass(frozen=True)
class Finished:
    """A completion that is written to its end; `set` None is the model's own."""

    set: int | None
    completion: Completion


@dataclass(frozen=True)
class Steered:
    """A prompt's completions: the model's own, and one for each set of edits."""

    prompt: TokenizedText
    default: Completion
    sets: tuple[Completion, ...]

    @property
    def edited(self) -> Completion:
        """The completion of the only set of edits. Raises ConfigError where there are several."""
        if len(self.sets) != 1:
            raise ConfigError(f"there are {len(self.sets)} sets of edits", "read `sets`")
        return self.sets[0]

    @property
    def kl(self) -> Tensor:
        """`edited.kl`."""
        return self.edited.kl


EditSets = Sequence[Edit] | Sequence[Sequence[Edit]]
"""One set of edits that act together (it may be empty), or a list of sets for a completion each."""


def steer(
    lm: LanguageModel,
    prompt: str | Sequence[int],
    edits: EditSets,
    tokens: int = 40,
    seed: int = 0,
    temperature: float = 1.0,
    top_p: float = 1.0,
    bos: bool | None = None,
    cache: bool = True,
) -> Steered:
    """Completes a prompt with features edited, and without: `lmsaes steer`.

    prompt: a text, or token ids that are taken as they are. edits: one set of edits, or a list of
    sets for a completion each. tokens: how many to generate at most; a token that ends the text
    ends it. bos: begin with the beginning-of-text token (default: where the tokenizer has one).
    cache: keep keys and values of earlier tokens; without, the same comes slower.

    Raises ConfigError or SAEError for an edit or a prompt that the model can't take, ModelError
    where edits drive it out of the range of its numbers.
    """
    sampling = Sampling(temperature, top_p, seed)
    text = tokenize(lm, prompt, bos)
    done: dict[int | None, Completion] = {}
    for event in stream(lm, text, edits, tokens, sampling, cache):
        if isinstance(event, Finished):
            done[event.set] = event.completion
    default = done.pop(None)
    return Steered(
        text, default, tuple(done[index] for index in sorted(cast(dict[int, Completion], done)))
    )


def stream(
    lm: LanguageModel,
    prompt: TokenizedText,
    edits: EditSets,
    tokens: int = 40,
    sampling: Sampling = Sampling(),
    cache: bool = True,
) -> Generator[NewToken | Finished]:
    """As `steer`, token by token: of each set in turn, then of the model's own completion.

    Completions that are finished come at the end, with their KL. Closing the generator stops the
    work.
    """
    if tokens < 1:
        raise ConfigError(f"{tokens} tokens are none", "ask for at least one")
    check_length(lm, len(prompt) + tokens)
    sets = _sets(edits)
    hooks = [hook for own in sets for hook in FeatureEdits(lm, own).hooks]
    writers = [
        _Writer(prompt, GrowingText(lm, own, len(prompt), cache, hooks), index, sampling)
        for index, own in enumerate(sets)
    ]
    default = _Writer(prompt, GrowingText(lm, [], len(prompt), cache, hooks), None, sampling)
    for _ in range(tokens):
        for writer in (*writers, default):
            if not writer.ended:
                yield writer.write()
    for writer in writers:
        plain = GrowingText(lm, [], len(prompt), cache, hooks)
        logits = _default_logits(writer, default, plain)
        yield Finished(writer.set, writer.completion(logits))
    yield Finished(None, default.completion(default.logits()))


def _sets(edits: EditSets) -> list[list[Edit]]:
    if all(isinstance(edit, Edit) for edit in edits):
        return [list(cast(Sequence[Edit], edits))]
    if any(isinstance(edit, Edit) for edit in edits):
        raise ConfigError("edits stand beside sets of edits", "put each into a list of its own")
    return [list(cast(Sequence[Edit], own)) for own in edits]


class _Writer:
    """One completion on its way."""

    def __init__(
        self, prompt: TokenizedText, text: GrowingText, set: int | None, sampling: Sampling
    ) -> None:
        self.prompt, self.set, self.sampling = prompt, set, sampling
        self.ids: list[int] = []
        self.ended = False
        self._text, self._tokenizer = text, text.lm.tokenizer
        self._stop = {*text.lm.stop_tokens}
        if self._tokenizer is not None:
            self._stop.add(self._tokenizer.eos_token_id)
        self._logits: list[Tensor] = []
        self._shown = ""
        self._generator = torch.Generator().manual_seed(sampling.seed)

    def write(self) -> NewToken:
        """The next token."""
        new = self.ids[-1:] or self.prompt.token_ids
        logits = self._text.extend(new)[-1].float().cpu()
        if not bool(logits.isfinite().all()):
            raise ModelError(
                "with these edits the model's logits are not finite", "choose smaller values"
            )
        token = _draw(logits, self.sampling, self._generator)
        self.ids.append(token)
        self._logits.append(logits)
        self.ended = token in self._stop
        return NewToken(self.set, len(self.ids) - 1, token, self._new_text(), logits)

    def logits(self) -> Tensor:
        """[n, vocabulary]"""
        return torch.stack(self._logits)

    def completion(self, default: Tensor) -> Completion:
        """`default` [n, vocabulary]: the unedited model's logits for the same tokens."""
        logits = self.logits()
        return Completion(self._decoded(), self.ids, logits, _divergence(logits, default))

    def _decoded(self) -> str:
        if self._tokenizer is None:
            return "".join(f"[{token}]" for token in self.ids)
        return self._tokenizer.decode(
            self.ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )

    def _new_text(self) -> str:
        text = self._decoded()
        if text.endswith("�") and not self.ended:  # the first bytes of a character
            return ""
        new, self._shown = text[len(self._shown) :], text
        return new


def _default_logits(writer: _Writer, default: _Writer, plain: GrowingText) -> Tensor:
    """The unedited model's logits for a writer's tokens: those of its own completion as long as
    that is the same, and one pass of `plain` over the rest."""
    same = 0
    for own, other in zip(writer.ids, default.ids, strict=False):
        same += 1  # a token's logits depend on those before it
        if own != other:
            break
    shared = default.logits()[:same]
    if same == len(writer.ids):
        return shared
    logits = plain.extend([*writer.prompt.token_ids, *writer.ids[:-1]])
    return torch.cat([shared, logits[len(writer.prompt) - 1 + same :].float().cpu()])


def _draw(logits: Tensor, sampling: Sampling, generator: torch.Generator) -> int:
    """A token drawn from the distribution: the largest of log p + Gumbel noise, which the same
    numbers make the same token wherever distributions are close."""
    scores = logits.double()
    if sampling.temperature == 0:
        return int(scores.argmax())
    scores = (scores / sampling.temperature).log_softmax(0)
    if sampling.top_p < 1:
        ordered, order = scores.sort(descending=True)
        before = ordered.exp().cumsum(0) - ordered.exp()
        scores[order[before >= sampling.top_p]] = -torch.inf
    noise = torch.rand(scores.shape, generator=generator, dtype=torch.float64)
    return int((scores - (-noise.clamp(min=1e-300).log()).log()).argmax())


def _divergence(logits: Tensor, default: Tensor) -> Tensor:
    """KL(p ‖ q) of softmaxes [n, vocabulary], in nats; [n]."""
    p, q = logits.double().log_softmax(1), default.double().log_softmax(1)
    return (p.exp() * (p - q)).sum(1).clamp(min=0).float()
