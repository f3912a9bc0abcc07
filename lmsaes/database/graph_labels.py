"""What is written on a graph's features: what people or models say of them, or their tokens."""

from dataclasses import dataclass

from lmsaes.database.client import Database
from lmsaes.database.graph_records import GraphFacts, ShownGraph
from lmsaes.database.records import SAERecord

_TOGETHER = 1000  # features that are asked for at once


@dataclass(frozen=True, slots=True)
class Label:
    """What is written on a feature."""

    text: str
    explained: bool  # by a person or a model; else the tokens that it fires on


def analyzed_transcoders(database: Database, facts: GraphFacts) -> dict[int, SAERecord]:
    """The analyses of a graph's transcoders, by layer: those that have the same weights."""
    of = {each.sae_hash: each.layer for each in facts.transcoders}
    named = {each.layer: each.sae for each in facts.transcoders}
    found: dict[int, SAERecord] = {}
    for record in database.saes():
        layer = of.get(record.sae_hash)
        if layer is not None and (layer not in found or record.name == named[layer]):
            found[layer] = record
    return found


def graph_labels(
    database: Database, graph: ShownGraph, analyzed: dict[int, SAERecord]
) -> dict[tuple[int, int], Label]:
    """Labels by layer and feature; features that have none are left out."""
    labels: dict[tuple[int, int], Label] = {}
    for layer, record in analyzed.items():
        indices = graph.of_layer(layer).tolist()
        said = {each.feature: each.text for each in database.explanations.newest(record.sae_hash)}
        for first in range(0, len(indices), _TOGETHER):
            some = indices[first : first + _TOGETHER]
            for index, text in database.labels(record.analysis, some).items():
                labels[layer, index] = Label(text, explained=False)
        for index in indices:
            if index in said:
                labels[layer, index] = Label(said[index], explained=True)
    return labels
