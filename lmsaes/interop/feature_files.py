"""circuit-tracer's feature files, which its graph viewer reads by ranges of bytes.

features/
  index.json.gz      {layer: {filename, offsets [features + 1]}}
  layer_0.bin        at offsets[i] a little-endian uint32, the length, and that many bytes:
                     feature i as JSON, packed by zlib
"""

import gzip
import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lmsaes.atomic import replace_file, replacing
from lmsaes.circuits import cantor
from lmsaes.database import Database, SAERecord
from lmsaes.errors import ConfigError
from lmsaes.interop.analyzed import AnalyzedFeature, ContextGroup, features_of, strings
from lmsaes.interop.hooks import layer_of_hook


def check(records: list[SAERecord]) -> dict[int, SAERecord]:
    """The SAEs by their layers.

    Raises ConfigError where two are of one layer, or one of no layer, or was analyzed in part.
    """
    layers: dict[int, SAERecord] = {}
    for record in records:
        place = layer_of_hook(record.target or record.hook)
        if place is None or place[0] in layers:
            raise ConfigError(
                f"'{record.name}' is of {record.hook}: one SAE is needed for each layer",
                "export one SAE by its name, or a run with one for each layer",
            )
        if record.feature_range != (0, record.features):
            raise ConfigError(f"'{record.name}' was analyzed in part", "analyze it whole")
        layers[place[0]] = record
    return layers


def write(database: Database, records: list[SAERecord], out: Path) -> None:
    """The features of one SAE for each layer into `out`/features. Raises as `check` does."""
    write_layers(database, check(records), out / "features")


def write_layers(
    database: Database,
    layers: Mapping[int, SAERecord],
    folder: Path,
    only: Mapping[int, Sequence[int]] | None = None,
) -> None:
    """The features of the SAEs of layers into `folder`.

    only: some of each layer's, ascending. The ranges of the others are empty, and each of these has
    a file of its own as well, under Cantor's number of its layer and index.
    """
    folder.mkdir(parents=True, exist_ok=True)
    index: dict[str, Any] = {}
    for layer, record in sorted(layers.items()):
        name, chosen = f"layer_{layer}.bin", None if only is None else only[layer]
        vocabulary, offsets = database.vocabulary(record.vocabulary), [0]
        with replacing(folder / name) as temporary, temporary.open("wb") as out:
            for feature in features_of(database, record, only=chosen):
                place = feature.record.index
                found = _feature(feature, record, vocabulary)
                content = json.dumps(found, allow_nan=False).encode()
                packed = zlib.compress(content)
                offsets += [out.tell()] * (place + 1 - len(offsets))  # of those left out
                out.write(struct.pack("<I", len(packed)) + packed)
                offsets.append(out.tell())
                if chosen is not None:
                    replace_file(folder / f"{cantor(layer, place)}.json", content)
            offsets += [out.tell()] * (record.features + 1 - len(offsets))
        index[str(layer)] = {"filename": name, "offsets": offsets}
    replace_file(folder / "index.json.gz", gzip.compress(json.dumps(index).encode(), mtime=0))


def _feature(feature: AnalyzedFeature, sae: SAERecord, vocabulary: list[str]) -> dict[str, Any]:
    """As circuit_tracer.frontend.feature_models has it."""
    record, shown = feature.record, set[int]()
    quantiles: list[dict[str, Any]] = []
    for group in feature.groups:
        sample, examples = group.sample, list[dict[str, Any]]()
        for context, position, values, tokens in zip(
            sample.contexts.tolist(),
            sample.positions,
            sample.activations,
            group.tokens,
            strict=True,
        ):
            examples.append(
                {
                    "tokens": strings(vocabulary, tokens),
                    "tokens_acts_list": [round(float(value), 5) for value in values],
                    "train_token_ind": int(position),
                    "is_repeated_datapoint": context in shown,
                }
            )
            shown.add(context)
        quantiles.append({"quantile_name": _name(group), "examples": examples})
    if not quantiles:  # a feature that never fired
        quantiles.append({"quantile_name": "Top activations", "examples": []})
    return {
        "transcoder_id": sae.name,
        "index": record.index,
        "examples_quantiles": quantiles,
        "top_logits": [vocabulary[token] for token, _ in record.promotes],
        "bottom_logits": [vocabulary[token] for token, _ in record.suppresses],
        "act_min": 0.0,
        "act_max": record.maximum,
        "quantile_values": [],
        "histogram": record.histogram.tolist(),
        "activation_frequency": record.density,
    }


def _name(group: ContextGroup) -> str:
    """What the viewer writes above a group's examples."""
    facts = group.facts
    if group.is_top:
        return "Top activations"
    if facts is None or facts.lower is None or facts.upper is None:
        return f"Interval {int(group.sample.group[-1]) + 1} of 5"
    return f"Maximum in ({facts.lower:.3g}, {facts.upper:.3g}]: {facts.available} contexts"
