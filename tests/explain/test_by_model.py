"""Labels by a language model, against a server on this machine that answers by rules."""

import re
from collections.abc import Iterator

import numpy as np
import pytest
from typer.testing import CliRunner

from lmsaes import Database, TopKConfig, analyze, cache_activations, train
from lmsaes.analysis import lowest_contexts
from lmsaes.cli.app import app
from lmsaes.errors import ConfigError
from lmsaes.explain import EndpointError, ExplainConfig, explain_features, score_of
from lmsaes.explain import endpoint as endpoint_module
from lmsaes.explain.examples import Examples, half_of
from tests.support.chat_server import Reply, chat_server, completion
from tests.support.small_capture import SMALL

pytest.importorskip("openai")

HOOK = "blocks.1.hook_resid_post"
NAME = "run:topk"


@pytest.fixture(scope="module")
def database(tmp_path_factory) -> Iterator[Database]:
    """An SAE of the bundled model, analyzed with enough contexts to judge by."""
    folder = tmp_path_factory.mktemp("by-model")
    cache = cache_activations(**SMALL, hooks=[HOOK], out=str(folder / "cache"), tokens=12_288)
    config = TopKConfig(name="topk", hook=HOOK, k=4, features=128)
    train(cache, [config], out=str(folder / "run"), tokens=4096, batch_size=256, device="cpu")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("LMSAES_DB", raising=False)
        patch.setenv("LMSAES_DB_FOLDER", str(folder / "db"))
        with Database() as database:
            analyze(str(folder / "run"), cache, database, device="cpu", samples=12)
            yield database


@pytest.fixture
def record(database, request, monkeypatch):
    """The SAE as if with weights of its own for each test, and no pauses between tries."""
    import hashlib

    monkeypatch.setattr(endpoint_module, "_PAUSE", 0.0)
    own = hashlib.sha256(request.node.name.encode()).hexdigest()[:16]
    return database.sae(NAME).model_copy(update={"sae_hash": own})


@pytest.fixture(scope="module")
def busy(database):
    """Features of whose contexts there are all kinds to judge by."""
    record = database.sae(NAME)
    examples = Examples(database, record, 32)
    found = []
    for feature in range(record.features):
        if len(found) == 4:
            break
        items = examples.to_judge(feature, 5)
        kinds = {item.kind for item in items} - {None}
        if len(kinds) == 3 and sum(item.fires for item in items) >= 10:
            found.append(feature)
    return found


def config(server, feature, count=1, **more):
    how = {
        "explainer": "rule",
        "endpoint": server.address,
        "features": f"{feature}:{feature + count}",
    }
    return ExplainConfig.of({"sae": NAME, **how, **more})


def asks_label(asked):
    return "LABEL" in asked["messages"][0]["content"]


def label_and_text(asked):
    found = re.fullmatch(r"Label: (.*?)\n\nText: (.*)", asked["messages"][1]["content"], re.DOTALL)
    return found[1], found[2]


def answering(label, judge):
    """A rule: this label, and `judge(label, text)` in words."""

    def rule(asked):
        return f"LABEL: {label}" if asks_label(asked) else judge(*label_and_text(asked))

    return rule


def items_of(database, record, feature, per_interval=5):
    return Examples(database, record, 32).to_judge(feature, per_interval)


def test_who_knows_where_it_fires_scores_one(database, record, busy):
    truth = {i.window.text: i.fires for i in items_of(database, record, busy[0])}
    with chat_server(answering("x", lambda _, t: "yes" if truth[t] else "No.")) as server:
        found = explain_features(database, record, config(server, busy[0], score=True))
    score = score_of(found.labels[busy[0]])
    assert score.balanced_accuracy == 1.0
    assert 0.7 < score.low < 1.0 == score.high
    assert (score.n, score.missing) == (len(truth), 0)
    assert {s.value for s in score.by_interval if s.of} == {1.0}
    assert [k for k, s in score.by_negative.items() if s.of] == ["random", "same-token", "neighbor"]
    assert score.beats_tokens
    assert "better than its tokens" in score.verdict()


@pytest.mark.parametrize("word", ["yes", "no"])
def test_who_always_says_the_same_scores_a_half(database, record, busy, word):
    with chat_server(answering("x", lambda *_: word)) as server:
        found = explain_features(database, record, config(server, busy[0], score=True))
    score = score_of(found.labels[busy[0]])
    assert score.balanced_accuracy == 0.5
    assert score.sensitivity.value == float(word == "yes")
    assert score.specificity.value == float(word == "no")
    assert score.beats_tokens is False
    assert "no better than its tokens" in score.verdict()


