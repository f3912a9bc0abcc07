"""Analyses that use what the database has: ranges that add up, the same weights, other seeds."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lmsaes import (
    ActivationCache,
    Database,
    TopKConfig,
    analyze,
    cache_activations,
    train,
)
from lmsaes.analysis import lowest_contexts, weight_facts
from lmsaes.analysis.output_scores import CONTEXTS, POSITIONS
from lmsaes.database import SAERecord, feature_page
from lmsaes.errors import ConfigError, ModelError
from lmsaes.sae import SAE
from tests.support.small_capture import SMALL

HOOK = "blocks.1.hook_resid_post"
FEATURES, SEEDS = 96, 3
SETTINGS: dict[str, Any] = {"device": "cpu", "top": 5, "samples": 3}


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("adding-up")


@pytest.fixture(scope="module")
def cache(work) -> ActivationCache:
    return cache_activations(hooks=[HOOK], out=work / "cache", tokens=4000, **SMALL)


@pytest.fixture(scope="module")
def run(work, cache) -> list[Path]:
    """The folders of one SAE that is trained with three seeds."""
    config = TopKConfig(name="topk", hook=HOOK, features=FEATURES, k=6)
    found = train(cache, config, out=work / "run", seeds=SEEDS, tokens=30_000, batch_size=256,
                  device="cpu", allow_poor_shuffle=True)  # fmt: skip
    return [each.path for each in found]


@pytest.fixture(scope="module")
def database(work):
    with Database(folder=work / "database") as opened:
        yield opened


@pytest.fixture(scope="module")
def records(work, cache, run, database) -> list[SAERecord]:
    return analyze(run, cache, database, scratch=work / "scratch", **SETTINGS)


def test_features_that_other_seeds_find_again_are_stable(cache, run, database, records):
    """`lmsaes train --seeds 3`, then `lmsaes analyze`: is this feature real?"""
    assert len(records) == SEEDS
    tokens = cache.tokens(0, cache.contexts)
    rows = cache.activations(HOOK, 0, cache.contexts).float()[cache.valid_positions(tokens)]
    saes = [SAE.load(path) for path in run]
    activations = [sae.encode(rows, dense=True).double().numpy() for sae in saes]
    directions = [sae.W_dec.detach().double() for sae in saes]
    units = [(each / each.norm(dim=1, keepdim=True)).numpy() for each in directions]
    scores = []
    for other in (1, 2):
        cosine = units[0] @ units[other].T
        with np.errstate(invalid="ignore", divide="ignore"):
            correlation = np.corrcoef(activations[0].T, activations[other].T)
        correlation = np.nan_to_num(correlation[:FEATURES, FEATURES:])
        scores.append(np.minimum(cosine, correlation).max(1).clip(0))
    best = np.mean(scores, 0)
    stability = database.columns(records[0].analysis, ["stability"])["stability"]
    assert stability.shape == (FEATURES,)
    # candidates are few: a score may be missed, none is too high, and the high ones are found
    assert (stability <= best + 0.01).all()
    assert best.max() > 0.7
    assert stability[best > 0.7] == pytest.approx(best[best > 0.7], abs=0.02)
    for feature in (0, int(best.argmax())):
        twins = feature_page(database, records[0], feature)["twins"]
        assert {twin["sae"] for twin in twins} == {record.name for record in records[1:]}
        assert np.mean([twin["score"] for twin in twins]) == pytest.approx(
            stability[feature], abs=1e-6
        )


def test_ranges_add_up_to_the_analysis_of_all(work, cache, run, database, records, monkeypatch):
    order, name, passed = ["40:70", "60:96", "0:50"], "parts", []
    scan = weight_facts._computed
    monkeypatch.setattr(
        weight_facts,
        "_computed",
        lambda job, *rest: (
            passed.append((job.features.start, job.features.stop)) or scan(job, *rest)
        ),
    )
    for features in order:
        (record,) = analyze(
            run[0], cache, database, features=features, name=name, scratch=work / "scratch",
            **SETTINGS,
        )  # fmt: skip
    assert record.feature_range == (0, FEATURES)
    assert sorted(each for part in passed for each in range(*part)) == [*range(FEATURES)]
    whole = records[0]
    for feature in range(0, FEATURES, 3):
        found, expected = (feature_page(database, each, feature) for each in (record, whole))
        # twins are sought in the SAE itself too here, under its other name
        for page in (found, expected):
            page["sae"] = page["stability"] = None
            names = {each.name for each in records[1:]}
            page["twins"] = [twin for twin in page["twins"] if twin["sae"] in names]
        assert_close(found, expected)
    keys = ["firings", "contexts", "density", "maximum", "mean", "logit_std", "fires_on"]
    columns = [database.columns(each.analysis, keys) for each in (record, whole)]
    for key in keys:
        assert columns[0][key] == pytest.approx(columns[1][key], rel=1e-5)
    tokens = [database.tokens(each.analysis, range(300)) for each in (record, whole)]
    assert tokens[0].keys() == tokens[1].keys()
    for token, found in tokens[0].items():
        expected = tokens[1][token]
        assert found.fires["sum"] == pytest.approx(expected.fires["sum"], rel=1e-5)
        assert found.promotes["weight"] == pytest.approx(expected.promotes["weight"], rel=1e-5)
    again = analyze(run[0], cache, database, features=order[0], name=name, **SETTINGS)
    assert again == [record]  # it is among them
    assert len(passed) == len(order)


def assert_close(found: Any, expected: Any) -> None:
    """That two JSON values are the same but for a float's last digits."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key in expected:
            assert_close(found[key], expected[key])
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, two in zip(found, expected, strict=True):
            assert_close(one, two)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-6)
    else:
        assert found == expected


