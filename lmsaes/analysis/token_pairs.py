"""Exact counts of (feature, token) pairs, in sorted runs on the disk.

entries ─► buffer ─► sorted and added up: a run ─► runs merged a range of features at a time

There are too many pairs for memory (they grow nearly as fast as the tokens), and sketches of them
would depend on the order of the batches. Runs add up in any order, those of other processes too.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from lmsaes.analysis.context_choice import bounds_of, by_score, ranks_within, stable_order
from lmsaes.atomic import replacing

BUFFER = 1 << 22
"""Firings that are sorted and added up at once."""
_PAIRS_AT_ONCE = 1 << 22
_CELLS = 1 << 18  # of a table of counts that stays in a core's cache
_CELLS_PER_FIRING = 4  # a table that is emptier than this is not worth it
_LARGEST_KEY = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of features `first` to `stop` with tokens, ascending by feature, then by token."""

    first: int
    stop: int
    features: np.ndarray  # int32 [pairs]
    tokens: np.ndarray  # int32 [pairs]
    counts: np.ndarray  # int64 [pairs]: firings of the feature on the token
    sums: np.ndarray | None = None  # float64 [pairs]: of the activations; None: not asked for

    def best(self, scores: np.ndarray, count: int) -> Pairs:
        """The `count` pairs of largest score of each feature, largest first, then by token."""
        order = by_score(self.features, scores)
        chosen = order[
            ranks_within(self.features[order] - self.first, self.stop - self.first) < count
        ]
        return Pairs(
            self.first,
            self.stop,
            self.features[chosen],
            self.tokens[chosen],
            self.counts[chosen],
            None if self.sums is None else self.sums[chosen],
        )

    @property
    def summed(self) -> np.ndarray:
        """`sums` of pairs whose activations were given."""
        return np.empty(0) if self.sums is None else self.sums

    def of(self, feature: int) -> slice:
        """Where a feature's pairs lie."""
        return slice(*np.searchsorted(self.features, [feature, feature + 1]).tolist())


@dataclass(frozen=True, slots=True)
class _Part:
    """Firings, or pairs that were counted already, by feature."""

    features: np.ndarray  # int32 [n], ascending
    tokens: np.ndarray  # int32 [n]
    counts: np.ndarray | None  # [n]; None: 1 each
    values: np.ndarray | None  # float [n]; None: no sums are asked for

    def cut(self, edges: np.ndarray) -> Iterator[_Part]:
        """Those between neighboring features of `edges`."""
        for start, stop in itertools.pairwise(np.searchsorted(self.features, edges)):
            yield _Part(
                self.features[start:stop],
                self.tokens[start:stop],
                None if self.counts is None else self.counts[start:stop],
                None if self.values is None else self.values[start:stop],
            )


class TokenPairs:
    """Counts of pairs, as runs in a folder whose files' names begin with `name`."""

    def __init__(self, folder: Path, name: str, features: int, buffer: int = BUFFER) -> None:
        self.features = features
        self.runs: list[Path] = []
        self.digests: dict[str, str] = {}  # sha256 of the runs' files, by name
        self._folder, self._name = folder, name
        self._buffer = buffer
        self._parts: list[_Part] = []
        self._waiting = 0

    def add(
        self, features: np.ndarray, tokens: np.ndarray, values: np.ndarray | None = None
    ) -> None:
        """Counts firings: of which feature, ascending, on which token, and how strongly; each [n].

        Without values, in all calls, there are no sums of them.
        """
        self._parts.append(_Part(features, tokens.astype(np.int32), None, values))
        self._waiting += len(features)
        if self._waiting >= self._buffer:
            self.write()

    def write(self) -> None:
        """Puts what waits on the disk, as a run."""
        if not self._waiting:
            return
        parts, self._parts, self._waiting = self._parts, [], 0
        pairs = _added_up(parts, 0, self.features)
        path = self._folder / f"{self._name}-{len(self.runs):05d}.safetensors"
        arrays = {
            "bounds": np.searchsorted(pairs.features, np.arange(self.features + 1)),
            "tokens": pairs.tokens,
            "counts": pairs.counts.astype(np.int32),  # a run is of fewer firings than 2³¹
        }
        if pairs.sums is not None:
            arrays["sums"] = pairs.sums
        with replacing(path) as temporary:
            save_file(arrays, temporary)
            self.digests[path.name] = file_digest(temporary)
        self.runs.append(path)

    def merged(self, at_once: int = _PAIRS_AT_ONCE) -> Iterator[Pairs]:
        """All pairs, by ranges of features of about `at_once` pairs, or of one feature."""
        self.write()
        sizes = np.zeros(self.features, np.int64)
        for run in self.runs:
            with safe_open(run, "np") as file:
                sizes += np.diff(file.get_tensor("bounds"))
        before = np.concatenate([[0], np.cumsum(sizes)])
        first = 0
        while first < self.features:
            stop = int(np.searchsorted(before, before[first] + at_once, side="right")) - 1
            stop = min(max(stop, first + 1), self.features)
            yield _added_up([_read(run, first, stop) for run in self.runs], first, stop)
            first = stop


