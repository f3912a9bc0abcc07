"""Addresses and field names of Neuronpedia, as its web app has them, under `/compat/api`.

Thin: they ask what the API under `/api` asks. A model is called by its name or the last part of it;
a source is `LAYER-NAME` as `lmsaes export --to neuronpedia` calls it, or the SAE's name.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
from fastapi import APIRouter

from lmsaes.database import SAERecord
from lmsaes.errors import ConfigError
from lmsaes.interop.hooks import layer_of_hook

from .compat_schemas import ActivationNew, Answer, NeuronpediaSteer, SearchAll
from .dependencies import CurrentStore
from .live import Live
from .live_schemas import ActivationsRequest, AskedEdit, TextFeature
from .model_routes import CurrentLive, work
from .store import NotFoundError, Store

router = APIRouter(prefix="/compat", tags=["compat"])

_MOST_SAES = 4  # of one search


@router.get("/api/feature/{model}/{source}/{index}")
def neuronpedia_feature(model: str, source: str, index: int, store: CurrentStore) -> Answer:
    """A feature with its activations and explanations."""
    record = _record(store, model, source)
    store.features(record).check(index)
    from lmsaes.interop import neuronpedia

    found = neuronpedia.one_feature(store.database, record, index)
    ids = found["modelId"], found["layer"], str(index)
    return {**found, "explanations": _explanations(store, record, index, ids)}


@router.post("/api/activation/new")
def neuronpedia_activation(
    asked: ActivationNew, store: CurrentStore, live: CurrentLive
) -> Answer | list[Answer]:
    """What a feature does on a text, or on each of several."""
    record = _record(store, asked.feature.modelId, asked.feature.source)
    if isinstance(asked.customText, str):
        return _activation(asked, record, asked.customText, store, live)
    return [_activation(asked, record, text, store, live) for text in asked.customText]


def _activation(
    asked: ActivationNew, record: SAERecord, text: str, store: Store, live: Live
) -> Answer:
    tokens, values, bos = of_one_feature(record, int(asked.feature.index), text, store, live)
    if asked.ignoreBos and bos:
        tokens, values = tokens[1:], values[1:]
    values = values or [0.0]  # a text of nothing else
    place = int(np.argmax(values))
    activation = {
        "layer": asked.feature.source,
        "index": str(asked.feature.index),
        "values": values,
        "maxValue": values[place],
    }
    return {
        **activation,
        "modelId": asked.feature.modelId,
        "tokens": tokens,
        "maxValueTokenIndex": place,
        "minValue": min(values),
        "creatorId": "",
        "createdAt": datetime.now(UTC).isoformat(),
        "dataIndex": None,
        "dataSource": "lmsaes",
        # as its documentation has it, where its code answers what stands above
        "activations": {**activation, "maxValueIndex": place},
    }


@router.post("/api/search-all")
def neuronpedia_search(asked: SearchAll, store: CurrentStore, live: CurrentLive) -> Answer:
    """The strongest features of a text, of several SAEs together; or of each of several texts."""
    wanted = [_record(store, asked.modelId, source) for source in asked.selectedLayers]
    if not wanted:
        there = [each for each in store.database.saes() if _is_model(each, asked.modelId)]
        wanted = [each for each in there if asked.sourceSet in ("", _slug(each), each.run)]
    if not wanted:
        raise NotFoundError(f"there is no SAE of '{asked.modelId}' in '{asked.sourceSet}'")
    if len(wanted) > _MOST_SAES:
        raise ConfigError(
            f"{len(wanted)} SAEs are more than {_MOST_SAES} of a request", "name selectedLayers"
        )
    if isinstance(asked.text, str):
        return _search(asked, wanted, asked.text, store, live)
    return {"results": [_search(asked, wanted, text, store, live) for text in asked.text]}


def _search(
    asked: SearchAll, records: Sequence[SAERecord], text: str, store: Store, live: Live
) -> Answer:
    request = ActivationsRequest(
        text=text,
        rank="sum" if asked.sortIndexes else "maximum",
        limit=asked.numResults,
        positions=asked.sortIndexes or None,
        ignore_special=asked.ignoreBos,
        density_max=None if asked.densityThreshold < 0 else asked.densityThreshold,
        per_token=0,
    )
    answers = [(each, work(live).activations_of(request, each, store, live)) for each in records]
    ranked = sorted(
        (
            (each.score or 0.0, record, each)
            for record, answer in answers
            for each in answer.features
        ),
        key=lambda found: -found[0],
    )
    return {
        "tokens": [token.token for token in answers[0][1].tokens],
        "result": [
            {
                "modelId": asked.modelId,
                "layer": _source(record),
                "index": str(each.index),
                "values": each.values,
                "maxValue": each.maximum,
                "maxValueIndex": each.position,
                "neuron": _neuron(asked.modelId, record, each, store),
            }
            for _, record, each in ranked[: asked.numResults]
        ],
        "counts": [],
        "sortIndexes": asked.sortIndexes,
    }


def _neuron(model: str, record: SAERecord, feature: TextFeature, store: Store) -> Answer:
    """What is known of a feature, as it stands beside a search's result."""
    columns, ids = store.features(record).columns, (model, _source(record), str(feature.index))
    place = feature.index - record.feature_range[0]
    known = 0 <= place < len(columns["maximum"])
    return {
        **dict(zip(("modelId", "layer", "index"), ids, strict=True)),
        "maxActApprox": float(columns["maximum"][place]) if known else None,
        "frac_nonzero": feature.density,
        "explanations": _explanations(store, record, feature.index, ids),
    }


