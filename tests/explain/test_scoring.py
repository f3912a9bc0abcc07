"""Shares, intervals and differences of a score, against formulas written out."""

import numpy as np
import pytest

from lmsaes.explain.examples import Item, Window
from lmsaes.explain.prompts import read_label, read_yes_or_no
from lmsaes.explain.scoring import Judged, score_label, wilson


def judged(fires, said, tokens=False, other=None):
    window = Window(0, [" a"], np.zeros(1, np.float32), [1])
    item = Item(window, 4 if fires else None, None if fires else "random")
    return Judged(item, said, other, tokens, None)


def scored(items, other=None):
    return score_label(items, "rule", "analysis", [" a"], other)


@pytest.mark.parametrize(
    ("right", "of", "low", "high"),  # Newcombe 1998, table I of the single proportion paper
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_as_published(right, of, low, high):
    assert wilson(right, of) == pytest.approx((low, high), abs=5e-5)


def test_the_interval_of_the_mean_of_two_shares():
    """Newcombe's square-and-add, by hand from Wilson's limits of 8/10 and 12/15."""
    items = [judged(True, i < 8) for i in range(10)] + [judged(False, i >= 12) for i in range(15)]
    score = scored(items)
    (l1, u1), (l2, u2) = wilson(8, 10), wilson(12, 15)
    assert score.balanced_accuracy == pytest.approx(0.8)
    assert score.low == pytest.approx(0.8 - np.hypot(0.8 - l1, 0.8 - l2) / 2)
    assert score.high == pytest.approx(0.8 + np.hypot(u1 - 0.8, u2 - 0.8) / 2)


def test_the_interval_covers_the_truth():
    random, covered = np.random.default_rng(0), 0
    for _ in range(200):
        items = [judged(True, bool(random.random() < 0.8)) for _ in range(20)]
        items += [judged(False, bool(random.random() < 0.4)) for _ in range(20)]
        score = scored(items)
        covered += score.low <= 0.7 <= score.high
    assert covered >= 180


def test_missing_is_neither_right_nor_wrong():
    items = [judged(True, True), judged(True, None), judged(False, False), judged(False, None)]
    score = scored(items)
    assert (score.n, score.missing, score.balanced_accuracy) == (4, 2, 1.0)
    assert (score.sensitivity.right, score.sensitivity.of) == (1, 1)


def test_without_silent_windows_nothing_is_claimed():
    score = scored([judged(True, True), judged(False, None)])
    assert score.balanced_accuracy is None
    assert score.baseline_token.difference is None
    assert score.beats_tokens is None
    assert "not scored" in score.verdict()


def test_a_label_beats_its_tokens_beyond_chance_only():
    right = [judged(f, f, tokens=False) for f in (True, False) * 20]
    assert scored(right).beats_tokens
    same = [judged(f, f, tokens=f) for f in (True, False) * 20]
    assert scored(same).baseline_token.difference == 0
    assert scored(same).beats_tokens is False
    one = [judged(f, f, tokens=f and i > 1) for i, f in enumerate((True, False) * 20)]
    assert scored(one).baseline_token.difference == pytest.approx(1 / 40)
    assert scored(one).beats_tokens is False
    worse = [judged(f, f, tokens=f, other=not f) for f in (True, False) * 20]
    score = scored(worse, other=(7, "ships"))
    assert (score.baseline_random.feature, score.baseline_random.beaten) == (7, True)
    assert score.baseline_random.balanced_accuracy == 0


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("yes", True), ("No.", False), ("**YES**", True), ("1", True), ("0", False),
        ("<think>yes or no?</think>\nno", False), ("Answer: true", True), ("maybe", None),
        ("yes and no", None), ("", None), ("yesterday", None), ("10", None),
    ],
)  # fmt: skip
def test_answers_that_say_one_thing(answer, said):
    assert read_yes_or_no(answer) is said


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("LABEL: names of ships", "names of ships"),
        ("They are…\n**Label:** 'names of ships'\n", "names of ships"),
        ("LABEL: first\nLABEL: second", "second"),
        ("names of ships", "names of ships"),
        ("<think>LABEL: x</think>\nLABEL: y", "y"),
        ("two\nlines", None), ("LABEL:", None), ("LABEL: ???", None), ("{[%%", None),
        ("LABEL: " + "x" * 400, None), ("LABEL: a\x1b[2Jb", "a [2Jb"),
    ],
)  # fmt: skip
def test_labels_that_can_be_read(answer, label):
    assert read_label(answer) == label