def _read(run: Path, first: int, stop: int) -> _Part:
    with safe_open(run, "np") as file:
        bounds = file.get_slice("bounds")[first : stop + 1]
        start, end = int(bounds[0]), int(bounds[-1])
        names = [name for name in ("tokens", "counts", "sums") if name in file.keys()]  # noqa: SIM118
        columns = {
            name: file.get_slice(name)[start:end] if start < end else file.get_tensor(name)[:0]
            for name in names
        }
    features = np.repeat(np.arange(first, stop, dtype=np.int32), np.diff(bounds))
    return _Part(features, columns["tokens"], columns["counts"], columns.get("sums"))


def file_digest(path: Path) -> str:
    """sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class BestOfTokens:
    """For each token the `count` features of largest score, of equal ones the lower number."""

    def __init__(self, vocabulary: int, count: int) -> None:
        self.count = count
        self.tokens, self.features = np.empty(0, np.int32), np.empty(0, np.int32)
        self.scores = np.empty(0)
        self._worst = np.full(vocabulary, -np.inf)
        self._bounds = np.zeros(vocabulary + 1, np.int64)

    @property
    def worst(self) -> np.ndarray:
        """The score that a feature must exceed, or equal, per token; float64 [vocabulary]."""
        return self._worst

    def add(self, tokens: np.ndarray, features: np.ndarray, scores: np.ndarray) -> None:
        """Lets pairs in that were not given before, each array [n]."""
        good = scores >= self._worst[tokens]
        self.tokens = np.concatenate([self.tokens, tokens[good].astype(np.int32)])
        self.features = np.concatenate([self.features, features[good].astype(np.int32)])
        self.scores = np.concatenate([self.scores, scores[good].astype(np.float64)])
        order = stable_order(self.features)
        order = order[by_score(self.tokens[order], self.scores[order])]
        ranks = ranks_within(self.tokens[order], len(self._worst))
        kept = order[ranks < self.count]
        self.tokens, self.features = self.tokens[kept], self.features[kept]
        self.scores = self.scores[kept]
        self._bounds = bounds_of(self.tokens, len(self._worst))
        last = np.flatnonzero(ranks[ranks < self.count] == self.count - 1)
        self._worst[self.tokens[last]] = self.scores[last]

    def of(self, token: int) -> tuple[np.ndarray, np.ndarray]:
        """(features, scores) of a token, largest score first."""
        at = slice(*self._bounds[token : token + 2])
        return self.features[at], self.scores[at]


def _added_up(parts: list[_Part], first: int, stop: int) -> Pairs:
    """The distinct pairs of features `first` to `stop`, their counts and sums.

    In blocks of features: in a table where it is not too empty, else by sorting.
    """
    width = 1 + max((int(part.tokens.max()) for part in parts if len(part.tokens)), default=0)
    firings = sum(len(part.tokens) for part in parts)
    crowded = (stop - first) * width <= firings * _CELLS_PER_FIRING
    step = max(1, (_CELLS if crowded else _LARGEST_KEY) // width)
    edges = np.append(np.arange(first, stop, step), stop).astype(np.int32)
    ends = itertools.pairwise(edges.tolist())
    cuts = [list(part.cut(edges)) for part in parts]
    blocks = [
        _added_up_block([cut[number] for cut in cuts], start, end, width, crowded)
        for number, (start, end) in enumerate(ends)
    ]
    sums = [block.sums for block in blocks if block.sums is not None]
    return Pairs(
        first,
        stop,
        np.concatenate([block.features for block in blocks]),
        np.concatenate([block.tokens for block in blocks]),
        np.concatenate([block.counts for block in blocks]),
        np.concatenate(sums) if sums else None,
    )


def _added_up_block(parts: list[_Part], first: int, stop: int, width: int, crowded: bool) -> Pairs:
    empty = np.empty(0, np.int32)
    keys = np.concatenate(
        [
            empty,
            *((part.features - np.int32(first)) * np.int32(width) + part.tokens for part in parts),
        ]
    )
    counts = _concatenated([part.counts for part in parts])
    values = _concatenated([part.values for part in parts])
    if crowded:
        size = (stop - first) * width
        table = np.bincount(keys, counts, size)
        cells = np.flatnonzero(table)
        found = table[cells].astype(np.int64)
        sums = None if values is None else np.bincount(keys, values, size)[cells]
    else:
        order = stable_order(keys)
        keys = keys[order]
        starts = np.flatnonzero(np.diff(keys, prepend=-1))
        cells = keys[starts]
        if counts is None:
            found = np.diff(starts, append=len(keys))
        else:
            found = _sums_from(counts[order].astype(np.int64), starts)
        sums = None
        if values is not None:
            sums = _sums_from(values[order].astype(np.float64), starts)
    features, tokens = np.divmod(cells, width)
    return Pairs(
        first, stop, (features + first).astype(np.int32), tokens.astype(np.int32), found, sums
    )


def _concatenated(columns: list[np.ndarray | None]) -> np.ndarray | None:
    there = [column for column in columns if column is not None]
    return np.concatenate(there) if there else None


def _sums_from(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    return np.add.reduceat(values, starts) if len(starts) else values
