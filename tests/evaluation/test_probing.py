"""k-sparse probing: finds the features that tell texts apart, and refuses what it can't read."""

import json
from pathlib import Path

import pytest
import torch

from lmsaes import TopKConfig, cache_activations, evaluate
from lmsaes.errors import DataError
from lmsaes.evaluation.probing import LabeledTexts, _over_seeds, _Sparse, check_probe, fit_logistic
from lmsaes.sae import SparseRows
from tests.support.made_from_rows import sae_from_rows
from tests.support.small_capture import SMALL

RIVER = "The river was wide and its water cold, {} miles long."
KING = "King Henry won the war of {} against France."


def _write(file: Path, lines: list[object]) -> Path:
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def test_texts_are_told_apart_by_few_features_and_by_all_of_the_activation(tmp_path):
    hook = "blocks.1.hook_resid_post"
    cache = cache_activations(**SMALL, hooks=[hook], tokens=640, out=tmp_path / "c")
    sae_from_rows(cache, TopKConfig(hook=hook, k=8, features=64), tmp_path / "run" / "sae")
    labels = [{"text": RIVER.format(i), "label": "river"} for i in range(15)]
    labels += [{"text": KING.format(i), "label": "king"} for i in range(12)]
    file = _write(tmp_path / "labels.jsonl", labels)
    result = evaluate(tmp_path / "run", cache, probe=file)[0]
    assert result.probing is not None
    assert (result.probing.texts, result.probing.classes) == (27, ["king", "river"])
    found = {each.inputs: each for each in result.probing.results}
    assert list(found) == ["1 feature", "2 features", "5 features", "dense"]
    assert found["dense"].accuracy > 0.9
    assert found["5 features"].accuracy > 0.8
    assert found["1 feature"].low <= found["1 feature"].accuracy <= found["1 feature"].high
    assert found["dense"].features is None
    assert {name: len(f) for name, f in found["2 features"].features.items()} == {"king": 2}
    again = evaluate(tmp_path / "run", cache, probe=file)[0].probing
    assert again == result.probing


def test_planted_features_are_chosen_and_noise_is_at_chance():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(300) % 3
    dense = torch.rand(300, 20, generator=generator)
    for index in range(3):
        dense[:, 4 * index] += 2 * (labels == index)
    labeled = LabeledTexts(("",) * 300, labels, ("a", "b", "c"))
    one = _over_seeds(labeled, "1 feature", _Sparse(SparseRows.above(dense, 0.0), 1))
    assert one.features == {"a": [0], "b": [4], "c": [8]}
    assert one.accuracy > 0.97
    noise = torch.rand(300, 20, generator=generator)
    chance = _over_seeds(labeled, "5 features", _Sparse(SparseRows.above(noise, 0.0), 5))
    assert chance.low <= 0.55
    assert 0.4 < chance.accuracy < 0.6


def test_the_regression_is_at_the_minimum_of_its_loss():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(80, 3, generator=generator, dtype=torch.float64) * 5 + 2
    signs = torch.where(x[:, 0] + torch.randn(80, generator=generator) > 2, 1.0, -1.0).double()
    decide = fit_logistic(x, signs)
    points = torch.cat([torch.zeros(1, 3), torch.eye(3)]).double()
    at = decide(points)
    weight = torch.cat([at[1:] - at[0], at[:1]])  # in the inputs' own units
    scale = x.std(0, correction=0)

    def loss(moved: torch.Tensor) -> float:
        odds = x @ moved[:3] + moved[3]
        penalty = (moved[:3] * scale).square().sum() / 2
        return float(torch.nn.functional.softplus(-signs * odds).sum() + penalty)

    least = loss(weight)
    for direction in torch.eye(4).double():
        assert loss(weight + 1e-3 * direction) > least < loss(weight - 1e-3 * direction)


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ('{"text": "a"}', "line 1 of .* has no label"),
        ('{"label": 1}', "has no text"),
        ("[1]", "line 1 of .* is not"),
        ("{", "line 1 of .* is not JSON"),
        ('{"text": "a", "label": "x"}\n' * 20, "has 1 classes"),
        ('{"text": "a", "label": "x"}\n' * 20 + '{"text": "b", "label": "y"}', "1 texts of 'y'"),
        ("", "has 0 classes"),
    ],
)
def test_labels_that_can_not_be_used_are_refused_by_line(tmp_path, lines, why):
    file = tmp_path / "labels.jsonl"
    file.write_text(lines)
    with pytest.raises(DataError, match=why):
        check_probe(file)
    with pytest.raises(DataError, match="can't read"):
        check_probe(tmp_path)
