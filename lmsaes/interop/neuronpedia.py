"""Neuronpedia's bulk layout: lines of JSON as its tables have them, gzipped.

    gemma-2-2b/12-my-set/
      release.jsonl  model.jsonl  sourceset.jsonl  source.jsonl      one line each
      features/batch-0.jsonl.gz …     activations/batch-0.jsonl.gz … of 1024 features each

Fields that lmsaes doesn't measure (correlated neurons, logit histograms) are left out. What its
tables can't do without is there; the first line of a file has all that the others have, since
Neuronpedia takes the file's columns from it.
"""

import gzip
import json
import re
from collections.abc import Iterable, Iterator
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

from lmsaes.atomic import replace_file
from lmsaes.database import Database, SAERecord
from lmsaes.interop.analyzed import AnalyzedFeature, ContextGroup, features_of, strings
from lmsaes.interop.hooks import layer_of_hook
from lmsaes.interop.saelens_export import public_name

_BATCH = 1024
_CREATOR = "clkht01d40000jv08hvalcvly"
"""The user that every Neuronpedia has, in whose name things are imported and shown."""
_CREATOR_NAME = "lmsaes"
_DIGITS = 5  # as SAEDashboard rounds activations


def folder_of(record: SAERecord, out: Path) -> Path:
    """The folder in `out` of an SAE's source."""
    model, source, _, _ = names_of(record)
    return out / model / source


