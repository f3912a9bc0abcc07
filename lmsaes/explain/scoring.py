"""How well a label tells where its feature fires, and whether it tells more than the tokens do.

    sensitivity         share of firing windows that are called firing; per interval too
    specificity         share of silent windows that are called silent; per kind too
    balanced accuracy   their mean: 0.5 is what guessing gives

A window without an answer that can be read is missing: it counts neither as right nor as wrong.

Shares have Wilson's 95 % interval (Wilson 1927), and the mean of two shares Newcombe's, which puts
the distances to their limits together in squares (Newcombe 1998, method 10; Zou & Donner 2008).
Differences between two rules judged on the same windows have a percentile bootstrap over the
windows, firing and silent ones apart, with a fixed seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from pydantic import BaseModel, ConfigDict

from lmsaes.explain.examples import INTERVALS, Item, Kind

_Z = 1.959963984540054  # 97.5 % of the normal distribution
_RESAMPLES = 2000
_KINDS: tuple[Kind, ...] = ("random", "same-token", "neighbor")


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Share(_Record):
    """So many right of so many judged, with Wilson's interval; null where none was judged."""

    right: int
    of: int
    value: float | None
    low: float | None
    high: float | None


class Accuracy(_Record):
    """Balanced accuracy, with its interval; null where firing or silent windows are missing."""

    balanced_accuracy: float | None
    low: float | None
    high: float | None


class Baseline(Accuracy):
    """Another rule, judged on the same windows."""

    rule: str  # the other feature's label, or the tokens
    feature: int | None = None  # whose label
    difference: float | None  # the label's balanced accuracy − this rule's, where both judged
    difference_low: float | None
    difference_high: float | None

    @property
    def beaten(self) -> bool | None:
        """Whether the label is better beyond the interval; None where that can't be told."""
        return None if self.difference_low is None else self.difference_low > 0


class JudgedItem(_Record):
    """One window and what was said of it; null is missing."""

    context: int
    interval: int | None
    kind: Kind | None
    said: bool | None  # by the label
    other_said: bool | None = None  # by another feature's label
    token_said: bool
    answer: str | None = None  # as the model gave it


class Score(Accuracy):
    """The score of a label. Kept with it, as a document of these fields."""

    method: str = "detection"
    scorer: str
    analysis: str
    n: int  # windows that the label was judged on, those without an answer included
    missing: int
    sensitivity: Share
    specificity: Share
    by_interval: list[Share]  # sensitivity, weakest first
    by_negative: dict[str, Share]  # specificity
    baseline_token: Baseline
    baseline_random: Baseline | None  # None where no other feature has a label
    items: list[JudgedItem]

    @property
    def beats_tokens(self) -> bool | None:
        """Whether the label tells more than the five tokens that the feature fires on most."""
        return self.baseline_token.beaten

    def verdict(self) -> str:
        """The score in a sentence."""
        if self.balanced_accuracy is None:
            return "not scored: too few windows were judged"
        compared = {
            None: "not compared with its tokens",
            True: "better than its tokens",
            False: "no better than its tokens",
        }[self.beats_tokens]
        other = self.baseline_random
        if other is not None and other.beaten is False:
            compared += ", nor than another feature's label"
        return compared


@dataclass(frozen=True)
class Judged:
    """What was said of one window, before it is counted."""

    item: Item
    said: bool | None
    other: bool | None
    tokens: bool
    answer: str | None


def score_label(
    judged: Sequence[Judged],
    scorer: str,
    analysis: str,
    tokens: Sequence[str],
    other: tuple[int, str] | None = None,
) -> Score:
    """Counts what was said.

    tokens: the feature's, for the rule "contains one of them". other: another feature and its
    label, where one was judged too.
    """
    fires = np.array([each.item.fires for each in judged], bool)
    said = _column(each.said for each in judged)
    by_tokens = _column(each.tokens for each in judged)
    right = np.where(np.isnan(said), np.nan, said == fires)
    intervals = np.array([-1 if j.item.interval is None else j.item.interval for j in judged])
    kinds = np.array([j.item.kind or "" for j in judged])
    return Score(
        scorer=scorer,
        analysis=analysis,
        n=len(judged),
        missing=int(np.isnan(said).sum()),
        **_accuracy(fires, said).model_dump(),
        sensitivity=_share(right[fires]),
        specificity=_share(right[~fires]),
        by_interval=[_share(right[intervals == i]) for i in range(INTERVALS)],
        by_negative={kind: _share(right[kinds == kind]) for kind in _KINDS},
        baseline_token=_baseline(
            fires, said, by_tokens, "contains " + " or ".join(map(repr, tokens))
        ),
        baseline_random=None
        if other is None
        else _baseline(fires, said, _column(j.other for j in judged), other[1], other[0]),
        items=[
            JudgedItem(
                context=each.item.window.context,
                interval=each.item.interval,
                kind=each.item.kind,
                said=each.said,
                other_said=each.other,
                token_said=each.tokens,
                answer=each.answer,
            )
            for each in judged
        ],
    )


def wilson(right: int, of: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    share, z = right / of, _Z
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return max(middle - half, 0.0), min(middle + half, 1.0)


def _share(right: np.ndarray) -> Share:
    """right: 1, 0, or NaN for missing."""
    known = right[~np.isnan(right)]
    if len(known) == 0:
        return Share(right=0, of=0, value=None, low=None, high=None)
    count = int(known.sum())
    low, high = wilson(count, len(known))
    return Share(right=count, of=len(known), value=count / len(known), low=low, high=high)


def _accuracy(fires: np.ndarray, said: np.ndarray) -> Accuracy:
    right = np.where(np.isnan(said), np.nan, said == fires)
    parts = [_share(right[fires]), _share(right[~fires])]
    known = [(p.value, p.low, p.high) for p in parts]
    values, lows, highs = np.array(known, float).T
    if np.isnan(values).any():
        return Accuracy(balanced_accuracy=None, low=None, high=None)
    value = float(values.mean())
    below = sqrt(float(((values - lows) ** 2).sum())) / 2
    above = sqrt(float(((highs - values) ** 2).sum())) / 2
    return Accuracy(balanced_accuracy=value, low=value - below, high=value + above)


def _baseline(
    fires: np.ndarray, said: np.ndarray, other: np.ndarray, rule: str, feature: int | None = None
) -> Baseline:
    both = ~np.isnan(said) & ~np.isnan(other)
    # +1 where the label alone is right, −1 where the other rule alone is
    gain = (said == fires).astype(float) - (other == fires)
    classes = [gain[both & fires], gain[both & ~fires]]
    difference = low = high = None
    if all(len(own) for own in classes):
        difference = float(np.mean([own.mean() for own in classes]))
        random = np.random.default_rng(0)
        drawn = np.mean(
            [random.choice(own, (_RESAMPLES, len(own))).mean(1) for own in classes], axis=0
        )
        low, high = (float(value) for value in np.percentile(drawn, [2.5, 97.5]))
    return Baseline(
        rule=rule,
        feature=feature,
        difference=difference,
        difference_low=low,
        difference_high=high,
        **_accuracy(fires, other).model_dump(),
    )


def _column(said: object) -> np.ndarray:
    """Bools as floats, None as NaN."""
    return np.array([np.nan if value is None else float(value) for value in said], float)  # type: ignore[attr-defined]
