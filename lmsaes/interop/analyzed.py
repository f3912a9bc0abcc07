"""What the database knows of an SAE's features, a batch at a time, for exports."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lmsaes.database import Database, FeatureRecord, SAERecord, SampleRecord
from lmsaes.errors import ConfigError, DatabaseError, nearest


@dataclass(frozen=True)
class AnalyzedFeature:
    """A feature, its top contexts, and the tokens of each of them."""

    record: FeatureRecord
    top: SampleRecord | None  # None for a feature that never fired
    tokens: list[np.ndarray]  # int32 [context_size] by context, in the order of `top`


def find_records(database: Database, name: str) -> list[SAERecord]:
    """The SAE of this name in the database, or all SAEs of a run of this name.

    Raises ConfigError, with the nearest names, where there is neither.
    """
    records = database.saes()
    found = [record for record in records if record.name == name]
    found = found or [record for record in records if record.run == name]
    if not found:
        names = nearest(name, [record.name for record in records])
        hint = f"nearest: {', '.join(names)}" if names else "analyze it first: lmsaes analyze"
        raise ConfigError(f"the database has no SAE '{name}'", hint)
    return found


def features_of(
    database: Database, record: SAERecord, batch: int = 128
) -> Iterator[AnalyzedFeature]:
    """The SAE's analyzed features in order; `batch` of them are in memory at once.

    Raises DatabaseError when one that the record counts is not there.
    """
    start, stop = record.feature_range
    for first in range(start, stop, batch):
        indices = range(first, min(first + batch, stop))
        features = database.features(record.analysis, indices)
        samples = database.samples(record.analysis, indices)
        shown = {int(c) for sample in samples.values() for c in sample.contexts}
        contexts = database.contexts(record.cache, sorted(shown))
        for index in indices:
            feature, sample = features.get(index), samples.get(index)
            if feature is None:
                raise DatabaseError(
                    f"feature {index} of '{record.name}' is not in the database",
                    "analyze the SAE again",
                )
            top = sample if sample is not None and len(sample.contexts) else None
            tokens = [contexts[int(c)] for c in top.contexts] if top is not None else []
            yield AnalyzedFeature(feature, top, tokens)


def strings(vocabulary: list[str], ids: np.ndarray) -> list[str]:
    """The display strings of token ids."""
    return [vocabulary[int(token)] for token in ids]
