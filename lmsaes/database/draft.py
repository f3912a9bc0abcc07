"""An analysis while it is written: nobody sees it before one write publishes it whole.

take the lease ─► features, samples, columns ─► count them ─► replace the SAE's record ─► let go
                           └─ fails or dies: what was written is dropped, at once or as garbage
"""

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self

import numpy as np
from pymongo.write_concern import WriteConcern

from lmsaes.database import saes
from lmsaes.database.connection import Connection
from lmsaes.database.curves import TrainingCurves, curves_document
from lmsaes.database.details import RowsRecord, TokenRecord, rows_document, token_document
from lmsaes.database.feature_columns import FeatureColumns, twin_documents
from lmsaes.database.garbage import KINDS, collect_garbage
from lmsaes.database.leases import Leases
from lmsaes.database.records import (
    FeatureRecord,
    SAERecord,
    SampleRecord,
    check_hash,
    feature_document,
    new_analysis_id,
    pack,
)
from lmsaes.database.sample_documents import sample_documents
from lmsaes.database.squeezed import SQUEEZED, squeezed
from lmsaes.errors import DatabaseError

NEEDED_COLUMNS = frozenset({"firings", "density", "maximum", "mean"})


class Draft:
    """An analysis that is being written under a name, which nobody else may write meanwhile.

    Use it as a context manager: without `publish`, leaving it drops what was written.
    """

    def __init__(
        self,
        connection: Connection,
        leases: Leases,
        name: str,
        cache: str,
        made_from: Mapping[str, Any],
    ) -> None:
        self.name, self.cache = name, check_hash(cache)
        self.made_from = dict(made_from)
        self.analysis = new_analysis_id(made_from)
        self._connection, self._leases = connection, leases
        self._written: dict[str, int] = dict.fromkeys(KINDS, 0)
        self._columns: dict[str, int] = {}
        self._gathered = FeatureColumns()
        self._contexts: list[np.ndarray] = []
        self._lease = leases.take(name, analysis=self.analysis, cache=cache)
        self._published = False

    def put_features(self, records: Iterable[FeatureRecord]) -> None:
        """The features, as many as the iterable yields; it is read as a stream.

        Raises DatabaseError for numbers that are not finite.
        """
        self._put("features", (feature_document(self._gather(record)) for record in records))

    def put_samples(self, records: Iterable[SampleRecord]) -> None:
        """Groups of contexts of the features; the iterable is read as a stream.

        Raises DatabaseError for activations that are not finite.
        """
        self._put("samples", sample_documents(map(self._noted, records)))

    def put_columns(self, columns: Mapping[str, np.ndarray]) -> None:
        """One value per analyzed feature and column, in the features' order: each array [features].

        Readers need `firings`, `density`, `maximum` and `mean`. What the features' documents hold
        becomes columns by itself (feature_columns.py).
        """
        self._columns |= {key: len(array) for key, array in columns.items()}
        self._put("columns", ({"_id": key, "values": pack(v)} for key, v in columns.items()))

    def put_tokens(self, records: Iterable[TokenRecord]) -> None:
        """The features of each token; the iterable is read as a stream."""
        self._put("tokens", map(token_document, records))

    def put_rows(self, records: Iterable[RowsRecord]) -> None:
        """The features' firings on the sampled rows; the iterable is read as a stream."""
        self._put("rows", map(rows_document, records))

    def put_metrics(self, curves: TrainingCurves) -> None:
        """How the SAE's training went. Raises DatabaseError for values that are not finite."""
        self._put("metrics", [curves_document(curves)])

    def publish(self, record: SAERecord) -> None:
        """Makes this analysis the visible one of its SAE by one write, then drops the former one.

        Raises DatabaseError where less is in the database than was put there, or than the record
        promises, and where another process has taken over the name.
        """
        self.put_columns(self._gathered.columns())
        self._put("columns", twin_documents(self._gathered.twins()))
        self._check(record)
        self._leases.check(self._lease)
        with self._connection.database() as mongo:
            # Journaled: with this write all before it is on the disk, so that what a reader has
            # seen survives the server's death.
            mongo[saes.SAES].with_options(write_concern=WriteConcern(j=True)).replace_one(
                {"_id": self.name}, saes.record_document(record), upsert=True
            )
            self._published = True
            mongo[saes.SCHEMA_1].delete_one({"_id": self.name})
        collect_garbage(self._connection, self._leases)  # the former analysis among it

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if not self._published:
                with self._connection.database() as mongo:
                    for each in KINDS:
                        mongo.drop_collection(f"{each}_{self.analysis}")
            self._leases.release(self._lease)
        except DatabaseError:
            if error is None:  # else the database failed before, and that is told
                raise

    def _put(self, kind: str, documents: Iterable[dict[str, Any]]) -> None:
        self._leases.check(self._lease)
        if kind in SQUEEZED:
            documents = map(squeezed, documents)
        try:
            count = self._connection.insert(f"{kind}_{self.analysis}", documents)
        except DatabaseError as error:
            raise DatabaseError(f"'{self.name}': {error}", error.hint) from error
        self._written[kind] += count

    def _gather(self, record: FeatureRecord) -> FeatureRecord:
        self._gathered.add(record)
        return record

    def _noted(self, record: SampleRecord) -> SampleRecord:
        self._contexts.append(record.contexts)
        if len(self._contexts) > 10_000:
            self._contexts = [self._distinct_contexts()]
        return record

    def _distinct_contexts(self) -> np.ndarray:
        return np.unique(np.concatenate([*self._contexts, np.array([], dtype=np.int64)]))

    def _check(self, record: SAERecord) -> None:
        """That everything is there which readers of the record will ask for."""
        if (record.name, record.analysis) != (self.name, self.analysis):
            raise DatabaseError(f"the record of '{record.name}' is not of this analysis")
        start, stop = record.feature_range
        lacking = NEEDED_COLUMNS - self._columns.keys()
        wrong = [key for key, length in self._columns.items() if length != stop - start]
        if lacking or wrong:
            raise self._incomplete(f"column {min(lacking or wrong)} is not whole")
        expected = {**self._written, "features": stop - start}
        for each, count in expected.items():
            found = self._connection.count(f"{each}_{self.analysis}")
            if found != count:
                raise self._incomplete(f"{found} of {count} {each} are there")
        contexts = len(self._distinct_contexts())
        found = self._connection.count(f"contexts_{self.cache}") if contexts else 0
        if found < contexts:
            raise self._incomplete(f"{found} of {contexts} contexts are there")
        first = f"{record.vocabulary}/0"
        parts = self._connection.fetch("vocabularies", [first]).get(first, {}).get("parts", 1)
        keys = [f"{record.vocabulary}/{part}" for part in range(parts)]
        if len(self._connection.fetch("vocabularies", keys)) != parts:
            raise self._incomplete(f"vocabulary {record.vocabulary} is not there")

    def _incomplete(self, what: str) -> DatabaseError:
        return DatabaseError(
            f"'{self.name}' is not published: {what}", "run the same command again"
        )