def test_a_rule_scores_what_counting_by_hand_gives(database, record, busy):
    """Says yes where the text has an e; one feature's windows, another's label beside it."""
    first, second = sorted(busy[:2])
    wanted = f"{first}:{second + 1}"

    def judge(label, text):
        return "yes" if label.removeprefix("has ") in text else "no"

    def rule(asked):
        if not asks_label(asked):
            return judge(*label_and_text(asked))
        return f"LABEL: has {'the' if 'the' in asked['messages'][1]['content'] else 'of'}"

    with chat_server(rule) as server:
        how = {"features": wanted, "score": True, "max_requests": 100_000}
        found = explain_features(database, record, config(server, 0, **how))
    feature = first
    label = found.labels[feature].text.removeprefix("has ")
    items = items_of(database, record, feature)
    hits = [[label in i.window.text for i in items if i.fires is fires] for fires in (True, False)]
    score = score_of(found.labels[feature])
    tpr, fpr = map(np.mean, hits)
    assert score.balanced_accuracy == pytest.approx((tpr + 1 - fpr) / 2)
    for interval, share in enumerate(score.by_interval):
        own = [label in i.window.text for i in items if i.interval == interval]
        assert (share.right, share.of) == (sum(own), len(own))
    tokens = set(Examples(database, record, 32).top_tokens(feature))
    by_tokens = [bool(tokens & set(i.window.token_ids)) == i.fires for i in items]
    fires = np.array([i.fires for i in items])
    right = np.array(by_tokens)
    expected = (right[fires].mean() + right[~fires].mean()) / 2
    assert score.baseline_token.balanced_accuracy == pytest.approx(expected)


def test_no_text_explains_and_scores(database, record, busy):
    for feature in busy[:6]:
        examples = Examples(database, record, 32)
        explained = {w.context for w in examples.to_explain(feature)}
        items = examples.to_judge(feature, 5)
        assert explained
        assert explained.isdisjoint(i.window.context for i in items)
        assert all(half_of(c) == "explain" for c in explained)
        contexts = [i.window.context for i in items]
        assert len(set(contexts)) == len(contexts)
        for item in items:
            assert bool(item.window.activations.any()) is item.fires