def _explanations(
    store: Store, record: SAERecord, index: int, ids: tuple[str, str, str]
) -> list[Answer]:
    said = store.database.explanations.current(record.sae_hash, [index])
    return [
        {
            **dict(zip(("modelId", "layer", "index"), ids, strict=True)),
            "description": each.text,
            "authorName": each.author,
            "explanationModelName": each.author if each.by_model else None,
            "createdAt": each.created.isoformat(),
        }
        for each in said.values()
    ]


@router.post("/api/steer")
def neuronpedia_steer(asked: NeuronpediaSteer, store: CurrentStore, live: CurrentLive) -> Answer:
    """A completion with features steered, and the model's own. A strength is what is added to the
    feature's activation, in units of it."""
    edits = [
        AskedEdit(
            sae=_record(store, each.modelId, each.layer).name,
            feature=int(each.index),
            method="orthogonal" if asked.steer_method == "ORTHOGONAL_DECOMP" else "add",
            value=each.strength * asked.strength_multiplier,
        )
        for each in asked.features
    ]
    how = {"tokens": asked.n_tokens, "temperature": asked.temperature, "seed": asked.seed % 2**53}
    found = work(live).completed(
        asked.prompt, edits, store, live, likeliest=asked.n_logprobs, **how
    )
    steered, default = found
    return {
        "STEERED": asked.prompt + steered.text,
        "DEFAULT": asked.prompt + default.text,
        "steeredLogProbs": steered.log_probabilities,
        "defaultLogProbs": default.log_probabilities,
        "id": None,
        "shareUrl": None,
        "limit": None,
    }


# ── by whose name ────────────────────────────────────────────────────────────────────────────────


def of_one_feature(
    record: SAERecord, index: int, text: str, store: Store, live: Live
) -> tuple[list[str], list[float], bool]:
    """A text's tokens, a feature's activation on each, and whether a beginning was added."""
    store.features(record).check(index)
    request = ActivationsRequest(text=text, features=[index], limit=1, per_token=0)
    found = work(live).activations_of(request, record, store, live)
    tokens = [token.token for token in found.tokens]
    values = found.chosen[0].values if found.chosen else [0.0] * len(tokens)
    return tokens, values, found.bos_added


def _record(store: Store, model: str, source: str) -> SAERecord:
    for record in store.database.saes():
        if _is_model(record, model) and source in (record.name, _source(record)):
            return record
    raise NotFoundError(f"there is no SAE '{source}' of '{model}'")


def _is_model(record: SAERecord, model: str) -> bool:
    return model in (record.model, record.model.rpartition("/")[2])


def _source(record: SAERecord) -> str:
    place = layer_of_hook(record.target or record.hook)
    return f"{0 if place is None else place[0]}-{_slug(record)}"


def _slug(record: SAERecord) -> str:
    return re.sub(r"[^a-z0-9]+", "-", record.name.lower()).strip("-")
