"""Labels written and judged by a language model, as `lmsaes explain` has it do.

    explain half ──► label, for every feature
    score half ────► yes or no, window by window: by the label, by another feature's label, by the
                     tokens alone ──► score

A feature's label is stored when it is written, its score when all its windows are judged. All
answers are kept, so that a run that was stopped asks for the rest alone.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import numpy as np

from lmsaes.database import Database, Explanation, SAERecord, new_explanation
from lmsaes.errors import ConfigError
from lmsaes.explain.config import KEY_VARIABLE, ExplainConfig
from lmsaes.explain.endpoint import BudgetSpentError, Endpoint, FailedError
from lmsaes.explain.examples import Examples, Item, fires_by_tokens
from lmsaes.explain.prompts import detect_messages, explain_messages, read_label, read_yes_or_no
from lmsaes.explain.scoring import Judged, Score, score_label
from lmsaes.progress import progress
from lmsaes.units import parse_range

_T = TypeVar("_T")
Watch = Callable[[str, int, int], None]
"""Told what is done ("labels" or "scores"), how many are, and of how many."""


@dataclass
class Explained:
    """What a run did. Features by their index."""

    labels: dict[int, Explanation] = field(default_factory=dict[int, Explanation])
    """The newest of every feature that was asked for and has one by this explainer."""
    new: int = 0  # of these, written or scored by this run
    failed: dict[int, str] = field(default_factory=dict[int, str])  # without a label, and why
    by_hand: list[int] = field(default_factory=list[int])  # left alone: a person has explained them
    silent: list[int] = field(default_factory=list[int])  # too few contexts to make a label from
    unfinished: int = 0  # because the budget was spent, or the run stopped
    requests: int = 0


def explain_features(
    database: Database,
    record: SAERecord,
    config: ExplainConfig,
    watch: Watch | None = None,
    stop: threading.Event | None = None,
) -> Explained:
    """Has the model at `config.endpoint` label features, and score the labels where asked.

    What is done already stays; what a person has said of a feature is left alone. The server's key
    is read from the environment. watch: told of each step, instead of a progress bar. stop: when
    it is set, nothing more is asked, as if the budget were spent; it is set when the run ends.

    Raises ConfigError for what can't be asked for, EndpointError where the server refuses or
    answers nothing, DatabaseError while another process explains features of this SAE.
    """
    if config.endpoint is None or config.explainer is None:
        raise ConfigError("there is no one to ask", "give --endpoint and --explainer")
    key = os.environ.get(KEY_VARIABLE) or None
    endpoint = Endpoint(
        config.endpoint, database.answers, config.max_requests, config.timeout, key, stop
    )
    pool = ThreadPoolExecutor(config.parallel, "explain")
    try:
        # two at once would ask, and pay for, the same twice
        with database.holding(f"explanations of {record.name}"):
            return _Run(database, record, config, endpoint, pool, watch).run()
    finally:
        # what was asked within the budget is answered and kept
        endpoint.stop()
        pool.shutdown(cancel_futures=True)
        endpoint.close()


class _Run:
    def __init__(
        self,
        database: Database,
        record: SAERecord,
        config: ExplainConfig,
        endpoint: Endpoint,
        pool: ThreadPoolExecutor,
        watch: Watch | None,
    ) -> None:
        self.database, self.record, self.config = database, record, config
        self.endpoint, self.pool, self.watch = endpoint, pool, watch
        self.explainer = str(config.explainer)
        self.scorer = config.scorer or self.explainer
        self.examples = Examples(database, record, config.window)
        self.found = Explained()

    def run(self) -> Explained:
        features = _chosen(self.database, self.record, self.config.features)
        current = self.database.explanations.current(self.record.sae_hash, features)
        self.found.by_hand = [f for f, said in current.items() if not said.by_model]
        ours = {f: said for f, said in current.items() if said.author == self.explainer}
        self.found.labels = {f: said for f, said in ours.items() if said.by_model}
        missing = [f for f in features if f not in self.found.labels]
        missing = [f for f in missing if f not in self.found.by_hand]
        try:
            self._each("labels", missing, self._label)
            if self.config.score:
                unscored = [f for f, said in self.found.labels.items() if not self._scored(said)]
                self._score_all(unscored)
        except BudgetSpentError:
            asked = len(features) - len(self.found.by_hand) - len(self.found.silent)
            done = [s for s in self.found.labels.values() if not self.config.score or s.score]
            self.found.unfinished = asked - len(done) - len(self.found.failed)
        self.found.requests = self.endpoint.requests
        return self.found

    # ── labels ───────────────────────────────────────────────────────────────────────────────

    def _label(self, feature: int) -> None:
        windows = self.examples.to_explain(feature)
        if not windows:
            self.found.silent.append(feature)
            return
        messages = explain_messages(windows)
        try:
            answer = self.endpoint.ask(self.explainer, messages, self.config.answer_tokens)
        except FailedError as error:
            self.found.failed[feature] = str(error)
            return
        text = read_label(answer)
        if text is None:
            self.found.failed[feature] = "the answer holds no label"
            return
        asked = {"model": self.explainer, "messages": messages, "answer": answer}
        self._store(
            new_explanation(feature, text, self.explainer, by_model=True, requests=(asked,))
        )

    def _store(self, explanation: Explanation) -> None:
        self.database.explanations.add(self.record.sae_hash, explanation)
        self.found.labels[explanation.feature] = explanation
        self.found.new += 1

    # ── scores ───────────────────────────────────────────────────────────────────────────────

    def _scored(self, said: Explanation) -> bool:
        score = said.score or {}
        return (score.get("scorer"), score.get("analysis")) == (self.scorer, self.record.analysis)

    def _score_all(self, features: Sequence[int]) -> None:
        """One feature after the other, the windows of each at once."""
        with self._progress("scores", len(features)) as advance:
            for feature in features:
                self._score(feature)
                advance()

    def _score(self, feature: int) -> None:
        said = self.found.labels[feature]
        items = self.examples.to_judge(feature, self.config.per_interval)
        other = self._another(feature)
        tokens = self.examples.top_tokens(feature)
        texts = [said.text] if other is None else [said.text, other.text]
        questions = [(text, item) for text in texts for item in items]
        answers = self._at_once([partial(self._judge, *question) for question in questions])
        own, others = answers[: len(items)], answers[len(items) :] or [None] * len(items)
        judged = [
            Judged(
                item=item,
                said=None if answer is None else read_yes_or_no(answer),
                other=None if by_other is None else read_yes_or_no(by_other),
                tokens=fires_by_tokens(item.window, tokens),
                answer=answer,
            )
            for item, answer, by_other in zip(items, own, others, strict=True)
        ]
        score = score_label(
            judged,
            self.scorer,
            self.record.analysis,
            self.examples.strings(tokens),
            other and (other.feature, other.text),
        )
        self._store(
            new_explanation(
                feature,
                said.text,
                said.author,
                by_model=True,
                requests=said.requests,
                score=score.model_dump(mode="json"),
            )
        )

    def _judge(self, text: str, item: Item) -> str | None:
        try:
            messages = detect_messages(text, item.window)
            return self.endpoint.ask(self.scorer, messages, self.config.answer_tokens)
        except FailedError:
            return None

    def _another(self, feature: int) -> Explanation | None:
        """Another feature's label of a different text, drawn by this feature's number."""
        said = self.found.labels
        others = sorted(f for f in said if f != feature and said[f].text != said[feature].text)
        if not others:
            return None
        return said[others[int(np.random.default_rng(feature).integers(len(others)))]]

    # ── many at once ─────────────────────────────────────────────────────────────────────────

    def _each(self, what: str, features: Sequence[int], work: Callable[[int], None]) -> None:
        with self._progress(what, len(features)) as advance:
            futures = [self.pool.submit(work, feature) for feature in features]
            _results(futures, advance)

    def _at_once(self, work: Sequence[Callable[[], _T]]) -> list[_T]:
        futures = [self.pool.submit(each) for each in work]
        _results(futures, lambda: None)
        return [future.result() for future in futures]

    def _progress(self, what: str, total: int) -> Any:
        return _Watched(self.watch, what, total)


class _Watched:
    """Tells a watcher, or a progress bar, of each step."""

    def __init__(self, watch: Watch | None, what: str, total: int) -> None:
        self._watch, self._what, self._total, self._done = watch, what, total, 0
        self._bar = progress(what, total, "features", shown=watch is None and total > 0)

    def __enter__(self) -> Callable[[], None]:
        self._reporter = self._bar.__enter__()
        return self._advance

    def _advance(self) -> None:
        self._done += 1
        self._reporter.advance(1)
        if self._watch is not None:
            self._watch(self._what, self._done, self._total)

    def __exit__(self, *error: Any) -> None:
        self._bar.__exit__(*error)


def _results(futures: Iterable[Future[Any]], done: Callable[[], None]) -> None:
    """Waits for all; the first that fails ends the wait, and what hasn't begun is left."""
    waiting = list(futures)
    try:
        for future in as_completed(waiting):
            future.result()
            done()
    finally:
        for future in waiting:
            future.cancel()


def _chosen(database: Database, record: SAERecord, features: str | None) -> list[int]:
    """The features in a range, or all; those that never fired are left out."""
    start, stop = record.feature_range
    if features is not None:
        wanted = parse_range(features, "features")
        first = start if wanted.start is None else wanted.start
        last = stop if wanted.stop is None else wanted.stop
        if not (start <= first < last <= stop):
            raise ConfigError(
                f"'{record.name}' has no features {features}",
                f"features {start} to {stop - 1} were analyzed",
            )
        start, stop = first, last
    firings = database.columns(record.analysis, ("firings",))["firings"]
    own = firings[start - record.feature_range[0] : stop - record.feature_range[0]]
    return (np.flatnonzero(own) + start).tolist()


def score_of(explanation: Explanation) -> Score | None:
    """The score that is kept with a label."""
    return None if explanation.score is None else Score.model_validate(explanation.score)
