"""Nodes of a graph ablated or scaled in the real model, beside what the graph predicts.

An edited feature is held at a multiple of its activation: where an edit below changes it, only what
is left of it is taken away. Everything else in the model is let go.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from lmsaes.circuits.edges import Targets, edges, feature_targets
from lmsaes.circuits.graph import BATCH
from lmsaes.circuits.passes import Freed, States, entering, read, run_from
from lmsaes.circuits.replacement import Replacement
from lmsaes.circuits.retrace import reader_of, replacement_of, source_of
from lmsaes.circuits.verify import Agreement, agreement
from lmsaes.database import FEATURE, LOGIT, TARGET, TOKEN, ShownGraph
from lmsaes.errors import ConfigError
from lmsaes.model import LanguageModel
from lmsaes.text import strings_of

_EVERYTHING = Freed(patterns=True, norms=True, mlps=True)
LIKELIEST = 5  # next tokens before and after that are named


@dataclass(frozen=True)
class Intervened:
    """Changes, after less before, in the real model and as predicted: [n] each, of `nodes`."""

    edits: dict[str, float]  # factor by node id
    nodes: list[str]  # what the edits may reach: features in the graph's order, then targets
    targets: int  # how many of them, the last ones, are targets
    before: Tensor
    real: Tensor
    direct: Tensor  # along edges from edited nodes
    total: Tensor  # through the features that the graph shows as well
    direct_agreement: Agreement
    total_agreement: Agreement
    on_targets: Agreement  # total
    next_tokens: list[tuple[int, str, float, float]]  # id, token, probability before and after


def intervene(
    lm: LanguageModel,
    graph: ShownGraph,
    edits: Mapping[str, float],
    replacement: Replacement | None = None,
) -> Intervened:
    """Scales nodes of a graph by factors: 0 ablates one, 1 leaves it.

    edits: factor by node id. replacement: the graph's prompt, where it is at hand. Raises
    ConfigError for nodes that the graph has not, tokens and logits.
    """
    replacement = replacement_of(lm, graph.facts) if replacement is None else replacement
    if not edits:
        raise ConfigError("nothing is to be changed", "name a node of the graph")
    factors = {
        source_of(replacement, graph, _editable(graph, id)): factor for id, factor in edits.items()
    }
    kind = graph.nodes["kind"]
    places = [place for place in range(graph.facts.nodes) if kind[place] == FEATURE]
    sources = torch.tensor(
        [source_of(replacement, graph, place) for place in places], dtype=torch.int64
    )
    ends = [place for place in range(graph.facts.nodes) if kind[place] in (LOGIT, TARGET)]
    readers = _joined(
        [feature_targets(replacement, sources)] * bool(places)
        + [reader_of(replacement, graph, place) for place in ends]
    )
    direct, total = _predicted(replacement, readers, sources, factors)
    states = _edited_pass(lm, replacement, factors)
    real = read(replacement, states, readers, _EVERYTHING)[0]

    written = [replacement.written(source)[:2] for source in factors]
    lowest, earliest = min(at for at, _ in written), min(position for _, position in written)
    reached = (readers.layer > lowest) & (readers.position >= earliest)
    reached[: len(places)] &= ~torch.isin(sources, torch.tensor(list(factors)))
    chosen = reached.nonzero()[:, 0].tolist()
    of_targets = torch.zeros_like(reached)
    of_targets[len(places) :] = True
    return Intervened(
        edits=dict(edits),
        nodes=[graph.ids[(places + ends)[row]] for row in chosen],
        targets=int((reached & of_targets).sum()),
        before=readers.value[reached],
        real=real[reached],
        direct=direct[reached],
        total=total[reached],
        direct_agreement=agreement(direct[None], real[None], reached[None]),
        total_agreement=agreement(total[None], real[None], reached[None]),
        on_targets=agreement(total[None], real[None], (reached & of_targets)[None]),
        next_tokens=_next_tokens(lm, replacement, states),
    )


def _editable(graph: ShownGraph, id: str) -> int:
    place = graph.place(id)
    if place is None:
        raise ConfigError(f"the graph has no node '{id}'")
    if graph.nodes["kind"][place] in (TOKEN, LOGIT):
        raise ConfigError(f"'{id}' is a token", "features and errors can be ablated or scaled")
    return place


def _joined(parts: list[Targets]) -> Targets:
    columns = (
        torch.cat([getattr(each, field.name) for each in parts]) for field in fields(Targets)
    )
    return Targets(*columns)


def _predicted(
    replacement: Replacement, readers: Targets, sources: Tensor, factors: Mapping[int, float]
) -> tuple[Tensor, Tensor]:
    """What edges alone, and what paths through the features `sources`, say of readers; [readers].

    The first readers are `sources`, in their order.
    """
    edited = torch.tensor(list(factors))
    columns = torch.cat([sources, edited])
    parts = [
        edges(replacement, readers[rows])[:, columns]
        for rows in torch.arange(len(readers)).split(BATCH)
    ]
    found = torch.cat(parts)
    n = len(sources)
    scale = found.new_tensor(list(factors.values())) - 1
    direct = found[:, n:] @ scale
    activation = readers.value[:n]
    per_unit = found[:, :n] / torch.where(activation != 0, activation, 1.0)
    held = torch.isin(sources, edited)
    delta, total = torch.zeros_like(activation), direct.clone()
    for layer in readers.layer[:n].unique().tolist():  # ascending: what is below has its change
        here = (readers.layer[:n] == layer) & ~held
        total[:n][here] = direct[:n][here] + per_unit[:n][here] @ delta
        delta[here] = total[:n][here]
    total[n:] = direct[n:] + per_unit[n:] @ delta
    return direct, total


def _edited_pass(
    lm: LanguageModel, replacement: Replacement, factors: Mapping[int, float]
) -> States:
    """The real model's pass with the edits at work, a batch of one context."""
    by_layer: dict[int, list[tuple[int, float]]] = {}
    for source, factor in factors.items():
        by_layer.setdefault(replacement.written(source)[0], []).append((source, factor))
    lowest = min(by_layer)
    stream = entering(replacement, lowest + 1).clone()[None]
    for source, factor in by_layer[lowest]:
        _, position, vector = replacement.written(source)
        stream[0, position] += (factor - 1) * vector

    def edit(layer: int, value: Tensor, states: States) -> Tensor:
        if layer not in by_layer:
            return value
        found = value.clone()
        for source, factor in by_layer[layer]:
            _, position, vector = replacement.written(source)
            share = _share_left(replacement, source, layer, states)
            found[0, position] += (factor - share) * vector
        return found

    return run_from(lm, replacement, lowest + 1, stream, _EVERYTHING, edit)


