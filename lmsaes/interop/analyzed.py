"""What the database knows of an SAE's features, a batch at a time, for exports."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lmsaes.database import Database, FeatureRecord, GroupFacts, SAERecord, SampleRecord
from lmsaes.errors import ConfigError, DatabaseError, nearest

_CONTEXTS_KEPT = 50_000  # of 128 tokens: 25 MB
_GROUPS = ("top", *(f"interval-{number}" for number in reversed(range(5))))


@dataclass(frozen=True)
class ContextGroup:
    """Contexts of a feature: the strongest, or a sample of an interval of their maxima."""

    sample: SampleRecord
    tokens: list[np.ndarray]  # int32 [context_size] by context, in the order of `sample`
    facts: GroupFacts | None
    """How many contexts there are of which these are some, and between which maxima, (lower,
    upper]; None where the analysis says nothing of it."""

    @property
    def is_top(self) -> bool:
        return self.sample.group == "top"


@dataclass(frozen=True)
class AnalyzedFeature:
    """A feature and its contexts: the strongest first, then intervals from the highest on."""

    record: FeatureRecord
    groups: list[ContextGroup]  # without those that hold nothing


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
    database: Database, record: SAERecord, batch: int = 128, only: Sequence[int] | None = None
) -> Iterator[AnalyzedFeature]:
    """The SAE's analyzed features in order, or `only` some; `batch` are in memory at once.

    Raises DatabaseError when one that the record counts is not there.
    """
    chosen = range(*record.feature_range) if only is None else only
    names = [name for name in _GROUPS if name in record.groups]
    contexts: dict[int, np.ndarray] = {}  # features share them
    for first in range(0, len(chosen), batch):
        indices = chosen[first : first + batch]
        features = _read(database, record, indices)
        samples = {name: database.samples(record.analysis, indices, name) for name in names}
        shown = {int(c) for own in samples.values() for s in own.values() for c in s.contexts}
        if len(contexts) > _CONTEXTS_KEPT:
            contexts = {c: tokens for c, tokens in contexts.items() if c in shown}
        contexts |= database.contexts(record.cache, sorted(shown - contexts.keys()))
        for index, feature in zip(indices, features, strict=True):
            known = {} if feature.details is None else feature.details.groups
            groups = [
                ContextGroup(sample, [contexts[int(c)] for c in sample.contexts], known.get(name))
                for name in names
                if (sample := samples[name].get(index)) is not None and len(sample.contexts)
            ]
            yield AnalyzedFeature(feature, groups)


def feature_records(
    database: Database, record: SAERecord, batch: int = 1024
) -> Iterator[FeatureRecord]:
    """The SAE's analyzed features in order, without their contexts, which take longer to read.

    Raises DatabaseError as `features_of`.
    """
    start, stop = record.feature_range
    for first in range(start, stop, batch):
        yield from _read(database, record, range(first, min(first + batch, stop)))


def _read(database: Database, record: SAERecord, indices: Sequence[int]) -> list[FeatureRecord]:
    found = database.features(record.analysis, indices)
    if missing := [index for index in indices if index not in found]:
        raise DatabaseError(
            f"feature {missing[0]} of '{record.name}' is not in the database",
            "analyze the SAE again",
        )
    return [found[index] for index in indices]


def strings(vocabulary: list[str], ids: np.ndarray) -> list[str]:
    """The display strings of token ids."""
    return [vocabulary[int(token)] for token in ids]
