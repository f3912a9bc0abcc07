"""The graph follows what matters, is pruned as circuit-tracer does, and is held to the model."""

import json
from pathlib import Path

import pytest
import torch

from lmsaes.circuits import TraceConfig, Traced, graph_json, shown_graph, trace
from lmsaes.circuits.prune import influence, node_influence, prune, scores
from lmsaes.errors import ConfigError
from lmsaes.model import LanguageModel
from tests.support.made_up_transcoders import made_up_transcoders

KINDS = ["relu", "batchtopk", None, "gated"]


def traced(lm: LanguageModel, out: Path, **settings: object) -> Traced:
    if not out.exists():
        made_up_transcoders(lm, out, KINDS[: len(lm.bridge.blocks)], skip=True)
    given = {"transcoders": (str(out),), "prompt": "the piano and the", **settings}
    return trace(TraceConfig.of(given), lm)


@pytest.fixture(scope="module")
def whole(gpt2: LanguageModel, tmp_path_factory: pytest.TempPathFactory) -> Traced:
    return traced(gpt2, tmp_path_factory.mktemp("whole") / "run", verify=20)


def square(found: Traced) -> torch.Tensor:
    """The whole adjacency matrix in circuit-tracer's order of nodes, rows that sum to 1."""
    graph = found.graph
    columns = graph.edges.shape[1]
    nodes = columns + graph.targets
    matrix = torch.zeros(nodes, nodes, dtype=torch.float64)
    matrix[: graph.features, :columns] = graph.edges[: graph.features].double().abs()
    matrix[columns:, :columns] = graph.edges[graph.features :].double().abs()
    return matrix / matrix.sum(1, keepdim=True).clamp(min=1e-10)


def test_influence_is_the_sum_of_powers_of_the_matrix(whole: Traced):
    matrix = square(whole)
    start = torch.zeros(len(matrix), dtype=torch.float64)
    start[-whole.graph.targets :] = whole.graph.weights.double()
    expected, power = torch.zeros_like(start), matrix
    for _ in range(len(whole.replacement.model.blocks) + 1):
        expected += start @ power
        power = power @ matrix
    found = node_influence(whole.graph)
    torch.testing.assert_close(found.double(), expected[: len(found)], atol=1e-6, rtol=1e-4)


def test_scores_are_circuit_tracers(whole: Traced):
    graph, matrix = whole.graph, square(whole)
    start = torch.zeros(len(matrix), dtype=torch.float64)
    start[-graph.targets :] = graph.weights.double()
    inverse = torch.linalg.inv(torch.eye(len(matrix), dtype=torch.float64) - matrix)
    reached = start @ inverse - start
    positions = whole.replacement.model.positions
    errors = slice(graph.features, graph.edges.shape[1] - positions)
    tokens = slice(errors.stop, errors.stop + positions)
    explained, weight = 1 - matrix[:, errors].sum(1), reached + start
    found = scores(graph)
    assert found.replacement == pytest.approx(
        float(reached[tokens].sum() / (reached[tokens].sum() + reached[errors].sum())), rel=1e-4
    )
    assert found.completeness == pytest.approx(
        float((explained * weight).sum() / weight.sum()), rel=1e-4
    )


def test_what_is_shown_holds_the_shares_and_no_node_hangs_loose(whole: Traced):
    graph = whole.graph
    pruned = prune(graph, 0.8, 0.98)
    columns, positions = graph.edges.shape[1], whole.replacement.model.positions
    reached = node_influence(graph)
    chosen = reached >= reached.sort(descending=True).values[int(pruned.nodes[:columns].sum()) - 1]
    assert reached[chosen].sum() >= 0.5 * reached.sum()
    assert pruned.nodes[columns - positions :].all()
    for number in range(columns - positions):
        if pruned.nodes[number]:
            assert pruned.edges[:, number].any(), number
            assert number >= graph.features or pruned.edges[number].any(), number
        else:
            assert not pruned.edges[:, number].any(), number
    everything = prune(graph, 1.0, 1.0)
    assert everything.nodes.sum() > pruned.nodes.sum()
    assert (graph.edges[everything.edges] != 0).all()


def test_influence_ends_at_features_that_were_not_followed():
    rows = torch.tensor([[0.0, 0.5, 0.5], [0.5, 0.25, 0.25]])  # a feature, a target; two leaves
    found = influence(rows, 1, torch.tensor([1.0]))
    torch.testing.assert_close(found, torch.tensor([0.5, 0.5, 0.5]))


