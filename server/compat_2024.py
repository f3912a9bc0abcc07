"""Addresses and field names of the server of Language-Model-SAEs as of December 2024, under
`/compat`: its `server/app.py` and `ui/src/types`.

It answered with msgpack, and with bytes for tokens; here it is JSON, with strings. Histograms are
Plotly's traces, as they were there.
"""

import re
from collections.abc import Sequence
from itertools import accumulate
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query

from lmsaes.database import Explanation, SAERecord
from lmsaes.errors import ConfigError
from lmsaes.explain import explain_by_hand
from lmsaes.interop.analyzed import AnalyzedFeature, features_of

from .compat import of_one_feature
from .compat_schemas import Answer, Generate
from .dependencies import CurrentSAE, CurrentStore
from .live import Live
from .model_routes import CurrentLive
from .store import NotFoundError, Store

router = APIRouter(prefix="/compat", tags=["compat"])

InputText = Annotated[str, Query(min_length=1, max_length=50_000)]
_BINS = 100  # of the histogram of how often features fire
_random = np.random.default_rng()


@router.get("/dictionaries")
def dictionaries(store: CurrentStore) -> list[str]:
    """The names of the SAEs."""
    return [record.name for record in store.database.saes()]


@router.get("/dictionaries/{name}")
def dictionary(record: CurrentSAE, store: CurrentStore) -> Answer:
    """An SAE, and how many of its features fire how often."""
    firings = store.features(record).columns["firings"]
    counts, edges = np.histogram(np.log10(firings[firings > 0]), bins=_BINS)
    return {
        "dictionary_name": record.name,
        "feature_activation_times_histogram": [_bars(edges, counts)],
        "alive_feature_count": int((firings > 0).sum()),
    }


@router.get("/dictionaries/{name}/features/{index}")
def dictionary_feature(index: str, record: CurrentSAE, store: CurrentStore) -> Answer:
    """A feature by its number, or `random`."""
    if index == "random":
        number = store.features(record).random(_random)
    elif re.fullmatch("[0-9]{1,9}", index):
        number = int(index)
    else:
        raise NotFoundError(f"'{index}' is no feature's number")
    store.features(record).check(number)
    (found,) = features_of(store.database, record, only=range(number, number + 1))
    said = store.database.explanations.current(record.sae_hash, [number]).get(number)
    own, counts = found.record, found.record.histogram
    edges = np.linspace(0, own.histogram_max, len(counts) + 1)
    return {
        "feature_index": number,
        "dictionary_name": record.name,
        "act_times": own.firings,
        "max_feature_act": own.maximum,
        "feature_activation_histogram": [_bars(edges, counts)] if len(counts) else None,
        "logits": _logits(store, record, found),
        "sample_groups": [
            {
                "analysis_name": group.sample.group,
                "samples": [
                    _sample(store.tokens(record, tokens.tolist()), values.tolist())
                    for tokens, values in zip(group.tokens, group.sample.activations, strict=True)
                ],
            }
            for group in found.groups
        ],
        "interpretation": said and _interpretation(said),
    }


@router.post("/dictionaries/{name}/features/{index}/custom")
def dictionary_feature_custom(
    index: int, input_text: InputText, record: CurrentSAE, store: CurrentStore, live: CurrentLive
) -> Answer:
    """What a feature does on a text."""
    tokens, values, _ = of_one_feature(record, index, input_text, store, live)
    return {"context": tokens, "feature_acts": values}


@router.post("/dictionaries/{name}/custom")
def dictionary_custom(
    input_text: InputText, record: CurrentSAE, store: CurrentStore, live: CurrentLive
) -> Answer:
    """The features that fire on each token of a text, by index."""
    return _work(live).active_features(input_text, record, store, live)


@router.post("/dictionaries/{name}/features/{index}/interpret")
def dictionary_interpret(
    index: int,
    record: CurrentSAE,
    store: CurrentStore,
    type: Annotated[str, Query(max_length=20)],
    custom_interpretation: Annotated[str, Query(max_length=2000)] = "",
) -> Answer:
    """Says what a feature stands for: `type=custom` alone, since no model is asked from here."""
    store.features(record).check(index)
    if type != "custom":
        raise ConfigError(
            f"'{type}' interpretations are not made here",
            "run lmsaes explain --endpoint URL, or POST /api/saes/NAME/explain",
        )
    said = explain_by_hand(store.database, record, index, custom_interpretation, "compat")
    return _interpretation(said)


@router.post("/model/generate")
def model_generate(asked: Generate, store: CurrentStore, live: CurrentLive) -> Answer:
    """A completion with features steered; its likeliest next tokens and active features."""
    return _work(live).generated(asked, store, live)


def _work(live: Live) -> Any:
    """The module that asks the model. Raises NoModelError where the server has none."""
    live.check_there()
    from . import compat_work

    return compat_work


def _bars(edges: np.ndarray, counts: np.ndarray) -> Answer:
    """A histogram as one of Plotly's traces."""
    middle = (edges[:-1] + edges[1:]) / 2
    width = float(edges[1] - edges[0])
    return {"type": "bar", "x": middle.tolist(), "y": counts.tolist(), "width": width}


def _logits(store: Store, record: SAERecord, feature: AnalyzedFeature) -> Answer | None:
    own, details = feature.record, feature.record.details
    if details is None or details.logits is None:
        return None
    known = details.logits
    edges = np.linspace(known.lower, known.upper, len(known.histogram) + 1)
    return {
        "top_positive": _weights(store, record, own.promotes),
        "top_negative": _weights(store, record, own.suppresses),
        "histogram": [_bars(edges, known.histogram)],
    }


def _weights(store: Store, record: SAERecord, pairs: Sequence[tuple[int, float]]) -> list[Answer]:
    names = store.tokens(record, [token for token, _ in pairs])
    return [
        {"token": name, "logit": weight} for name, (_, weight) in zip(names, pairs, strict=True)
    ]


def _sample(tokens: list[str], values: list[float]) -> Answer:
    """A context: its text, and where in it each token stands."""
    ends = list(accumulate(map(len, tokens)))
    return {
        "context": tokens,
        "text": "".join(tokens),
        "origins": [
            {"key": "text", "range": [end - len(token), end]}
            for token, end in zip(tokens, ends, strict=True)
        ],
        "feature_acts": values,
    }


def _interpretation(said: Explanation) -> Answer:
    manual = [] if said.by_model else [{"method": "manual", "passed": True}]
    return {"text": said.text, "validation": manual, "author": said.author}
