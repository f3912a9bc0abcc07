"""Promises of stage one's loop: text, model and disk work at the same time."""

import threading
import time
from pathlib import Path

import torch

from lmsaes.cache.manifest import read_manifest
from lmsaes.cache.reader import ActivationCache
from lmsaes.cache.writer import CacheWriter
from lmsaes.capture.run import fill
from lmsaes.provenance import TextPosition
from lmsaes.text.packing import Contexts
from tests.support.made_up_cache import (
    made_up_documents,
    made_up_manifest,
    made_up_rows,
    made_up_tokens,
)

CONTEXTS, SIZE, D_MODEL, BATCH = 24, 4, 3, 2
BATCHES = CONTEXTS // BATCH
PATIENCE = 60  # seconds until a test that hangs is taken to have failed


def wait(event: threading.Event) -> None:
    assert event.wait(PATIENCE), "one waits for the other: they don't work at the same time"


class Text:
    """A stream of batches, of which `take` returns each when `may_give[i]` is set."""

    documents, empty = BATCHES, 0

    def __init__(self) -> None:
        self.asked = [threading.Event() for _ in range(BATCHES)]
        self.may_give = [threading.Event() for _ in range(BATCHES)]
        self._next = 0

    @property
    def position(self) -> TextPosition:
        return TextPosition(document=self._next)

    def take(self, contexts: int) -> Contexts:
        batch = self._next
        self.asked[batch].set()
        wait(self.may_give[batch])
        self._next += 1
        rows = slice(batch * BATCH, batch * BATCH + contexts)
        tokens = made_up_tokens(CONTEXTS, SIZE)[rows].int().numpy()
        return Contexts(tokens, made_up_documents(CONTEXTS, SIZE)[rows].int().numpy())


class Model:
    """Gives made-up rows, after what `meanwhile` waits for while batch i is computed."""

    def __init__(self, meanwhile) -> None:
        self._meanwhile, self._done = meanwhile, 0

    def activations(self, tokens: torch.Tensor, hooks: list[str]) -> dict[str, torch.Tensor]:
        batch, self._done = self._done, self._done + 1
        self._meanwhile(batch)
        rows = made_up_rows(batch * BATCH, len(tokens), SIZE, D_MODEL)
        return dict.fromkeys(hooks, rows)


def filled(folder: Path, text: Text, model: Model) -> None:
    manifest = made_up_manifest(CONTEXTS, SIZE, {"hook": D_MODEL}, batch_size=BATCH)
    with CacheWriter(folder, manifest) as writer:
        fill(writer, model, lambda _: text)  # type: ignore[arg-type]
    cache = ActivationCache.open(folder)
    expected = made_up_rows(0, CONTEXTS, SIZE, D_MODEL)
    assert torch.equal(cache.activations("hook", 0, CONTEXTS), expected)
    assert torch.equal(cache.tokens(0, CONTEXTS), made_up_tokens(CONTEXTS, SIZE))


def test_text_is_made_ready_while_the_model_runs(tmp_path):
    """A batch's text is given no sooner than the model runs the batch before, which goes on no
    sooner than that text is asked for."""
    text = Text()
    text.may_give[0].set()

    def meanwhile(batch: int) -> None:
        if batch + 1 < BATCHES:
            text.may_give[batch + 1].set()
            wait(text.asked[batch + 1])

    filled(tmp_path / "c", text, Model(meanwhile))


def test_shards_are_committed_while_the_model_runs(tmp_path):
    """The last batch goes on no sooner than all shards before its own are committed."""
    text, folder = Text(), tmp_path / "c"
    for event in text.may_give:
        event.set()

    def meanwhile(batch: int) -> None:
        end = time.monotonic() + PATIENCE
        while batch == BATCHES - 1 and read_manifest(folder).contexts < CONTEXTS - 2 * BATCH:
            assert time.monotonic() < end, "nothing is written while the model runs"
            time.sleep(0.005)

    filled(folder, text, Model(meanwhile))
