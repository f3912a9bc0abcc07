"""A kept graph's prompt as it was traced, for what is asked of the model later."""

import torch

from lmsaes.circuits.edges import Targets, feature_targets, logit_targets
from lmsaes.circuits.frozen import freeze
from lmsaes.circuits.replacement import Replacement, replace_mlps
from lmsaes.circuits.trace import check_widths
from lmsaes.circuits.transcoders import load_transcoders
from lmsaes.database import ERROR, FEATURE, LOGIT, TARGET, GraphFacts, ShownGraph
from lmsaes.errors import ConfigError, SAEError
from lmsaes.model import LanguageModel
from lmsaes.sae import sae_hash


def replacement_of(lm: LanguageModel, facts: GraphFacts) -> Replacement:
    """Runs the model on a graph's tokens again, with the transcoders that it was traced with.

    Raises SAEError where one of them is gone or another one now.
    """
    folders = [each.path for each in facts.transcoders]
    transcoders = load_transcoders(folders, len(lm.bridge.blocks), lm.device)
    for each in facts.transcoders:
        found = transcoders.get(each.layer)
        if found is None or sae_hash(found.folder, found.sae) != each.sae_hash:
            raise SAEError(
                f"{each.path} holds another SAE than when the graph was traced", "trace it again"
            )
    check_widths(lm, transcoders)
    return replace_mlps(freeze(lm, facts.token_ids), transcoders, facts.special)


def source_of(replacement: Replacement, graph: ShownGraph, place: int) -> int:
    """The number of a node among sources.

    Raises ConfigError for a logit, and where the feature doesn't fire any more.
    """
    kind, layer, position, index = (
        int(graph.nodes[name][place]) for name in ("kind", "layer", "position", "index")
    )
    if kind == ERROR:
        return replacement.error(layer, position)
    if kind in (FEATURE, TARGET):
        own = (replacement.layer == layer) & (replacement.position == position)
        found = torch.nonzero(own & (replacement.feature == index))
        if not len(found):
            raise ConfigError(
                f"{graph.ids[place]} does not fire any more: the model is another one",
                "trace the prompt again",
            )
        return int(found[0, 0])
    if kind == LOGIT:
        raise ConfigError(f"{graph.ids[place]} is a logit: nothing flows out of it")
    return replacement.token(position)


def reader_of(replacement: Replacement, graph: ShownGraph, place: int) -> Targets:
    """A node as what edges explain. Raises ConfigError for errors and tokens."""
    kind = int(graph.nodes["kind"][place])
    device = replacement.model.embeddings.device
    if kind == LOGIT:
        ids = torch.tensor([int(graph.nodes["index"][place])], device=device)
        return logit_targets(replacement, ids)
    if kind not in (FEATURE, TARGET):
        raise ConfigError(f"nothing flows into {graph.ids[place]}")
    source = source_of(replacement, graph, place)
    return feature_targets(replacement, torch.tensor([source], device=device))