def write(database: Database, record: SAERecord, out: Path) -> Path:
    """The SAE's features into `out`; returns the source's folder in it."""
    model, source, name, layer = names_of(record)
    folder = folder_of(record, out)
    for kind in ("features", "activations"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    vocabulary = database.vocabulary(record.vocabulary)
    ids = {"modelId": model, "layer": source}
    features, number = features_of(database, record), 0
    while batch := list(islice(features, _BATCH)):
        lines = (_feature(each, ids, name, vocabulary) for each in batch)
        _pack(folder / "features" / f"batch-{number}.jsonl.gz", lines)
        shown = (line for each in batch for line in _activations(each, ids, vocabulary))
        _pack(folder / "activations" / f"batch-{number}.jsonl.gz", shown)
        number += 1
    for kind in ("features", "activations"):  # of a longer one that was here before
        for file in (folder / kind).glob("batch-*.jsonl.gz"):
            if int(file.name.split("-")[1].split(".")[0]) >= number:
                file.unlink()
    for file, line in _tables(record, model, source, name, layer).items():
        replace_file(folder / f"{file}.jsonl", (json.dumps(line) + "\n").encode())
    return folder


def one_feature(database: Database, record: SAERecord, index: int) -> dict[str, Any]:
    """A feature with its activations, as Neuronpedia's `GET /api/feature` answers."""
    model, source, name, _ = names_of(record)
    vocabulary, ids = database.vocabulary(record.vocabulary), {"modelId": model, "layer": source}
    (feature,) = features_of(database, record, only=range(index, index + 1))
    shown = list(_activations(feature, ids, vocabulary))
    return {**_feature(feature, ids, name, vocabulary), "activations": shown}


def names_of(record: SAERecord) -> tuple[str, str, str, int]:
    """How model, source and set are called, and the layer."""
    model = (public_name(record.model) or "model").rpartition("/")[2]
    place = layer_of_hook(record.target or record.hook)
    layer = 0 if place is None else place[0]
    name = re.sub(r"[^a-z0-9]+", "-", record.name.lower()).strip("-")
    return model, f"{layer}-{name}", name, layer


def _feature(
    feature: AnalyzedFeature, ids: dict[str, str], set_name: str, vocabulary: list[str]
) -> dict[str, Any]:
    record = feature.record
    bins = len(record.histogram)
    width = record.histogram_max / bins if bins else 0.0
    return {
        **ids,
        "index": str(record.index),
        "sourceSetName": set_name,
        "creatorId": _CREATOR,
        "maxActApprox": record.maximum,
        "frac_nonzero": record.density,
        "hasVector": False,
        "pos_str": [vocabulary[token] for token, _ in record.promotes],
        "pos_values": [weight for _, weight in record.promotes],
        "neg_str": [vocabulary[token] for token, _ in record.suppresses],
        "neg_values": [weight for _, weight in record.suppresses],
        "freq_hist_data_bar_heights": record.histogram.tolist(),
        "freq_hist_data_bar_values": [round((i + 0.5) * width, _DIGITS) for i in range(bins)],
    }


def _activations(
    feature: AnalyzedFeature, ids: dict[str, str], vocabulary: list[str]
) -> Iterator[dict[str, Any]]:
    index = str(feature.record.index)
    for group in feature.groups:
        sample, limits = group.sample, _limits(feature, group)
        for context, position, values, tokens in zip(
            sample.contexts, sample.positions, sample.activations, group.tokens, strict=True
        ):
            numbers = [round(float(value), _DIGITS) for value in values]
            own = "" if group.is_top else f"/{sample.group}"
            key = "/".join((ids["modelId"], ids["layer"], index, str(int(context)))) + own
            yield {
                "id": "c" + sha256(key.encode()).hexdigest()[:24],
                **ids,
                "index": index,
                "creatorId": _CREATOR,
                "tokens": strings(vocabulary, tokens),
                "values": numbers,
                "maxValue": max(numbers),
                "maxValueTokenIndex": int(position),
                "minValue": min(numbers),
                "dataIndex": str(int(context)),
                **(limits or {"binMin": -1, "binMax": max(numbers), "binContains": -1}),
                "qualifyingTokenIndex": int(position),
            }


def _limits(feature: AnalyzedFeature, group: ContextGroup) -> dict[str, float] | None:
    """Between which maxima an interval's contexts lie, and which share of the feature's contexts
    does; None for the strongest ones, which SAEDashboard's exporter marks by -1, and where it is
    not known."""
    facts, details = group.facts, feature.record.details
    if group.is_top or facts is None or facts.lower is None or facts.upper is None:
        return None
    share = facts.available / details.contexts if details and details.contexts else 0.0
    return {"binMin": facts.lower, "binMax": facts.upper, "binContains": share}


def _tables(
    record: SAERecord, model: str, source: str, set_name: str, layer: int
) -> dict[str, dict[str, Any]]:
    return {
        "release": {
            "name": set_name,
            "description": f"{record.name}, by lmsaes",
            "creatorId": _CREATOR,
            "creatorName": _CREATOR_NAME,
            "urls": [],
            "visibility": "PUBLIC",
        },
        "model": {
            "id": model,
            "displayName": model,
            "displayNameShort": model,
            "creatorId": _CREATOR,
            "owner": "",
            # of the model itself, which is not known here; Neuronpedia's own tools write 0 too
            "layers": 0,
            "neuronsPerLayer": 0,
            "instruct": False,
            "visibility": "PUBLIC",
        },
        "sourceset": {
            "modelId": model,
            "name": set_name,
            "creatorId": _CREATOR,
            "creatorName": _CREATOR_NAME,
            "urls": [],
            "visibility": "PUBLIC",
            "description": f"{record.architecture}, {record.hook}",
            "releaseName": set_name,
        },
        "source": {
            "id": source,
            "modelId": model,
            "setName": set_name,
            "creatorId": _CREATOR,
            "hasDashboards": True,
            "inferenceEnabled": False,
            "visibility": "PUBLIC",
            "num_prompts": record.tokens_analyzed // record.context_size,
            "num_tokens_in_prompt": record.context_size,
            "dataset": public_name(record.dataset),
            "notes": f"layer {layer}",
        },
    }


def _pack(file: Path, lines: Iterable[dict[str, Any]]) -> None:
    text = "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines)
    replace_file(file, gzip.compress(text.encode(), 5, mtime=0))
