"""Nodes are ablated and scaled in the real model as the whole model itself answers."""

from pathlib import Path

import pytest
import torch

from lmsaes.circuits import TraceConfig, Traced, intervene, shown_graph, trace
from lmsaes.circuits.passes import Freed, entering, run_from
from lmsaes.database import ShownGraph
from lmsaes.errors import ConfigError
from lmsaes.model import LanguageModel
from tests.support.made_up_transcoders import made_up_transcoders

KINDS = ["relu", "batchtopk", None, "gated"]


def make(lm: LanguageModel, out: Path) -> Traced:
    run = made_up_transcoders(lm, out, KINDS[: len(lm.bridge.blocks)], skip=True)
    given = {"transcoders": (str(run),), "prompt": "the piano and the"}
    return trace(TraceConfig.of({**given, "node_threshold": 1, "edge_threshold": 1}), lm)


@pytest.fixture(scope="module")
def made(gpt2: LanguageModel, tmp_path_factory: pytest.TempPathFactory) -> Traced:
    return make(gpt2, tmp_path_factory.mktemp("intervene") / "run")


@pytest.fixture(scope="module")
def graph(made: Traced) -> ShownGraph:
    return shown_graph(made)


def strongest(graph: ShownGraph, layer: int) -> int:
    here = (graph.nodes["layer"] == layer) & (graph.nodes["kind"] == 0)
    return int((graph.nodes["influence"] * here).argmax())


