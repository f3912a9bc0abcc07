"""The server's memory: each SAE's columns, contexts that pages showed, and vocabularies."""

import json
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from time import monotonic

import numpy as np

from lmsaes.database import (
    ContextRecord,
    Database,
    FeatureRecord,
    GraphRecord,
    SAERecord,
    ShownGraph,
    UnreadableError,
)
from lmsaes.errors import nearest

from .binary import Packed
from .schemas import DensityClass, Filter, Order, Sort

DENSE_FROM = 0.1
DENSITY_CLASSES: tuple[DensityClass, ...] = ("regular", "dense", "dead")
_BINS_PER_DECADE = 5
_CONTEXTS_KEPT = 50_000  # of 128 tokens: 25 MB
_FEATURES_KEPT = 200
_FILES_KEPT = 16
_SECONDS_RECENT = 1.0
_GRAPHS_KEPT = 32


class NotFoundError(Exception):
    """An SAE, feature or group that is not in the database; the message says what is."""


class ReplacedError(Exception):
    """An analysis that was replaced between two queries of one request."""


class ConflictError(Exception):
    """Something that somebody else has changed since it was read."""


class GoneError(Exception):
    """An analysis or a graph that was asked for by its id and has another's place no longer."""

    def __init__(self, what: str, address: str) -> None:
        super().__init__(f"{what} is no longer there: ask {address} for today's")

    @staticmethod
    def of_analysis(sae: str, analysis: str) -> "GoneError":
        return GoneError(f"analysis {analysis} of '{sae}'", f"/api/saes/{sae}")


@dataclass(frozen=True)
class Features:
    """Columns over the features of one analysis, and the queries that need all of them."""

    record: SAERecord
    columns: dict[str, np.ndarray]  # each [features analyzed]

    @cached_property
    def density_classes(self) -> np.ndarray:
        """Positions in (regular, dense, dead), uint8 [features analyzed]."""
        dense = self.columns["density"] > DENSE_FROM
        dead = self.columns["firings"] == 0
        return np.where(dead, 2, np.where(dense, 1, 0)).astype(np.uint8)

    @property
    def start(self) -> int:
        return self.record.feature_range[0]

    @property
    def stop(self) -> int:
        return self.record.feature_range[1]

    def density_class(self, index: int) -> DensityClass:
        return DENSITY_CLASSES[self.density_classes[index - self.start]]

    def count(self, density_class: DensityClass) -> int:
        return int(np.count_nonzero(self.density_classes == DENSITY_CLASSES.index(density_class)))

    def check(self, index: int) -> None:
        """Raises NotFoundError when the analysis has no such feature."""
        if not self.start <= index < self.stop:
            raise NotFoundError(
                f"'{self.record.name}' has no feature {index}: "
                f"features {self.start} to {self.stop - 1} were analyzed"
            )

    def select(self, chosen: Filter, sort: Sort, order: Order) -> np.ndarray:
        """Indices of the features that pass, in order; equal values by index."""
        rows = np.arange(len(self.density_classes))
        if chosen != "all":
            rows = np.flatnonzero(self.density_classes == DENSITY_CLASSES.index(chosen))
        if sort != "index":
            values = self.columns[sort][rows]
            keys = -values if order == "descending" else values
            rows = rows[np.argsort(keys, kind="stable")]
        elif order == "descending":
            rows = rows[::-1]
        return rows + self.start

    def random(self, generator: np.random.Generator) -> int:
        """A regular feature; where there is none, one that is alive; else any."""
        for allowed in (self.density_classes == 0, self.density_classes != 2):
            if allowed.any():
                return int(generator.choice(np.flatnonzero(allowed))) + self.start
        return int(generator.integers(self.start, self.stop))

    @cached_property
    def density_histogram(self) -> tuple[list[float], list[int]]:
        """Edges of log10 density and the number of features between them."""
        lowest = np.log10(1 / max(self.record.tokens_analyzed, 10))
        first = int(np.floor(lowest * _BINS_PER_DECADE))
        edges = np.arange(first, 1) / _BINS_PER_DECADE
        alive = self.columns["density"][self.density_classes != 2].astype(np.float64)
        counts, _ = np.histogram(np.log10(alive), bins=edges)
        return edges.round(2).tolist(), counts.tolist()


class Vocabulary:
    """Display strings by token id."""

    def __init__(self, tokens: list[str]) -> None:
        self.strings = tokens

    def of(self, ids: Iterable[int]) -> list[str]:
        """Display strings; an id that the vocabulary lacks is shown as a number."""
        strings = self.strings
        return [strings[token] if 0 <= token < len(strings) else f"<{token}>" for token in ids]

    def packed(self) -> Packed:
        """As the JSON file that a browser keeps."""
        return Packed(json.dumps(self.strings, ensure_ascii=False).encode(errors="replace"))


