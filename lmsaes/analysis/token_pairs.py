"""Exact counts of (feature, token) pairs, in sorted runs on the disk.

entries ─► buffer ─► sorted and added up: a run ─► runs merged a range of features at a time

There are too many pairs for memory (they grow nearly as fast as the tokens), and sketches of them
would depend on the order of the batches. Runs add up in any order, those of other processes too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from lmsaes.analysis.context_choice import by_score, ranks_within, stable_order
from lmsaes.atomic import replacing

BUFFER = 1 << 22
"""Firings that are sorted and added up at once."""
_PAIRS_AT_ONCE = 1 << 22


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of features `first` to `stop` with tokens, ascending by feature, then by token."""

    first: int
    stop: int
    features: np.ndarray  # int32 [pairs]
    tokens: np.ndarray  # int32 [pairs]
    counts: np.ndarray  # int64 [pairs]: firings of the feature on the token
    sums: np.ndarray  # float64 [pairs]: of the activations

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
            self.sums[chosen],
        )

    def of(self, feature: int) -> slice:
        """Where a feature's pairs lie."""
        return slice(*np.searchsorted(self.features, [feature, feature + 1]).tolist())


class TokenPairs:
    """Counts of pairs, as runs in a folder whose files' names begin with `name`."""

    def __init__(self, folder: Path, name: str, features: int, buffer: int = BUFFER) -> None:
        self.features = features
        self.runs: list[Path] = []
        self.digests: dict[str, str] = {}  # sha256 of the runs' files, by name
        self._folder, self._name = folder, name
        self._buffer = buffer
        self._keys: list[np.ndarray] = []
        self._values: list[np.ndarray] = []
        self._waiting = 0

    def add(self, features: np.ndarray, tokens: np.ndarray, values: np.ndarray) -> None:
        """Counts firings: of which feature, on which token, how strongly; each [n]."""
        self._keys.append((features.astype(np.int64) << 32) | tokens.astype(np.int64))
        self._values.append(values)
        self._waiting += len(features)
        if self._waiting >= self._buffer:
            self.write()

    def write(self) -> None:
        """Puts what waits on the disk, as a run."""
        if not self._waiting:
            return
        keys, values = np.concatenate(self._keys), np.concatenate(self._values)
        self._keys, self._values, self._waiting = [], [], 0
        keys, counts, sums = _added_up(keys, np.ones(len(keys), np.int64), values)
        path = self._folder / f"{self._name}-{len(self.runs):05d}.safetensors"
        borders = np.searchsorted(keys, np.arange(self.features + 1, dtype=np.int64) << 32)
        with replacing(path) as temporary:
            save_file(
                {
                    "bounds": borders.astype(np.int64),
                    "tokens": (keys & 0xFFFFFFFF).astype(np.int32),
                    "counts": counts,
                    "sums": sums,
                },
                temporary,
            )
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
            yield self._range(first, stop)
            first = stop

    def _range(self, first: int, stop: int) -> Pairs:
        keys, counts, sums = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0)]
        for run in self.runs:
            with safe_open(run, "np") as file:
                bounds = file.get_slice("bounds")[first : stop + 1]
                start, end = int(bounds[0]), int(bounds[-1])
                if start == end:
                    continue
                own = np.repeat(np.arange(first, stop, dtype=np.int64), np.diff(bounds))
                keys.append((own << 32) | file.get_slice("tokens")[start:end].astype(np.int64))
                counts.append(file.get_slice("counts")[start:end])
                sums.append(file.get_slice("sums")[start:end])
        key, count, total = _added_up(*map(np.concatenate, (keys, counts, sums)))
        features, tokens = (key >> 32).astype(np.int32), (key & 0xFFFFFFFF).astype(np.int32)
        return Pairs(first, stop, features, tokens, count, total)


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
        order = np.lexsort((self.features, -self.scores, self.tokens))
        ranks = ranks_within(self.tokens[order], len(self._worst))
        kept = order[ranks < self.count]
        self.tokens, self.features = self.tokens[kept], self.features[kept]
        self.scores = self.scores[kept]
        last = np.flatnonzero(ranks[ranks < self.count] == self.count - 1)
        self._worst[self.tokens[last]] = self.scores[last]

    def of(self, token: int) -> tuple[np.ndarray, np.ndarray]:
        """(features, scores) of a token, largest score first."""
        at = slice(*np.searchsorted(self.tokens, [token, token + 1]))
        return self.features[at], self.scores[at]


def _added_up(
    keys: np.ndarray, counts: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(distinct keys, counts added up, float64 values added up), ascending by key."""
    if len(keys) == 0:
        return keys, counts, values.astype(np.float64)
    order = stable_order(keys)
    keys = keys[order]
    starts = np.flatnonzero(np.diff(keys, prepend=keys[0] - 1))
    return (
        keys[starts],
        np.add.reduceat(counts[order], starts),
        np.add.reduceat(values[order].astype(np.float64), starts),
    )