@pytest.mark.parametrize("model", ["gpt2", "llama"])
def test_a_pass_begun_above_is_the_models_own(
    model: str, tmp_path: Path, request: pytest.FixtureRequest
):
    lm = request.getfixturevalue(model)
    replacement = make(lm, tmp_path / "run").replacement
    blocks = replacement.model.blocks
    for first in range(len(blocks) + 1):
        for freed in (Freed(), Freed(True, True, True)):
            stream = entering(replacement, first)[None]
            states = run_from(lm, replacement, first, stream, freed)
            assert sorted(states) == list(range(first, len(blocks) + 1))
            for layer, found in states.items():
                own = blocks[layer].mid if layer < len(blocks) else replacement.model.last
                torch.testing.assert_close(found[0], own, atol=1e-4, rtol=1e-4)
    with torch.no_grad():  # the model is left as it was
        again = lm.bridge(torch.tensor([replacement.model.token_ids]))[0]
    torch.testing.assert_close(again.float(), replacement.model.logits, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("factor", [0.0, 0.5, 2.0])
def test_real_changes_are_those_of_the_model_with_the_vector_added(
    made: Traced, graph: ShownGraph, gpt2: LanguageModel, factor: float
):
    place = strongest(graph, 0)
    found = intervene(gpt2, graph, {graph.ids[place]: factor}, made.replacement)
    replacement = made.replacement
    position, index = (int(graph.nodes[name][place]) for name in ("position", "index"))
    transcoder = replacement.transcoders[0]
    vector = float(graph.nodes["activation"][place]) * transcoder.sae.W_dec[index].detach()

    def add(value: torch.Tensor, hook: object) -> torch.Tensor:
        value[0, position] += (factor - 1) * vector
        return value

    tokens = torch.tensor([replacement.model.token_ids])
    with torch.no_grad():
        logits = gpt2.bridge.run_with_hooks(tokens, fwd_hooks=[("blocks.0.hook_mlp_out", add)])[0]
    expected = (logits[-1] - logits[-1].mean()) - (
        replacement.model.logits[-1] - replacement.model.logits[-1].mean()
    )
    ids = [int(id.split("_")[1]) for id in found.nodes[-found.targets :]]
    torch.testing.assert_close(found.real[-found.targets :], expected[ids], atol=1e-4, rtol=1e-3)
    after = logits[-1].softmax(0)
    for token, _, before, now in found.next_tokens:
        assert now == pytest.approx(float(after[token]), abs=1e-4)
        assert before == pytest.approx(float(replacement.model.logits[-1].softmax(0)[token]))


def test_predictions_are_edges_and_paths(made: Traced, graph: ShownGraph, gpt2: LanguageModel):
    place = strongest(graph, 0)
    found = intervene(gpt2, graph, {graph.ids[place]: 0.25}, made.replacement)
    into = dict(
        zip(
            (graph.ids[n] for n in graph.edges["target"][graph.out_of(place)]),
            graph.edges["weight"][graph.out_of(place)].tolist(),
            strict=True,
        )
    )
    for node, direct in zip(found.nodes, found.direct.tolist(), strict=True):
        assert direct == pytest.approx(-0.75 * into.get(node, 0.0), rel=1e-3, abs=1e-6)
    # Σ over all paths, as powers of the edges per activation
    features = [n for n in range(graph.facts.nodes) if graph.nodes["kind"][n] == 0]
    ends = features + [n for n in range(graph.facts.nodes) if graph.nodes["kind"][n] == 3]
    row = {n: i for i, n in enumerate(ends)}
    edges = torch.zeros(len(ends), len(features), dtype=torch.float64)
    columns = (graph.edges[name].tolist() for name in ("source", "target", "weight"))
    for source, target, weight in zip(*columns, strict=True):
        if source in row and target in row:
            edges[row[target], row[source]] = weight / float(graph.nodes["activation"][source])
    start = torch.zeros(len(features), dtype=torch.float64)
    start[row[place]] = -0.75 * float(graph.nodes["activation"][place])
    expected, through = torch.zeros(len(ends), dtype=torch.float64), start
    while through.any():
        step = edges @ through
        expected, through = expected + step, step[: len(features)]
    names = [row[graph.place(node)] for node in found.nodes]  # pyright: ignore
    torch.testing.assert_close(found.total.double(), expected[names], atol=1e-5, rtol=1e-3)
    assert found.total_agreement.r_pooled is not None


def test_a_group_is_held_whatever_an_edit_below_makes_of_it(
    made: Traced, graph: ShownGraph, gpt2: LanguageModel
):
    low, high = strongest(graph, 0), strongest(graph, 1)
    edits = {graph.ids[low]: 0.0, graph.ids[high]: 0.0}
    both = intervene(gpt2, graph, edits, made.replacement)
    assert not set(edits) & set(both.nodes)
    one = intervene(gpt2, graph, {graph.ids[low]: 0.0}, made.replacement)
    left = dict(zip(one.nodes, (one.before + one.real).tolist(), strict=True))[graph.ids[high]]
    # the upper one alone, with the lower one's change at work: the part that is left is taken out
    replacement = made.replacement
    position, index = (int(graph.nodes[name][high]) for name in ("position", "index"))
    low_position, low_index = (int(graph.nodes[name][low]) for name in ("position", "index"))
    down = replacement.transcoders[0].sae.W_dec[low_index].detach()
    up = replacement.transcoders[1].sae.W_dec[index].detach()

    def take(at: int, amount: float, vector: torch.Tensor):
        def edit(value: torch.Tensor, hook: object) -> torch.Tensor:
            value[0, at] -= amount * vector
            return value

        return edit

    hooks = [
        ("blocks.0.hook_mlp_out", take(low_position, float(graph.nodes["activation"][low]), down)),
        ("blocks.1.hook_mlp_out", take(position, max(left, 0.0), up)),
    ]
    tokens = torch.tensor([replacement.model.token_ids])
    with torch.no_grad():
        after = gpt2.bridge.run_with_hooks(tokens, fwd_hooks=hooks)[0, -1].softmax(0)
    for token, _, _, now in both.next_tokens:
        assert now == pytest.approx(float(after[token]), abs=1e-4)


def test_what_cannot_be_edited_is_said(made: Traced, graph: ShownGraph, gpt2: LanguageModel):
    for edits, message in (
        ({}, "nothing is to be changed"),
        ({"nothing": 0.0}, "no node 'nothing'"),
        ({graph.ids[-1]: 0.0}, "features and errors"),
    ):
        with pytest.raises(ConfigError) as raised:
            intervene(gpt2, graph, edits, made.replacement)
        assert message in f"{raised.value} {raised.value.hint}"