class Store:
    """The database, and what of it is worth keeping."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._records: dict[str, tuple[SAERecord, float]] = {}  # and when they were read
        self._documents: dict[tuple[str, int], FeatureRecord] = {}  # oldest first
        self._documents_lock = Lock()
        self._features: dict[str, Features] = {}
        self._vocabularies: dict[str, Vocabulary] = {}
        self._contexts: dict[tuple[str, int], ContextRecord] = {}  # oldest first
        self._contexts_lock = Lock()
        self._files: OrderedDict[Hashable, Packed] = OrderedDict()
        self._files_lock = Lock()
        self._making: dict[Hashable, Lock] = {}
        self._graphs: OrderedDict[str, ShownGraph] = OrderedDict()  # by id
        self._graphs_lock = Lock()

    def kept(self, key: Hashable, make: Callable[[], Packed]) -> Packed:
        """A file that never changes: the one in memory, or made, once for all who wait for it."""
        with self._files_lock:
            making = self._making.setdefault(key, Lock())
        with making:
            with self._files_lock:
                found = self._files.get(key)
                if found is not None:
                    self._files.move_to_end(key)
                    return found
            found = make()
            with self._files_lock:
                self._files[key] = found
                while len(self._files) > _FILES_KEPT:
                    former, _ = self._files.popitem(last=False)
                    self._making.pop(former, None)
            return found

    def sae(self, name: str) -> SAERecord:
        """The SAE as it is now. Raises NotFoundError that names those that exist, or says why
        its record can't be read."""
        try:
            record = self.database.sae(name)
        except UnreadableError as error:
            raise NotFoundError(f"{error} ({error.hint})") from None
        if record is None:
            names = [record.name for record in self.database.saes()]
            if not names:
                raise NotFoundError(f"no SAE '{name}': the database is empty")
            likest = nearest(name, names, 5)
            more = f" and {len(names) - len(likest)} more" if len(names) > len(likest) else ""
            raise NotFoundError(f"no SAE '{name}': there are {', '.join(likest)}{more}")
        self._records[name] = record, monotonic()
        return record

    def recent(self, name: str, analysis: str | None) -> SAERecord | None:
        """The record of an analysis that was read a moment ago; None where it must be read."""
        record, read = self._records.get(name, (None, 0.0))
        fresh = monotonic() - read < _SECONDS_RECENT
        return record if record and fresh and record.analysis == analysis else None

    def is_gone(self, name: str, analysis: str) -> bool:
        """Whether the SAE has another analysis by now, or none."""
        found = self.database.sae(name)
        return found is None or found.analysis != analysis

    def feature(self, record: SAERecord, index: int, *, remembered: bool = False) -> FeatureRecord:
        """A feature's document. Raises ReplacedError where it is gone.

        remembered: as it was read before will do, for who reads more of the analysis.
        """
        key = record.analysis, index
        found = self._documents.get(key) if remembered else None
        if found is None:
            found = self.database.features(record.analysis, [index]).get(index)
            if found is None:
                raise ReplacedError
            with self._documents_lock:
                self._documents[key] = found
                if len(self._documents) > _FEATURES_KEPT:
                    del self._documents[next(iter(self._documents))]
        return found

    def features(self, record: SAERecord) -> Features:
        """The columns of the SAE's analysis, read again when another was published."""
        kept = self._features.get(record.name)
        if kept is None or kept.record.analysis != record.analysis:
            columns = self.database.columns(record.analysis)
            if not {"firings", "density", "maximum", "mean"} <= columns.keys():
                raise ReplacedError
            kept = self._features[record.name] = Features(record, columns)
        return kept

    def contexts(self, record: SAERecord, ids: Sequence[int]) -> dict[int, ContextRecord]:
        """Contexts by id. Features share them and they never change, so they are kept."""
        cache = record.cache
        with self._contexts_lock:
            found = {i: self._contexts[cache, i] for i in ids if (cache, i) in self._contexts}
        missing = [i for i in ids if i not in found]
        if missing:
            read = self.database.context_records(cache, missing)
            if len(read) != len(set(missing)):
                raise ReplacedError
            with self._contexts_lock:
                self._contexts.update({(cache, i): each for i, each in read.items()})
                while len(self._contexts) > _CONTEXTS_KEPT:
                    del self._contexts[next(iter(self._contexts))]
            found |= read
        return found

    def vocabulary(self, key: str) -> Vocabulary:
        """A vocabulary by its hash."""
        if key not in self._vocabularies:
            self._vocabularies[key] = Vocabulary(self.database.vocabulary(key))
        return self._vocabularies[key]

    def has_vocabulary(self, key: str) -> bool:
        """Whether some SAE has it."""
        known = key in self._vocabularies
        return known or any(record.vocabulary == key for record in self.database.saes())

    def tokens(self, record: SAERecord, ids: Iterable[int]) -> list[str]:
        """Display strings of token ids in an SAE's vocabulary."""
        return self.vocabulary(record.vocabulary).of(ids)

    def graph(self, name: str) -> GraphRecord:
        """The graph that is called so now. Raises NotFoundError."""
        try:
            record = self.database.graphs.get(name)
        except UnreadableError as error:
            raise NotFoundError(f"{error} ({error.hint})") from None
        if record is None:
            error = self.database.graphs.unknown(name)
            raise NotFoundError(f"no graph '{name}': {error.hint}")
        return record

    def shown_graph(self, record: GraphRecord) -> ShownGraph:
        """What a graph holds, which never changes. Raises ReplacedError where it went away."""
        with self._graphs_lock:
            kept = self._graphs.get(record.graph)
            if kept is not None:
                self._graphs.move_to_end(record.graph)
                return kept
        found = self.database.graphs.contents(record)
        if found is None:
            raise ReplacedError
        with self._graphs_lock:
            self._graphs[record.graph] = found
            while len(self._graphs) > _GRAPHS_KEPT:
                self._graphs.popitem(last=False)
        return found
