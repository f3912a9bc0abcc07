"""Addresses and field names that programs written for others know, under `/compat`.

    /compat/api/feature/…, /compat/api/search-all, …       Neuronpedia
    /compat/dictionaries/…, /compat/model/generate         Language-Model-SAEs as of 2024

Thin: they ask what the API under `/api` asks. A model is called by its name or the last part of it;
a source is `LAYER-NAME` as `lmsaes export --to neuronpedia` calls it, or the SAE's name.
"""

import re
from collections.abc import Sequence
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query

from lmsaes.database import SAERecord
from lmsaes.errors import ConfigError
from lmsaes.explain import explain_by_hand
from lmsaes.interop.analyzed import features_of
from lmsaes.interop.hooks import layer_of_hook

from .compat_schemas import ActivationNew, Answer, Generate, NeuronpediaSteer, SearchAll
from .dependencies import CurrentSAE, CurrentStore
from .live import Live
from .live_schemas import ActivationsRequest, AskedEdit
from .model_routes import CurrentLive, work
from .store import NotFoundError, Store

router = APIRouter(prefix="/compat", tags=["compat"])

InputText = Annotated[str, Query(min_length=1, max_length=50_000)]
_MOST_SAES = 4  # of one search
_random = np.random.default_rng()


# ── Neuronpedia ──────────────────────────────────────────────────────────────────────────────────


@router.get("/api/feature/{model}/{source}/{index}")
def neuronpedia_feature(model: str, source: str, index: int, store: CurrentStore) -> Answer:
    """A feature with its activations and explanations."""
    record = _record(store, model, source)
    store.features(record).check(index)
    from lmsaes.interop import neuronpedia

    found = neuronpedia.one_feature(store.database, record, index)
    said = store.database.explanations.current(record.sae_hash, [index])
    explanations = [
        {
            "modelId": found["modelId"],
            "layer": found["layer"],
            "index": str(index),
            "description": each.text,
            "authorName": each.author,
            "explanationModelName": each.author if each.by_model else None,
            "createdAt": each.created.isoformat(),
        }
        for each in said.values()
    ]
    return {**found, "explanations": explanations}


@router.post("/api/activation/new")
def neuronpedia_activation(asked: ActivationNew, store: CurrentStore, live: CurrentLive) -> Answer:
    """What a feature does on a text."""
    record = _record(store, asked.feature.modelId, asked.feature.source)
    text = _of_one_feature(record, int(asked.feature.index), asked.customText, store, live)
    tokens, values, bos = text
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
        "activations": {**activation, "maxValueIndex": place},
    }


@router.post("/api/search-all")
def neuronpedia_search(asked: SearchAll, store: CurrentStore, live: CurrentLive) -> Answer:
    """The strongest features of a text, of several SAEs together."""
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
    request = ActivationsRequest(
        text=asked.text,
        rank="sum" if asked.sortIndexes else "maximum",
        limit=asked.numResults,
        positions=asked.sortIndexes or None,
        ignore_special=asked.ignoreBos,
        density_max=None if asked.densityThreshold < 0 else asked.densityThreshold,
        per_token=0,
    )
    answers = [(each, work(live).activations_of(request, each, store, live)) for each in wanted]
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
            }
            for _, record, each in ranked[: asked.numResults]
        ],
        "counts": [],
        "sortIndexes": asked.sortIndexes,
    }


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
    how = {"tokens": asked.n_tokens, "temperature": asked.temperature, "seed": asked.seed}
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


# ── Language-Model-SAEs ──────────────────────────────────────────────────────────────────────────


@router.get("/dictionaries")
def dictionaries(store: CurrentStore) -> list[str]:
    """The names of the SAEs."""
    return [record.name for record in store.database.saes()]


@router.get("/dictionaries/{name}")
def dictionary(record: CurrentSAE, store: CurrentStore) -> Answer:
    """An SAE, and how many of its features fire."""
    alive = store.features(record).columns["firings"] > 0
    return {"dictionary_name": record.name, "alive_feature_count": int(alive.sum())}


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
    own, counts = found.record, found.record.histogram.tolist()
    edges = np.linspace(0, own.histogram_max, len(counts) + 1).tolist() if counts else []
    return {
        "feature_index": number,
        "dictionary_name": record.name,
        "act_times": own.firings,
        "max_feature_act": own.maximum,
        "feature_activation_histogram": {"bin_edges": edges, "counts": counts},
        "logits": {
            "top_positive": _logits(store, record, own.promotes),
            "top_negative": _logits(store, record, own.suppresses),
        },
        "sample_groups": [
            {
                "analysis_name": group.sample.group,
                "samples": [
                    {
                        "context": store.tokens(record, tokens.tolist()),
                        "feature_acts": values.tolist(),
                    }
                    for tokens, values in zip(group.tokens, group.sample.activations, strict=True)
                ],
            }
            for group in found.groups
        ],
        "interpretation": said and {"text": said.text, "author": said.author},
    }


@router.post("/dictionaries/{name}/features/{index}/custom")
def dictionary_feature_custom(
    index: int, input_text: InputText, record: CurrentSAE, store: CurrentStore, live: CurrentLive
) -> Answer:
    """What a feature does on a text."""
    tokens, values, _ = _of_one_feature(record, index, input_text, store, live)
    return {"context": tokens, "feature_acts": values}


@router.post("/dictionaries/{name}/custom")
def dictionary_custom(
    input_text: InputText, record: CurrentSAE, store: CurrentStore, live: CurrentLive
) -> Answer:
    """What an SAE's features do on a text, the strongest first."""
    request = ActivationsRequest(text=input_text, limit=100, per_token=0)
    found = work(live).activations_of(request, record, store, live)
    return {
        "context": [token.token for token in found.tokens],
        "features": [
            {
                "feature_index": each.index,
                "feature_acts": each.values,
                "max_feature_act": each.maximum,
            }
            for each in found.features
        ],
    }


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
            f"'{type}' interpretations are not made here", "run lmsaes explain --endpoint URL"
        )
    said = explain_by_hand(store.database, record, index, custom_interpretation, "compat")
    return {"text": said.text, "author": said.author}


@router.post("/model/generate")
def model_generate(asked: Generate, store: CurrentStore, live: CurrentLive) -> Answer:
    """A completion with features steered."""
    if not asked.steerings:
        raise ConfigError("there are no steerings", "name a sae, a feature and what to do to it")
    edits = [
        AskedEdit(
            sae=each.sae,
            feature=each.feature_index,
            method="scale" if each.steering_type == "times" else each.steering_type,
            value=None if each.steering_type == "ablate" else each.steering_value or 0.0,
        )
        for each in asked.steerings
    ]
    steered, _ = work(live).completed(
        asked.input_text,
        edits,
        store,
        live,
        tokens=asked.max_new_tokens,
        temperature=asked.temperature,
        top_p=asked.top_p,
        seed=asked.seed,
    )
    return {"context": [*steered.prompt, *steered.tokens], "text": asked.input_text + steered.text}


# ── by whose name ────────────────────────────────────────────────────────────────────────────────


def _logits(store: Store, record: SAERecord, weights: Sequence[tuple[int, float]]) -> list[Answer]:
    names = store.tokens(record, [token for token, _ in weights])
    return [
        {"token": name, "logit": weight} for name, (_, weight) in zip(names, weights, strict=True)
    ]


def _of_one_feature(
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
