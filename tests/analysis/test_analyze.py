"""An analysis of real SAEs of the bundled model, against dense activations; what `show` prints."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from lmsaes import (
    ActivationCache,
    Database,
    ReLUConfig,
    TopKConfig,
    analyze,
    cache_activations,
    train,
)
from lmsaes.analysis import run as run_module
from lmsaes.analysis import scan as scan_module
from lmsaes.cli.app import app
from lmsaes.database import SAERecord, feature_page
from lmsaes.sae import SAE
from tests.support.brute_force import interval_borders, sampled
from tests.support.processes import run_ranks
from tests.support.small_capture import SMALL

PRE, POST = "blocks.1.hook_resid_pre", "blocks.2.hook_resid_post"
SETTINGS = {"device": "cpu", "top": 6, "samples": 4, "seed": 3}


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("analyze")


@pytest.fixture(scope="module")
def cache(work) -> ActivationCache:
    return cache_activations(hooks=[PRE, POST], out=work / "cache", tokens=5000, **SMALL)


@pytest.fixture(scope="module")
def trained(work, cache) -> Path:
    common = {"features": 160, "optimizer": "adam"}
    saes = [
        TopKConfig(name="one", hook=POST, k=8, seed=0, **common),
        TopKConfig(name="two", hook=POST, k=8, seed=1, **common),
        ReLUConfig(name="cross", hooks=(PRE, POST), **common),
        TopKConfig(name="trans", hook=PRE, target=POST, k=8, **common),
    ]
    train(cache, saes, out=work / "run", tokens=20_000, batch_size=256, device="cpu",
          allow_poor_shuffle=True)  # fmt: skip
    return work / "run"


@pytest.fixture(scope="module")
def database(work):
    with Database(folder=work / "database") as opened:
        yield opened


@pytest.fixture(scope="module")
def records(work, cache, trained, database) -> dict[str, SAERecord]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(work / "user-cache"))
        found = analyze(str(trained), cache, database, **SETTINGS)
    assert not list((work / "user-cache" / "lmsaes" / "analyze").iterdir())
    return {record.name.partition(":")[2]: record for record in found}


@pytest.fixture(scope="module")
def dense(cache, records) -> dict[str, np.ndarray]:
    """Activations [contexts, context_size, features] of each SAE, zero where not valid."""
    valid = cache.valid_positions(cache.tokens(0, cache.contexts))
    x = {hook: cache.activations(hook, 0, cache.contexts).float() for hook in (PRE, POST)}
    found = {}
    for name, record in records.items():
        rows = torch.cat([x[hook] for hook in record.hook.split(", ")], -1)
        activations = SAE.load(record.sae_path).encode(rows.flatten(0, 1), dense=True)
        found[name] = (activations.reshape(*valid.shape, -1) * valid[:, :, None]).numpy()
    return found


def some_features(activations: np.ndarray) -> list[int]:
    """The most frequent ones, some others, and a dead one where there is one."""
    firings = (activations > 0).sum((0, 1))
    dead = np.flatnonzero(firings == 0)[:1].tolist()
    return [*np.argsort(-firings)[[0, 1, 7, 30, 60]].tolist(), *dead]


@pytest.mark.parametrize("name", ["one", "cross", "trans"])
def test_pages_say_what_a_brute_force_search_finds(name, cache, database, records, dense):
    record, activations = records[name], dense[name]
    tokens = cache.tokens(0, cache.contexts).numpy()
    valid = cache.valid_positions(torch.from_numpy(tokens)).numpy()
    assert record.tokens_analyzed == valid.sum()
    own_counts = np.bincount(tokens[valid])
    vocabulary = database.vocabulary(record.vocabulary)
    for feature in some_features(activations):
        page = feature_page(database, record, feature)
        own = activations[:, :, feature]
        peaks = own.max(1)
        firing = np.flatnonzero(peaks > 0).tolist()
        assert page["firings"] == (own > 0).sum()
        assert page["contexts"] == len(firing)
        assert page["maximum"] == pytest.approx(own.max(), rel=1e-5)
        groups = page["groups"]
        expected = {
            "top": sorted(firing, key=lambda c: (-peaks[c], c))[:6],
            "random": sampled(firing, 4, 3),
            "silent": sampled([c for c in range(len(own)) if peaks[c] == 0], 4, 3),
        }
        available = {"top": len(firing), "random": len(firing), "silent": len(own) - len(firing)}
        for group, contexts in expected.items():
            shown = groups[group]
            assert shown["available"] == available[group]
            found = [each["context"] for each in shown["contexts"]]
            if group == "top":  # a near tie may be turned in another product
                assert peaks[found] == pytest.approx(peaks[contexts], rel=1e-5)
            else:
                assert found == contexts
        for shown in (each for group in groups.values() for each in group["contexts"]):
            assert shown["token_ids"] == tokens[shown["context"]].tolist()
            assert shown["tokens"] == [vocabulary[token] for token in shown["token_ids"]]
            np.testing.assert_allclose(
                shown["activations"], own[shown["context"]], rtol=1e-3, atol=own.max() * 1e-6
            )
        if not firing:
            assert page["label"] is None
            assert page["mean"] is None
            assert groups["interval-0"] == {
                "available": 0, "lower": None, "upper": None, "contexts": []
            }  # fmt: skip
            continue
        assert page["mean"] == pytest.approx(own[own > 0].mean(), rel=1e-4)
        borders = interval_borders(page["maximum"])
        for number, (lower, upper) in enumerate(itertools.pairwise(borders)):
            shown = groups[f"interval-{number}"]
            assert (shown["lower"], shown["upper"]) == pytest.approx((lower, upper))
            inside = [c for c in firing if lower < peaks[c] <= upper]
            assert shown["available"] == len(inside)
            assert [each["context"] for each in shown["contexts"]] == sampled(inside, 4, 3)
        counts = np.bincount(tokens[own > 0], minlength=len(vocabulary))
        sums = np.bincount(tokens[own > 0], own[own > 0], len(vocabulary))
        for each in page["fires_on"]:
            token = each["token_id"]
            assert each["count"] == counts[token]
            assert each["mean"] == pytest.approx(sums[token] / counts[token], rel=1e-4)
            assert each["share_of_firings"] == pytest.approx(counts[token] / counts.sum())
            assert each["share_of_token"] == pytest.approx(counts[token] / own_counts[token])
        assert len(page["fires_on"]) == min(32, (counts > 0).sum())
        assert vocabulary[counts.argmax()] in page["label"] or counts.max() == np.sort(counts)[-2]
        often = {each["token_id"] for each in page["fires_on"][:8]}
        for each in groups["same-token"]["contexts"]:
            assert each["maximum"] == 0
            assert each["token_ids"][each["position"]] in often


def test_partners_and_twins_have_the_measures_of_all_rows(cache, database, records, dense):
    """The cache is smaller than the sample: every valid row is in it."""
    valid = cache.valid_positions(cache.tokens(0, cache.contexts)).numpy()
    one, two = dense["one"][valid], dense["two"][valid]
    decoders = [SAE.load(records[n].sae_path).W_dec.detach().numpy() for n in ("one", "two")]
    unit = [d / np.linalg.norm(d, axis=1, keepdims=True) for d in decoders]
    stability = database.columns(records["one"].analysis, ["stability"])["stability"]
    for feature in some_features(dense["one"]):
        page = feature_page(database, records["one"], feature)
        for partner in page["neighbors"]["jaccard"]:
            both = ((one[:, feature] > 0) & (one[:, partner["feature"]] > 0)).sum()
            either = ((one[:, feature] > 0) | (one[:, partner["feature"]] > 0)).sum()
            assert (partner["joint"], partner["jaccard"]) == (both, pytest.approx(both / either))
        cosines = unit[0] @ unit[0][feature]
        cosines[feature] = -2
        near = page["neighbors"]["decoder"]
        assert [each["cosine"] for each in near] == pytest.approx(
            np.sort(cosines)[::-1][:10], abs=1e-5
        )
        (twin,) = page["twins"]  # the crosscoder and the transcoder have other hooks
        assert twin["sae"] == records["two"].name
        assert page["stability"] == pytest.approx(twin["score"])
        assert stability[feature] == pytest.approx(twin["score"])
        if twin["feature"] is None:
            continue
        cosine = unit[0][feature] @ unit[1][twin["feature"]]
        correlation = np.corrcoef(one[:, feature], two[:, twin["feature"]])[0, 1]
        assert twin["cosine"] == pytest.approx(cosine, abs=1e-5)
        assert twin["correlation"] == pytest.approx(correlation, abs=2e-3)


def test_a_crosscoder_tells_its_hooks_apart(database, records, language_model):
    unembedding = language_model.unembedding()
    row = SAE.load(records["cross"].sae_path).W_dec.detach()[5].reshape(2, -1)
    page = feature_page(database, records["cross"], 5)
    for hook, name, direction in zip(page["hooks"], (PRE, POST), row, strict=True):
        assert hook["hook"] == name
        assert hook["norm"] == pytest.approx(float(direction.norm()), rel=1e-5)
        best = (direction @ unembedding).topk(10).indices.tolist()
        assert [each["token_id"] for each in hook["promotes"]] == best
    assert page["promotes"] == page["hooks"][-1]["promotes"]
    assert records["trans"].target == POST


def test_a_transcoder_is_written_by_what_comes_before_its_input(database, records):
    page = feature_page(database, records["trans"], 5)
    writers, readers = page["wiring"]["writers"], page["wiring"]["readers"]
    for kind in ("heads", "neurons"):
        assert {each["layer"] for each in writers[kind]} == {0}  # it reads what enters block 1
        assert {each["layer"] for each in readers[kind]} == {3}  # it gives what leaves block 2
    assert page["wiring"]["missing"] is None
    assert {each["by"] for each in readers["heads"]} <= {"query", "key", "value"}


def test_the_curves_of_the_training_are_kept(database, trained, records):
    found = database.metrics(records["one"].analysis)
    lines = (trained / "one" / "metrics.jsonl").read_text().splitlines()
    assert found.step == [json.loads(line)["step"] for line in lines]
    assert found.series["fvu"] == [json.loads(line)["fvu"] for line in lines]


def test_a_token_has_its_features(cache, database, records, dense):
    tokens = cache.tokens(0, cache.contexts).numpy()
    record = records["one"]
    token = int(np.bincount(tokens[:, 1:].reshape(-1)).argmax())
    found = database.tokens(record.analysis, [token])[token]
    sums = dense["one"][tokens == token].sum(0)
    assert found.fires["sum"] == pytest.approx(
        np.sort(sums)[::-1][: len(found.fires["sum"])], rel=1e-4
    )
    assert (np.diff(found.promotes["weight"]) <= 0).all()
    page = feature_page(database, record, int(found.promotes["feature"][0]))
    weights = {each["token_id"]: each["weight"] for each in page["promotes"]}
    if token in weights:
        assert weights[token] == pytest.approx(float(found.promotes["weight"][0]), rel=1e-4)


def documents(database: Database, record: SAERecord) -> list[str]:
    indices = range(0, 160, 7)
    with np.printoptions(threshold=10**6):
        return [
            repr([page | {"sae": None, "twins": None, "stability": None} for page in pages])
            for pages in [[feature_page(database, record, index)] for index in indices]
        ]


def test_an_interrupted_analysis_goes_on_to_the_same_documents(
    work, cache, trained, database, records, monkeypatch
):
    monkeypatch.setattr(scan_module, "_ROWS_PER_BATCH", 4096)
    monkeypatch.setattr(scan_module, "_MOST_WORKERS", 1)
    whole = scan_module.Findings.add
    calls = []

    def add(self, *arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return whole(self, *arguments)

    monkeypatch.setattr(scan_module.Findings, "add", add)
    settings = {**SETTINGS, "name": "again", "scratch": str(work / "scratch")}

    def scan(*arguments):
        return scan_module.scan(*arguments, checkpoint_every=-1)

    monkeypatch.setattr(run_module, "scan", scan)
    with pytest.raises(KeyboardInterrupt):
        analyze(str(trained / "one"), cache, database, **settings)
    assert database.sae("again") is None
    assert list((work / "scratch").rglob("*.safetensors"))
    monkeypatch.setattr(scan_module.Findings, "add", whole)
    loaded = []
    load = scan_module.Findings.load
    monkeypatch.setattr(
        scan_module.Findings, "load", lambda self: loaded.append(load(self)) or loaded[-1]
    )
    (record,) = analyze(str(trained / "one"), cache, database, **settings)
    assert loaded == [True]
    assert not list((work / "scratch").iterdir())
    assert documents(database, record) == documents(database, records["one"])
    # the others of the database that have this hook are looked through for twins
    twins = {twin["sae"] for twin in feature_page(database, record, 0)["twins"]}
    assert twins == {records["one"].name, records["two"].name}
    same = feature_page(database, record, int(some_features_of(database, records["one"])))
    scores = {twin["sae"]: twin["score"] for twin in same["twins"]}
    assert scores[records["one"].name] == pytest.approx(1, abs=1e-2)


def analyze_as_rank(sae: Path, cache: Path, folder: Path, settings: dict) -> None:
    with Database(folder=folder) as database:
        (record,) = analyze(sae, ActivationCache.open(cache), database, **settings)
    assert record.name == settings["name"]  # every process gets what the first one stored


@pytest.mark.parametrize("size", [pytest.param(2, marks=pytest.mark.stress), 3])
def test_processes_that_share_the_cache_store_the_same_documents(
    work, cache, trained, database, records, size
):
    settings = {**SETTINGS, "name": f"shared-{size}", "scratch": str(work / "scratch")}
    run_ranks(size, analyze_as_rank, trained / "one", cache.path, work / "database", settings)
    record = database.sae(settings["name"])
    assert record is not None
    assert documents(database, record) == documents(database, records["one"])
    assert (record.fvu, record.l0) == (records["one"].fvu, records["one"].l0)
    assert not list((work / "scratch").iterdir())


def some_features_of(database: Database, record: SAERecord) -> int:
    return int(database.columns(record.analysis, ["firings"])["firings"].argmax())


def test_show_prints_a_feature(work, database, records, monkeypatch):
    monkeypatch.setenv("LMSAES_DB_FOLDER", str(work / "database"))
    monkeypatch.delenv("LMSAES_DB", raising=False)
    name = records["one"].name
    feature = some_features_of(database, records["one"])
    result = CliRunner().invoke(app, ["show", name, str(feature), "--json"])
    assert result.exit_code == 0, result.output
    page = feature_page(database, records["one"], feature)
    assert json.loads(result.stdout) == page
    result = CliRunner().invoke(app, ["show", name, str(feature), "--group", "interval-2"])
    assert result.exit_code == 0, result.output
    assert page["label"].split(" ")[-2] in result.stdout
    assert f"interval-2: {len(page['groups']['interval-2']['contexts'])} of" in result.stdout
    writer = page["wiring"]["writers"]["neurons"][0]
    assert f"L{writer['layer']}N{writer['neuron']} {writer['ratio']:.1f}×" in result.stdout
    dead = np.flatnonzero(database.columns(records["one"].analysis, ["firings"])["firings"] == 0)
    for index in dead[:1].tolist():
        assert "never fires" in CliRunner().invoke(app, ["show", name, str(index)]).stdout
    for words, told in {
        ("none", "3"): "no SAE 'none'",
        (name, "160"): "has no feature 160",
        (name, "1", "--group", "best"): "'best' is no group",
    }.items():
        result = CliRunner().invoke(app, ["show", *words])
        assert result.exit_code == 1
        assert told in result.stderr