def test_what_is_called_silent_is_silent_in_the_cache(database, record, busy):
    """Of the neighbors' contexts too, against all firings of the analysis."""
    blocks = database.rows(record.analysis)
    kinds = set()
    for feature in busy[:6]:
        (block,) = [b for b in blocks if b.first <= feature < b.first + len(b.counts)]
        ends = np.cumsum(block.counts)
        place = feature - block.first
        own = block.places[ends[place] - block.counts[place] : ends[place]]
        ranks = np.unique(own // record.context_size)
        made, size = record.made_from, record.context_size
        sampled = np.sort(lowest_contexts(made["rows"] // size, made["sample_rows"] // size, 0))
        fires_in = set(sampled[ranks].tolist())
        for item in items_of(database, record, feature):
            if not item.fires:
                kinds.add(item.kind)
                assert item.window.context not in fires_in
            elif item.window.context in set(sampled.tolist()):
                assert item.window.context in fires_in
    assert kinds == {"random", "same-token", "neighbor"}


@pytest.mark.parametrize(
    "bad",
    [
        Reply(500, '{"error": {"message": "overloaded"}}'),
        Reply(200, "not json at all"),
        Reply(200, '{"choices": []}'),
        Reply(200, '{"choices": "abc"}'),
        Reply(200, "hello", "text/plain"),
        Reply(200, completion("")),
        Reply(200, completion("yes and no")),
        Reply(200, completion("\ud800 %%%")),
        Reply(400, '{"error": {"message": "too long"}}'),
        Reply(200, completion("no"), delay=4.0),
    ],
    ids=["500", "no json", "none", "choices", "text", "empty", "both", "sign", "400", "slow"],
)
def test_failed_answers_are_missing(database, record, busy, bad):
    """Every tenth window gets no answer that could be read; the others are judged rightly."""
    feature = busy[0]
    items = items_of(database, record, feature)
    truth = {i.window.text: i.fires for i in items}
    lost = set(sorted(truth)[::10])

    def judge(_, text):
        return bad if text in lost else "yes" if truth[text] else "no"

    with chat_server(answering("x", judge)) as server:
        how = {"score": True, "timeout": 2.0, "max_requests": 1000, "parallel": 16}
        found = explain_features(database, record, config(server, feature, **how))
    score = score_of(found.labels[feature])
    assert score.missing == sum(i.window.text in lost for i in items)
    assert score.n == len(items)
    assert score.balanced_accuracy == 1.0
    judged = score.sensitivity.of + score.specificity.of
    assert judged == score.n - score.missing
    assert {i.said for i in score.items} == {True, False, None}


def test_a_failure_that_passes_is_tried_again(database, record, busy):
    seen = set()

    def rule(asked):
        text = str(asked["messages"])
        if text not in seen:
            seen.add(text)
            return Reply(429, '{"error": {"message": "slow down"}}')
        return "LABEL: x"

    with chat_server(rule) as server:
        found = explain_features(database, record, config(server, busy[0]))
    assert found.labels[busy[0]].text == "x"
    assert found.requests == len(server.requests) == 2


def test_the_budget_holds_and_a_second_run_goes_on(database, record, busy):
    feature = busy[0]
    rule = answering("x", lambda *_: "yes")
    with chat_server(rule) as server:
        how = config(server, feature, score=True, max_requests=12)
        first = explain_features(database, record, how)
        assert len(server.requests) == first.requests == 12
        assert (first.unfinished, first.labels[feature].score) == (1, None)
        whole = config(server, feature, score=True)
        second = explain_features(database, record, whole)
        questions = [str(each) for each in server.requests]
        assert len(questions) == len(set(questions)), "a question was asked twice"
        assert second.labels[feature].score is not None
        third = explain_features(database, record, whole)
        assert (third.requests, third.new) == (0, 0)
    versions = database.explanations.history(record.sae_hash, feature)
    assert [v.score is None for v in versions] == [True, False]
    assert versions[0].by_model
    assert versions[0].requests[0]["answer"] == "LABEL: x"
    assert versions[0].requests[0]["messages"][0]["role"] == "system"


def test_what_a_person_said_is_left_alone(database, record, busy):
    from lmsaes.explain import explain_by_hand

    explain_by_hand(database, record, busy[0], "ships", "ann")
    with chat_server(answering("x", lambda *_: "yes")) as server:
        found = explain_features(database, record, config(server, busy[0]))
        assert (found.by_hand, server.requests) == ([busy[0]], [])
    assert database.explanations.current(record.sae_hash, busy[:1])[busy[0]].text == "ships"


def test_a_server_that_refuses_ends_it_without_the_key(database, record, busy, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    body = '{"error": {"message": "Incorrect API key provided: sk-very-secret"}}'
    with chat_server(lambda _: Reply(401, body)) as server:
        with pytest.raises(EndpointError, match="refuses") as raised:
            explain_features(database, record, config(server, busy[0]))
        assert server.authorizations == {"Bearer sk-very-secret"}
    assert "secret" not in str(raised.value)


def test_a_server_that_answers_nothing_ends_it(database, record):
    with chat_server(lambda _: Reply(500, "{}")) as server:
        whole = ExplainConfig.of({"sae": NAME, "endpoint": server.address, "explainer": "rule"})
        with pytest.raises(EndpointError, match="does not answer"):
            explain_features(database, record, whole)
        assert len(server.requests) < 100


def test_an_answer_without_a_label_is_reported(database, record, busy):
    with chat_server(lambda _: "I can't\nsay.") as server:
        found = explain_features(database, record, config(server, busy[0]))
    assert (found.labels, [*found.failed]) == ({}, [busy[0]])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"endpoint": "http://me:pw@host/v1", "explainer": "m"}, "OPENAI_API_KEY"),
        ({"endpoint": "host:80", "explainer": "m"}, "no address"),
        ({"endpoint": "http://host:x/v1", "explainer": "m"}, "no address"),
        ({"endpoint": "http://host/v1"}, "needs --explainer"),
        ({"explainer": "m"}, "needs --endpoint"),
        ({"score": True}, "needs --endpoint"),
        ({"endpoint": "http://h/v1", "explainer": "m", "max_requests": 0}, "max-requests|max_req"),
        ({"endpoint": "http://h/v1", "explainer": "m", "features": "5"}, "not a range"),
    ],
)
def test_what_cannot_be_asked_for(given, message):
    with pytest.raises(ConfigError, match=message) as raised:
        ExplainConfig.of({"sae": NAME, **given})
    assert "pw" not in str(raised.value)


def test_without_the_client_one_line_says_what_to_install(database, record, busy, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "openai", None)
    asked = ExplainConfig.of({"sae": NAME, "endpoint": "http://h/v1", "explainer": "m"})
    with pytest.raises(ConfigError, match="not installed") as raised:
        explain_features(database, record, asked)
    assert "lmsaes[explain]" in raised.value.hint


def test_the_command(database, busy):
    def run(*words):
        return CliRunner().invoke(app, ["explain", NAME, *map(str, words)], env={"COLUMNS": "200"})

    feature = busy[0]
    with chat_server(answering("names of ships", lambda *_: "yes")) as server:
        ask = ("--endpoint", server.address, "--explainer", "rule")
        own = ("--features", f"{feature}:{feature + 1}")
        done = run(*ask, *own, "--score")
        assert done.exit_code == 0, done.output
        assert "names of ships" in done.stdout
        assert f"{len(server.requests)} requests were sent" in done.stdout
        again = run(*ask, *own, "--score")
        assert "nothing to do" in again.stdout
        assert "0 requests were sent" in again.stdout
    assert "no better than its tokens" in run().stdout
    refused = run("--features", "0:5")
    assert (refused.exit_code, "--features is for labels" in refused.stderr) == (1, True)
    both = run(*ask, "--set", 1, "x")
    assert "don't go together" in both.stderr
    assert "has no features" in run(*ask, "--features", "100:900").stderr
