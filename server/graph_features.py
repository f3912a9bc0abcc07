"""What a graph's nodes show of their features beside the label: how large, how often, on what."""

from dataclasses import dataclass

import numpy as np

from lmsaes.database import NONE, SAERecord

from .store import Features, Store


@dataclass(frozen=True, slots=True)
class FeatureFacts:
    """Of one feature; None where it wasn't analyzed."""

    maximum: float | None = None
    density: float | None = None
    tokens: tuple[str, ...] = ()  # that most firings are on


UNKNOWN = FeatureFacts()


@dataclass(frozen=True, slots=True)
class LayerFeatures:
    """The features of one layer's transcoder."""

    store: Store
    features: Features
    label_token: np.ndarray | None  # int32 [features, n]; None of analyses of former versions

    def of(self, index: int) -> FeatureFacts:
        """One feature; UNKNOWN for one that wasn't analyzed."""
        record, columns = self.features.record, self.features.columns
        if not self.features.start <= index < self.features.stop:
            return UNKNOWN
        row = index - self.features.start
        ids = [] if self.label_token is None else self.label_token[row].tolist()
        return FeatureFacts(
            maximum=float(columns["maximum"][row]),
            density=float(columns["density"][row]),
            tokens=tuple(self.store.tokens(record, [token for token in ids if token != NONE])),
        )


def layer_features(store: Store, record: SAERecord) -> LayerFeatures:
    """Of an analyzed transcoder."""
    found = store.database.columns(record.analysis, ["label_token"])
    return LayerFeatures(store, store.features(record), found.get("label_token"))
