"""What adding a feature does to the next token: KL divergence, and the tokens that it raises.

    score(f) = mean over contexts of KL(p with s·d_f added at every token ‖ p)

for p the distribution of the token after each context. Features chosen by what they do to the
output steer better than those chosen by what they fire on (Arad et al. 2025, arXiv 2505.20063).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from lmsaes.analysis.feature_statistics import FeatureStatistics
from lmsaes.analysis.jobs import Job
from lmsaes.cache import ActivationCache
from lmsaes.errors import ConfigError
from lmsaes.model import Edit, Entry, LanguageModel, patched_forward
from lmsaes.sae import SAE


@dataclass(frozen=True)
class OutputScore:
    """What adding a feature does to the next token."""

    feature: int
    value: float  # what was added, in units of the feature's activation
    kl: float  # KL(with ‖ without) in nats, mean over contexts
    raises: list[tuple[int, float]]  # (token id, mean change of its probability), largest first


def score_outputs(
    lm: LanguageModel,
    sae: SAE,
    hooks: tuple[Sequence[str], Sequence[str]],
    pairs: Sequence[tuple[int, float]],
    tokens: Tensor,
    special: Tensor,
    raised: int = 5,
) -> Iterator[OutputScore]:
    """The scores of pairs of a feature and what is added of it, one after the other.

    hooks: those that the SAE reads, and those that it gives. tokens: int64 [contexts, positions];
    special: bool, the same shape, where nothing is added. Of the model only what lies above the
    SAE's hooks runs again for each feature. Raises ConfigError where logits become infinite.
    """
    reads, gives = hooks
    contexts = _Contexts(lm, tokens, [*reads, *gives])
    scale = None
    if sae.row_norm_parts and not sae.transcodes:
        rows = torch.cat([contexts.read(hook) for hook in reads], 2)
        scale = sae.direction_scale(rows.to(sae.W_dec.device).float().flatten(0, 1))
    plain = contexts.logits({})[:, -1].double().log_softmax(1)
    for feature, value in pairs:
        with torch.inference_mode():
            change = _change(sae, feature, value, scale, tokens, special)
            parts = change.split(sae.d_out // len(gives), 2)
        edits = {hook: _added(part) for hook, part in zip(gives, parts, strict=True)}
        p = contexts.logits(edits)[:, -1].double().log_softmax(1)
        kl = (p.exp() * (p - plain)).sum(1).clamp(min=0).mean()
        if not bool(kl.isfinite()):
            raise ConfigError(
                f"adding {value} of feature {feature} makes the model's logits infinite",
                "choose smaller values",
            )
        rise = (p.exp() - plain.exp()).mean(0).topk(min(raised, p.shape[1]))
        found = zip(rise.indices.tolist(), rise.values.tolist(), strict=True)
        yield OutputScore(feature, value, float(kl), list(found))


def _change(
    sae: SAE, feature: int, value: float, scale: Tensor | None, tokens: Tensor, special: Tensor
) -> Tensor:
    """What is added to the activations that the SAE gives, [contexts, positions, d_out]."""
    rows = (sae.W_dec[feature].float() * value).expand(tokens.numel(), sae.d_out)
    if scale is not None:
        rows = rows * scale
    where = ~special[..., None].to(rows.device)
    return rows.reshape(*tokens.shape, sae.d_out) * where


def _added(change: Tensor) -> Edit:
    return lambda value: value + change.to(value)


class _Contexts:
    """Contexts whose pass below the edited hooks is made once."""

    def __init__(self, lm: LanguageModel, tokens: Tensor, hooks: Sequence[str]) -> None:
        self.tokens = tokens
        self.forward = patched_forward(lm, hooks)
        self._entry: Entry | None = None
        if block := min(map(self.forward.block_of, hooks), default=0):
            into = self.forward.input_of(block)
            self._entry = Entry(block, self.forward.read(tokens, [into])[1][into])

    def read(self, hook: str) -> Tensor:
        """The model's own activations, [contexts, positions, width]."""
        return self.forward.read(self.tokens, [hook])[1][hook]

    def logits(self, edits: Mapping[str, Edit]) -> Tensor:
        """[contexts, positions, vocabulary]"""
        return self.forward.logits(self.tokens, edits, self._entry)


# ── of an analysis ───────────────────────────────────────────────────────────────────────────────

CONTEXTS, POSITIONS = 8, 32
_QUANTILE = 0.99


def drawn_features(statistics: FeatureStatistics, count: int, seed: int) -> np.ndarray:
    """`count` of the features that fire, or all of them, drawn at random; ascending, from 0."""
    alive = np.flatnonzero(statistics.firings)
    drawn = np.random.default_rng(seed).permutation(alive)[:count]
    return np.sort(drawn)


def high_value(statistics: FeatureStatistics, feature: int) -> float:
    """The 99th percentile of a feature's activations where it fires, to a bin of its histogram."""
    counts, end = statistics.histogram(feature)
    place = int(np.searchsorted(np.cumsum(counts), _QUANTILE * counts.sum()))
    return min(end * (place + 1) / len(counts), float(statistics.maximum[feature]))


def analysis_scores(
    lm: LanguageModel,
    job: Job,
    statistics: FeatureStatistics,
    cache: ActivationCache,
    contexts: np.ndarray,
    count: int,
    seed: int,
) -> Iterator[OutputScore]:
    """Scores of `count` of a job's features, each at its high value, on the beginnings of eight of
    the cache's `contexts`. Features are counted from the job's first."""
    tokens = torch.cat([cache.tokens(int(each), int(each) + 1) for each in contexts[:CONTEXTS]])
    tokens = tokens[:, :POSITIONS].long()
    special = ~cache.valid_positions(tokens)
    special[:, 0] = torch.isin(tokens[:, 0], torch.tensor(cache.manifest.text.special_ids))
    first = job.features.start
    pairs = [
        (first + feature, high_value(statistics, feature))
        for feature in drawn_features(statistics, count, seed).tolist()
    ]
    for score in score_outputs(lm, job.sae, (job.hooks, job.given), pairs, tokens, special):
        yield replace(score, feature=score.feature - first)