def test_ranges_with_a_gap_between_are_refused(work, cache, run, database):
    settings = {**SETTINGS, "name": "gap", "scratch": work / "scratch"}
    (record,) = analyze(run[0], cache, database, features="0:16", **settings)
    with pytest.raises(ConfigError, match="16 to 31 would be missing") as refused:
        analyze(run[0], cache, database, features="32:48", **settings)
    assert "--features 16:32" in (refused.value.hint or "")
    assert database.sae("gap") == record


def test_what_follows_from_the_weights_is_not_computed_again(
    work, cache, run, database, records, monkeypatch
):
    def load(*_: object) -> None:
        raise ModelError("it is not there")

    monkeypatch.setattr(weight_facts, "load_cache_model", load)
    settings = {**SETTINGS, "scratch": work / "scratch", "name": "deeper", "top": 7}
    (record,) = analyze(run[1], cache, database, **settings)
    page, known = (feature_page(database, each, 11) for each in (record, records[1]))
    for key in ("promotes", "suppresses", "logits", "wiring", "label"):
        assert page[key] == known[key]
    tokens = [database.tokens(each.analysis, range(300)) for each in (record, records[1])]
    for token, found in tokens[0].items():
        for table in ("fires", "promotes"):
            assert repr(getattr(found, table)) == repr(getattr(tokens[1][token], table))
    with pytest.raises(ModelError):  # of these features alone it has none
        analyze(run[1], cache, database, features="0:8", **{**settings, "name": "few"})


def test_of_another_model_nothing_is_taken_over(cache, run, database, records):
    """The hashes of an analysis are compared with those of the cache."""
    from lmsaes.analysis.config import AnalyzeConfig
    from lmsaes.analysis.jobs import new_job

    config = AnalyzeConfig.of({"saes": str(run[0]), "cache": str(cache.path)})
    job = new_job(run[0], cache, config, torch.device("cpu"))
    assert weight_facts._donor_of(job, database) is not None
    job.made_from["model_weights"] = "0" * 16
    assert weight_facts._donor_of(job, database) is None


def test_output_scores_are_those_of_steering(work, cache, run, database):
    """The same feature at the same value, through the engine of `lmsaes steer`."""
    from lmsaes.steering import find_model, output_scores

    settings = {**SETTINGS, "scratch": work / "scratch", "name": "scored", "output_scores": 5}
    (record,) = analyze(run[0], cache, database, **settings)
    columns = database.columns(record.analysis, ["output_score", "firings", "maximum"])
    chosen = np.flatnonzero(columns["output_score"] >= 0)
    assert len(chosen) == 5
    assert (columns["firings"][chosen] > 0).all()
    sae = SAE.load(run[0])
    lm = find_model(sae, device="cpu")
    ids = lowest_contexts(cache.contexts, CONTEXTS, 0)
    tokens = torch.cat([cache.tokens(int(i), int(i) + 1) for i in ids])[:, :POSITIONS].long()
    pages = [feature_page(database, record, int(feature)) for feature in chosen]
    values = [page["output"]["value"] for page in pages]
    for page, value in zip(pages, values, strict=True):
        counts, end = page["histogram"]["counts"], page["histogram"]["upper"]
        below = sum(
            c for i, c in enumerate(counts) if end * (i + 1) / len(counts) <= value * 1.0001
        )
        assert value <= page["maximum"]
        assert below >= 0.99 * page["firings"] or value == pytest.approx(page["maximum"])
    expected = output_scores(lm, sae, chosen.tolist(), values, tokens)
    for page, score in zip(pages, expected, strict=True):
        assert page["output"]["kl"] == pytest.approx(score.kl, rel=1e-3, abs=1e-7)
        assert columns["output_score"][page["feature"]] == pytest.approx(score.kl, rel=1e-3)
        assert page["output"]["raises"][0]["token_id"] == score.raises[0][0]
    others = np.delete(np.arange(FEATURES), chosen)
    assert feature_page(database, record, int(others[0]))["output"] is None
