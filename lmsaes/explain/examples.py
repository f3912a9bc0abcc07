"""The contexts that a label is made from, and others on which it is judged.

    a context's number ──hash──► explain half │ score half        no text is in both
    score half:   firing contexts, by interval of their maximum
                  silent contexts: random, with a token that it often fires on, or where a
                  neighbor fires

All come from what an analysis stored. A model sees a window of each; where in it the place that
matters stands is drawn by the same rule for all, so that it tells nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

from lmsaes.analysis import context_hashes, lowest_contexts
from lmsaes.database import Database, FeatureRecord, SAERecord, SampleRecord
from lmsaes.errors import DatabaseError

Half = Literal["explain", "score"]
Kind = Literal["random", "same-token", "neighbor"]

INTERVALS = 5
TOKENS = 5  # of those it fires on, for the rule that a label has to beat
_HALVES, _PLACES, _ORDER = 101, 102, 103  # seeds of what is drawn of a context by its number
_TOP, _PER_INTERVAL = 10, 2  # contexts that a label is made from
_NEIGHBORS = 5
_RANDOM = 1000  # contexts among which silent ones are looked for


@dataclass(frozen=True)
class Window:
    """Some consecutive tokens of a context."""

    context: int
    tokens: list[str]
    activations: np.ndarray = field(repr=False)  # float32 [tokens]
    token_ids: list[int] = field(repr=False)

    @property
    def text(self) -> str:
        return "".join(self.tokens)


@dataclass(frozen=True)
class Item:
    """A window to be judged."""

    window: Window
    interval: int | None  # of a firing context, the weakest is 0; None: the feature is silent
    kind: Kind | None  # of a silent one

    @property
    def fires(self) -> bool:
        return self.interval is not None


def half_of(context: int) -> Half:
    """To which half a context belongs, for every feature and SAE of its cache."""
    return "score" if context_hashes(np.array([context]), _HALVES)[0] & 1 else "explain"


class Examples:
    """What an analysis stored of some features, as windows of `window` tokens."""

    def __init__(self, database: Database, record: SAERecord, window: int) -> None:
        self._database, self._record, self._window = database, record, window
        self._vocabulary = database.vocabulary(record.vocabulary)

    def feature(self, index: int) -> FeatureRecord:
        """Raises DatabaseError where the analysis was replaced meanwhile."""
        found = self._database.features(self._record.analysis, [index]).get(index)
        if found is None or found.details is None:
            raise DatabaseError(
                f"'{self._record.name}' was analyzed again meanwhile", "run the same command again"
            )
        return found

    def to_explain(self, index: int) -> list[Window]:
        """The strongest contexts of its half, and some of each interval, strongest first."""
        chosen: dict[int, tuple[SampleRecord, int]] = {}
        for group, most in [("top", _TOP), *((f"interval-{i}", _PER_INTERVAL) for i in range(5))]:
            own = [(sample, row) for sample, row in self._stored(index, group, "explain")]
            new = [(s, row) for s, row in own if int(s.contexts[row]) not in chosen][:most]
            chosen.update({int(sample.contexts[row]): (sample, row) for sample, row in new})
        ordered = sorted(
            chosen.values(), key=lambda each: -float(each[0].activations[each[1]].max())
        )
        tokens = self._tokens(chosen)
        return [self._cut(s, row, tokens, centered=True) for s, row in ordered]

    def to_judge(self, index: int, per_interval: int) -> list[Item]:
        """`per_interval` firing contexts of each interval where there are so many, and of silent
        ones twice as many at random and with its tokens, and as many with a neighbor."""
        firing = [
            (sample, row, interval)
            for interval in range(INTERVALS)
            for sample, row in self._stored(index, f"interval-{interval}", "score", per_interval)
        ]
        silent: dict[int, tuple[Kind, int]] = {}  # by context: why, and the place that matters
        for sample, row in self._stored(index, "same-token", "score", 2 * per_interval):
            silent[int(sample.contexts[row])] = "same-token", int(sample.positions[row])
        for context, position in self._neighboring(index):
            if sum(kind == "neighbor" for kind, _ in silent.values()) == per_interval:
                break
            silent.setdefault(context, ("neighbor", position))
        for context in self._random(index):
            if sum(kind == "random" for kind, _ in silent.values()) == 2 * per_interval:
                break
            place = int(context_hashes(np.array([context]), _PLACES)[0]) % self._record.context_size
            silent.setdefault(context, ("random", place))
        tokens = self._tokens([*(int(s.contexts[row]) for s, row, _ in firing), *silent])
        items = [Item(self._cut(s, row, tokens), interval, None) for s, row, interval in firing]
        nothing = np.zeros(self._record.context_size, np.float32)
        items += [
            Item(self._window_of(context, tokens[context], nothing, position), None, kind)
            for context, (kind, position) in silent.items()
        ]
        hashes = context_hashes(np.array([item.window.context for item in items], int), _ORDER)
        return [items[place] for place in np.argsort(hashes, kind="stable")]

    def top_tokens(self, index: int) -> list[int]:
        """The tokens on which most of its activation is, over all that was analyzed."""
        details = self.feature(index).details
        return [] if details is None else details.fires_on["token"][:TOKENS].tolist()

    def strings(self, ids: Iterable[int]) -> list[str]:
        """Tokens as they stand in running text; one that the vocabulary lacks as a number."""
        names = self._vocabulary
        return [names[i] if 0 <= i < len(names) else f"<{i}>" for i in ids]

    # ── what is stored ───────────────────────────────────────────────────────────────────────

    def _stored(
        self, index: int, group: str, half: Half, most: int | None = None
    ) -> list[tuple[SampleRecord, int]]:
        """The rows of a group that belong to a half."""
        if group not in self._record.groups:
            return []
        sample = self._database.samples(self._record.analysis, [index], group).get(index)
        if sample is None:
            return []
        rows = [r for r, context in enumerate(sample.contexts.tolist()) if half_of(context) == half]
        return [(sample, row) for row in rows[:most]]

    def _tokens(self, contexts: Iterable[int]) -> dict[int, np.ndarray]:
        wanted = sorted(set(contexts))
        found = self._database.contexts(self._record.cache, wanted)
        if len(found) < len(wanted):
            raise DatabaseError(
                f"contexts of '{self._record.name}' are missing", "analyze the SAE again"
            )
        return found

    def _random(self, index: int) -> list[int]:
        """Contexts of the score half in which a feature is silent: those of its own sample, and of
        those on whose tokens the analysis counted co-firing, as far as their tokens are stored."""
        own = [int(sample.contexts[row]) for sample, row in self._stored(index, "silent", "score")]
        fires = self._sampled.contexts_of(index)
        return list(dict.fromkeys([*own, *(c for c in self._readable if c not in fires)]))

    @cached_property
    def _readable(self) -> list[int]:
        """The first of the sampled contexts of the score half whose tokens are in the database."""
        first = [c for c in self._sampled.in_order[:_RANDOM] if half_of(c) == "score"]
        there = self._database.contexts(self._record.cache, first)
        return [context for context in first if context in there]

    def _neighboring(self, index: int) -> list[tuple[int, int]]:
        """Contexts of the score half in which a neighbor fires, at the position, and it does not.

        A neighbor is a feature that fires on the same tokens, or has a similar direction. Only of
        the contexts on whose tokens the analysis counted co-firing is it known that a feature is
        silent there.
        """
        details = self.feature(index).details
        if details is None:
            return []
        tables = [details.neighbors[by] for by in ("jaccard", "decoder") if by in details.neighbors]
        neighbors = dict.fromkeys(n for table in tables for n in table["feature"].tolist())
        fires = self._sampled.contexts_of(index)
        found: dict[int, int] = {}
        for neighbor in [n for n in neighbors if n != index][:_NEIGHBORS]:
            for group in ("random", "top"):
                for sample, row in self._stored(neighbor, group, "score"):
                    context = int(sample.contexts[row])
                    if context in self._sampled.contexts and context not in fires:
                        found.setdefault(context, int(sample.positions[row]))
        return list(found.items())

    @cached_property
    def _sampled(self) -> SampledContexts:
        return SampledContexts(self._database, self._record)

    # ── windows ──────────────────────────────────────────────────────────────────────────────

    def _cut(
        self,
        sample: SampleRecord,
        row: int,
        tokens: dict[int, np.ndarray],
        centered: bool = False,
    ) -> Window:
        context = int(sample.contexts[row])
        values, position = sample.activations[row], int(sample.positions[row])
        return self._window_of(context, tokens[context], values, position, centered)

    def _window_of(
        self,
        context: int,
        tokens: np.ndarray,
        activations: np.ndarray,
        position: int,
        centered: bool = False,
    ) -> Window:
        length = min(self._window, len(tokens))
        before = length // 2
        if not centered:
            before = int(context_hashes(np.array([context]), _PLACES)[0]) % length
        start = min(max(position - before, 0), len(tokens) - length)
        own = tokens[start : start + length].tolist()
        values = np.asarray(activations[start : start + length], np.float32)
        return Window(context, self.strings(own), values, own)


class SampledContexts:
    """In which of the contexts that an analysis sampled whole each feature fires."""

    def __init__(self, database: Database, record: SAERecord) -> None:
        made, size = record.made_from, record.context_size
        count = max(1, int(made.get("sample_rows", 0)) // size)
        total = int(made.get("rows", 0)) // size
        ids = lowest_contexts(total, count, int(made.get("seed", 0)))
        self._ascending = np.sort(ids)  # as stored rows number them
        self._start, self._size = record.feature_range[0], size
        self._blocks = database.rows(record.analysis)
        self.in_order: list[int] = ids.tolist() if self._blocks else []
        """By the hash of the sample: any beginning of them is a uniform sample too."""
        self.contexts = frozenset(self.in_order)

    def contexts_of(self, feature: int) -> set[int]:
        """The numbers of those in which it fires."""
        place = feature - self._start
        for block in self._blocks:
            if block.first <= place < block.first + len(block.counts):
                ends = np.cumsum(block.counts)
                own = slice(
                    ends[place - block.first] - block.counts[place - block.first],
                    ends[place - block.first],
                )
                return set(self._ascending[np.unique(block.places[own] // self._size)].tolist())
        return set()


def fires_by_tokens(window: Window, tokens: Sequence[int]) -> bool:
    """What the rule says that needs no label: the window contains one of these tokens."""
    return not set(tokens).isdisjoint(window.token_ids)