def test_a_budget_follows_the_most_influential_features(whole: Traced, gpt2: LanguageModel):
    run = whole.replacement.transcoders[0].folder.parent
    few = traced(gpt2, run, nodes=40)
    assert few.graph.features == 40
    assert few.graph.left > 0
    order = node_influence(whole.graph)[: whole.graph.features].argsort(descending=True)
    strongest = set(whole.graph.followed[order[:20]].tolist())
    assert len(strongest & set(few.graph.followed.tolist())) >= 15
    at = torch.searchsorted(whole.graph.followed, few.graph.followed)
    errors = slice(-len(few.text) * 5, None)  # errors and tokens: columns of both graphs
    torch.testing.assert_close(
        few.graph.edges[:40, errors], whole.graph.edges[at][:, errors], atol=1e-6, rtol=1e-4
    )


@pytest.mark.parametrize("model", ["gpt2", "llama"])
def test_ablations_with_everything_held_are_the_edges(
    model: str, tmp_path: Path, request: pytest.FixtureRequest
):
    found = traced(request.getfixturevalue(model), tmp_path / "run", verify=20)
    assert found.verification is not None
    assert len(found.verification.sources) == 20
    assert found.verification.frozen_error < 1e-3


def test_the_real_model_answers_less_exactly_the_more_is_let_go(whole: Traced):
    assert whole.verification is not None
    missed = {name: each.missed for name, each in whole.verification.let_go.items()}
    assert all(share is not None and share > 1e-6 for share in missed.values())
    assert whole.verification.direct == whole.verification.let_go["everything"]
    assert whole.verification.total != whole.verification.direct


def test_the_file_has_the_fields_that_viewers_ask_for(whole: Traced):
    found = json.loads(
        json.dumps(graph_json(shown_graph(whole), "piano", {(0, 1): "x"}), allow_nan=False)
    )
    metadata = found["metadata"]
    assert {"slug", "scan", "prompt_tokens", "prompt"} <= set(metadata)
    assert metadata["prompt_tokens"] == whole.text.tokens
    assert metadata["proof"]["completeness_error"] < 1e-4
    assert metadata["proof"]["verification"]["ablations"] == 20
    ids = [node["node_id"] for node in found["nodes"]]
    assert len(ids) == len(set(ids))
    required = {"node_id", "feature", "layer", "ctx_idx", "feature_type", "jsNodeId", "clerp"}
    for node in found["nodes"]:
        assert required <= set(node)
        if node["feature_type"] == "cross layer transcoder":
            layer, index, position = map(int, node["node_id"].split("_"))
            assert (str(layer), index, position) == (node["layer"], node["index"], node["ctx_idx"])
            both = layer + index
            assert node["feature"] == both * (both + 1) // 2 + index
    assert {end for link in found["links"] for end in (link["source"], link["target"])} <= set(ids)
    assert {node["feature_type"] for node in found["nodes"]} == {
        "cross layer transcoder",
        "mlp reconstruction error",
        "embedding",
        "logit",
    }


def test_a_token_or_features_can_be_the_target(whole: Traced, gpt2: LanguageModel):
    run = whole.replacement.transcoders[0].folder.parent
    named = traced(gpt2, run, targets=" the")
    assert [each.name for each in named.targets] == [" the"]
    replacement = whole.replacement
    number = int(torch.nonzero(replacement.layer == 3)[-1])
    place = (
        int(each[number]) for each in (replacement.layer, replacement.feature, replacement.position)
    )
    name = "{}:{}@{}".format(*place)
    of_feature = traced(gpt2, run, targets=name)
    assert of_feature.targets[0].source == number
    assert of_feature.graph.edges.shape[0] == of_feature.graph.features + 1
    target = graph_json(shown_graph(of_feature), "feature")["nodes"][-1]
    assert (target["is_target_logit"], target["node_id"].endswith("_target")) == (True, True)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (("the piano",), "tokens"),
        (("3:0@99",), "does not fire"),
        ((" the", "0:1@1"), "can't be explained in one graph"),
    ],
)
def test_impossible_targets_are_refused(
    whole: Traced, gpt2: LanguageModel, target: tuple[str, ...], message: str
):
    run = whole.replacement.transcoders[0].folder.parent
    with pytest.raises(ConfigError, match=message):
        traced(gpt2, run, targets=target)
