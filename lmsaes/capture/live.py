"""`LiveRows`: what hooks of a running model see, batch after batch, where no cache keeps it.

LiveConfig ─► inputs.py ─► text, a thread ahead ─► forward ─► the rows that training uses
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from lmsaes.cache import HookRecord, Manifest, finite_rows, valid_positions
from lmsaes.capture.config import CaptureConfig, LiveConfig
from lmsaes.capture.inputs import open_inputs
from lmsaes.capture.plan import plan_cache, what_was_decided
from lmsaes.errors import ConfigError
from lmsaes.loader import Chunk
from lmsaes.model import LanguageModel
from lmsaes.parallel import iterate_ahead
from lmsaes.provenance import Record, TextPosition
from lmsaes.text import Contexts, ContextStream
from lmsaes.units import format_count

_log = logging.getLogger("lmsaes")
_BATCHES_AHEAD = 8


class Place(Record):
    """Where a batch of contexts begins: in the text, which may have been read before."""

    text: TextPosition = TextPosition()
    passes: int = 0  # through the whole text
    contexts: int = 0  # of this pass
    not_finite: int = 0  # rows that were left out so far because they are not finite


class LiveRows:
    """A language model on a text, in place of the cache that it would make.

    config: with what the machine and the tokenizer decide written out. manifest: of that cache.
    hooks: its hooks, whose statistics are None until somebody has measured rows. samples: rows
    [n, d_model] of each that were measured, where they are kept.
    """

    def __init__(self, config: LiveConfig, hooks: Sequence[str], tokens: int) -> None:
        """Loads the model; `hooks` may be globs, `tokens` is about how many will be used.

        Raises ConfigError, ModelError or DataError for what is not there or doesn't fit together.
        """
        self._inputs = open_inputs(config, hooks)
        wanted = CaptureConfig.of(
            {
                **config.model_dump(),
                "hooks": tuple(self._inputs.shapes),
                "tokens": max(tokens, config.context_size),
                "out": "nowhere",
            }
        )
        self.manifest: Manifest = plan_cache(
            wanted, None, self._inputs.lm, self._inputs.shapes, self._inputs.sources
        )
        self.config = config.model_copy(update=what_was_decided(self.manifest))
        self.hooks: dict[str, HookRecord] = dict(self.manifest.hooks)
        self.samples: dict[str, torch.Tensor] = {}

    @property
    def model(self) -> LanguageModel:
        return self._inputs.lm

    @property
    def identity(self) -> str:
        """That of the cache that the same model and text would make."""
        return self.manifest.identity

    @property
    def context_size(self) -> int:
        return self.manifest.text.context_size

    def check_hook(self, hook: str) -> str:
        """`hook` itself, or ConfigError when it is none of these."""
        if hook not in self.hooks:
            raise ConfigError(
                f"the model is not run to hook '{hook}'", "it is run to: " + ", ".join(self.hooks)
            )
        return hook

    def stream(
        self, hooks: Sequence[str], drop_special: bool, skip_positions: Sequence[int]
    ) -> "LiveStream":
        """The rows of these hooks, side by side; without special tokens and first positions, and
        without some positions of each context, where that is asked for."""
        return LiveStream(self, hooks, drop_special, tuple(skip_positions))

    def open_text(self, start: TextPosition | None) -> ContextStream:
        return self._inputs.open_text(self.manifest.text, start)


class LiveStream:
    """Rows as `StreamLoader` takes them, without end: a text that has ended is read again."""

    def __init__(
        self, live: LiveRows, hooks: Sequence[str], special: bool, positions: tuple[int, ...]
    ) -> None:
        self._live, self._hooks = live, list(hooks)
        self._special, self._positions = special, positions
        self.dtype: torch.dtype = getattr(torch, live.config.dtype)
        size = live.context_size
        for position in positions:
            if not -size <= position < size:
                raise ConfigError(
                    f"there is no position {position} in a context of {size}",
                    "give positions from 0, or negative ones from the end",
                )

    @property
    def widths(self) -> Mapping[str, int]:
        return {hook: self._live.hooks[hook].d_model for hook in self._hooks}

    @property
    def identity(self) -> str:
        settings = f"{self._live.config.dtype}, {self._special}, {self._positions}"
        return f"{self._live.identity} ({settings})"

    @property
    def context_rows(self) -> int:
        """At most; padding and special tokens inside a context make them fewer."""
        size, first = self._live.context_size, {0} if self._special else set[int]()
        return max(1, size - len(first | {position % size for position in self._positions}))

    def contexts_read(self, start: Any | None) -> int | None:
        """How many of the text's contexts are read by the end of the chunk that begins at `start`;
        None where that is all of them.
        """
        place = Place() if start is None else Place.model_validate(start)
        batch = self._live.manifest.compute.batch_size
        return None if place.passes else place.contexts + batch

    def not_finite(self, start: Any | None) -> int:
        """Rows before the chunk that begins at `start` that were left out for not being finite."""
        return 0 if start is None else Place.model_validate(start).not_finite

    def chunks(self, start: Any | None) -> Iterator[Chunk]:
        """Batch after batch of the text's contexts, each run through the model.

        Raises ConfigError where the text doesn't fill one context, or no row of it is kept.
        """
        lm = self._live.model
        place = Place() if start is None else Place.model_validate(start)
        not_finite, passes = place.not_finite, place.passes
        rows_of_pass = None if place.contexts else 0  # None: not all of it is seen
        texts = iterate_ahead(self._texts(place), _BATCHES_AHEAD, "text")
        for batch, at in texts:
            if at.passes > passes:
                if rows_of_pass == 0:
                    raise ConfigError(
                        "no row of the text is left to train on: none is finite and not left out",
                        "leave fewer of them out, or keep them in another dtype than"
                        f" {self._live.config.dtype}",
                    )
                passes, rows_of_pass = at.passes, 0
            tokens = torch.from_numpy(batch.tokens)
            found = lm.activations(tokens.long(), self._hooks)
            kept = self._kept(tokens)
            rows = {hook: each.to(self.dtype) for hook, each in found.items()}
            finite = torch.stack([finite_rows(each) for each in rows.values()]).all(0)
            here = finite.device
            lost = int((kept.to(here) & ~finite).count_nonzero())
            kept = kept.to(here) & finite
            yield Chunk(
                {hook: rows[hook][kept] for hook in self._hooks},
                at.model_copy(update={"not_finite": not_finite}).model_dump(mode="json"),
            )
            not_finite += lost
            if rows_of_pass is not None:
                rows_of_pass += int(kept.count_nonzero())

    def _kept(self, tokens: torch.Tensor) -> torch.Tensor:
        kept = torch.ones_like(tokens, dtype=torch.bool)
        if self._special:
            kept = valid_positions(tokens, self._live.manifest.text.special_ids)
        kept[:, list(self._positions)] = False
        return kept

    def _texts(self, place: Place) -> Iterator[tuple[Contexts, Place]]:
        """Batches of contexts, and where each begins."""
        step = self._live.manifest.compute.batch_size
        stream = self._live.open_text(place.text)
        while True:
            batch = stream.take(step)
            if len(batch):
                yield batch, place
                contexts = place.contexts + len(batch)
                update = {"text": stream.position, "contexts": contexts}
                place = place.model_copy(update=update)
                continue
            self._end_of_text(place)
            place, stream = Place(passes=place.passes + 1), self._live.open_text(None)

    def _end_of_text(self, place: Place) -> None:
        text, size = self._live.manifest.text, self._live.context_size
        if place.contexts == 0:
            raise ConfigError(
                f"the text of '{text.dataset}' does not fill one context of {size} tokens",
                "use more text or a smaller context_size",
            )
        if place.passes == 0:
            _log.warning(
                "the text of '%s' has ended after %s tokens, and is read again from its start",
                text.dataset,
                format_count(place.contexts * size),
            )