def _share_left(replacement: Replacement, source: int, layer: int, states: States) -> float:
    """What a source has at the edited pass, as a share of what it had; 1 of an error."""
    if source >= replacement.features:
        return 1.0
    active = next(each for each in replacement.active if each.layer == layer)
    row = source - replacement.first(layer)
    transcoder, block = replacement.transcoders[layer], replacement.model.blocks[layer]
    norm = transcoder.norm(block)
    x = states[layer] if norm is None else norm.let_go(states[layer])
    before = float(active.activation[row])
    now = float(active.encoder[row] @ x[0, int(active.position[row])] + active.bias[row])
    return max(now / before, 0.0) if before else 1.0  # below 0 it doesn't fire


def _next_tokens(
    lm: LanguageModel, replacement: Replacement, states: States
) -> list[tuple[int, str, float, float]]:
    """The likeliest next tokens before or after, the likeliest before first."""
    model = replacement.model
    logits = model.norm.let_go(states[len(model.blocks)][0, -1]) @ model.W_U + model.b_U
    before, after = model.logits[-1].softmax(0), logits.softmax(0)
    count = min(LIKELIEST, len(before))
    ids = torch.cat([before.topk(count).indices, after.topk(count).indices]).unique()
    ids = ids[before[ids].argsort(descending=True)].tolist()
    names = strings_of(lm.tokenizer, ids)
    return list(zip(ids, names, before[ids].tolist(), after[ids].tolist(), strict=True))
