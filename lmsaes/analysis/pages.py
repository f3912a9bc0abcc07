"""From an SAE's findings to the records of its features: everything that a feature's page shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from lmsaes.analysis.cofiring import LEAST_JOINT, Partners, partners
from lmsaes.analysis.feature_statistics import ContextSample
from lmsaes.analysis.findings import Findings
from lmsaes.analysis.jobs import LOGITS, Job
from lmsaes.analysis.labels import token_label
from lmsaes.analysis.logits import LogitEffects, logit_effects, writes_to_residual
from lmsaes.analysis.neighbors import nearest
from lmsaes.analysis.pair_counts import counts_within
from lmsaes.analysis.reference_contexts import SilentContexts, TokenIndex
from lmsaes.analysis.sampled_rows import SampledRows
from lmsaes.analysis.token_pairs import BestOfTokens
from lmsaes.analysis.token_statistics import (
    FiresOn,
    PrecededBy,
    fires_on,
    firing_features,
    preceded_by,
)
from lmsaes.analysis.twins import Twins
from lmsaes.analysis.wiring import Wiring
from lmsaes.database import (
    FeatureDetails,
    FeatureRecord,
    GroupFacts,
    HookFacts,
    LogitFacts,
    SampleRecord,
    Table,
    TokenRecord,
    TwinFacts,
)

GROUPS = ("top", *(f"interval-{i}" for i in range(5)), "random", "silent", "same-token")
_PARTNERS = 10
_TOKENS_FOR_SAME = 8


@dataclass
class Pages:
    """What is found of one SAE's features once all contexts are in, ready to be stored."""

    job: Job
    findings: Findings
    contexts: int  # in the cache
    rows: SampledRows
    fires_on: list[FiresOn]
    preceded_by: list[PrecededBy]
    partners: Mapping[str, list[Partners]]
    neighbors: Mapping[str, tuple[np.ndarray, np.ndarray]]  # ids and cosines, [features, n]
    firing: BestOfTokens  # features of each token, by the sum of their activations on it
    promoting: BestOfTokens  # features of each token, by their logit weight
    twins: dict[str, Twins] = field(default_factory=dict)  # by the other SAE's name
    twin_starts: dict[str, int] = field(default_factory=dict)  # the first feature analyzed there
    groups: list[dict[str, GroupFacts]] = field(default_factory=list)  # filled by `samples`
    logit_std: np.ndarray | None = None  # [features], filled by `features`
    wiring: Wiring | None = None  # from the model's weights

    @property
    def stability(self) -> np.ndarray | None:
        """Mean twin score over the other SAEs, float32 [features]; None without any."""
        if not self.twins:
            return None
        return np.stack([each.scores for each in self.twins.values()]).mean(0)


def new_pages(job: Job, findings: Findings, contexts: int, vocabulary: int) -> Pages:
    """Reads the runs of token counts, and counts what fires together."""
    findings.finish()
    rows = findings.sampler.finish(findings.statistics.maximum)
    firing = firing_features(vocabulary)
    on, before = list[FiresOn](), list[PrecededBy]()
    for pairs in findings.tokens.fires_on.merged():
        on += fires_on(pairs, findings.occurrences)
        firing.add(pairs.tokens, pairs.features, pairs.summed)
    for pairs in findings.tokens.before.merged():
        before += preceded_by(pairs, findings.occurrences)
    together: dict[str, list[Partners]] = {"jaccard": [], "pmi": []}
    fired = rows.firings
    for found in counts_within(rows, LEAST_JOINT):
        for by, lists in together.items():
            lists += partners(found, fired, rows.rows, _PARTNERS, by)
    sae = job.sae
    return Pages(
        job=job,
        findings=findings,
        contexts=contexts,
        rows=rows,
        fires_on=on,
        preceded_by=before,
        partners=together,
        neighbors={
            "decoder": _nearest(sae.W_dec[job.features]),
            "encoder": _nearest(sae.W_enc[job.features]),
        },
        firing=firing,
        promoting=firing_features(vocabulary),
    )


def _nearest(vectors: Tensor) -> tuple[np.ndarray, np.ndarray]:
    ids, cosines = nearest(vectors.detach(), vectors.detach(), _PARTNERS, same=True)
    return ids.cpu().numpy(), cosines.cpu().numpy()


# ── contexts ─────────────────────────────────────────────────────────────────────────────────────


def samples(pages: Pages, index: TokenIndex, count: int) -> Iterator[SampleRecord]:
    """All groups of contexts of every feature; also fills `pages.groups`.

    index: where tokens stand in the reference contexts. count: contexts without the feature.
    """
    statistics, firing = pages.findings.statistics, pages.findings.firing
    size = statistics.context_size
    firing_contexts = statistics.contexts
    for feature in range(statistics.features):
        first = pages.job.features.start + feature
        strongest = statistics.strongest(feature)
        found: dict[str, ContextSample | SilentContexts] = {
            "top": strongest,
            "random": statistics.random(feature),
            "silent": firing.silent(feature, pages.contexts - int(firing_contexts[feature]), count),
            "same-token": firing.same_token(
                feature, pages.fires_on[feature].tokens[:_TOKENS_FOR_SAME], index, count
            ),
        }
        facts = {name: GroupFacts(each.available) for name, each in found.items()}
        for number, interval in enumerate(statistics.intervals(feature)):
            found[f"interval-{number}"] = interval.sample
            facts[f"interval-{number}"] = GroupFacts(
                interval.sample.available, interval.lower, interval.upper
            )
        pages.groups.append(facts)
        for name, each in found.items():
            if len(each.contexts):
                yield _sample_record(first, name, each, size)


def _sample_record(
    index: int, group: str, found: ContextSample | SilentContexts, size: int
) -> SampleRecord:
    if isinstance(found, SilentContexts):
        activations = np.zeros((len(found.contexts), size), np.float32)
        positions = found.positions
    else:
        activations = found.activations
        positions = activations.argmax(1)
    return SampleRecord(index, group, found.contexts, positions.astype(np.int32), activations)


# ── features ─────────────────────────────────────────────────────────────────────────────────────


def features(
    pages: Pages, unembedding: Tensor, vocabulary: Sequence[str]
) -> Iterator[FeatureRecord]:
    """The records of every feature; fills `pages.promoting` and `pages.logit_std` on the way."""
    statistics, job = pages.findings.statistics, pages.job
    means, contexts, stability = statistics.means, statistics.contexts, pages.stability
    rows = max(pages.findings.rows, 1)
    deviations = np.zeros(job.count, np.float32)
    for feature, effects in enumerate(_effects(pages, unembedding)):
        counts, end = statistics.histogram(feature)
        last = effects[-1] if effects else None
        promotes, suppresses = last.block.of(last.row) if last else ([], [])
        logits = last and _logit_facts(last.block, last.row)
        if logits is not None:
            deviations[feature] = logits.std
        yield FeatureRecord(
            index=job.features.start + feature,
            firings=int(statistics.firings[feature]),
            density=int(statistics.firings[feature]) / rows,
            maximum=float(statistics.maximum[feature]),
            mean=float(means[feature]),
            histogram=counts,
            histogram_max=end,
            promotes=promotes,
            suppresses=suppresses,
            details=FeatureDetails(
                contexts=int(contexts[feature]),
                label=token_label(pages.fires_on[feature], vocabulary),
                groups=pages.groups[feature],
                fires_on=_fires_on_table(pages.fires_on[feature]),
                preceded_by=_preceded_by_table(pages.preceded_by[feature]),
                neighbors=_neighbors(pages, feature),
                twins=[_twin(pages, name, feature) for name in pages.twins],
                stability=None if stability is None else float(stability[feature]),
                logits=logits,
                hooks=_hook_facts(pages, feature, effects) if len(job.hooks) > 1 else (),
                wiring=pages.wiring and pages.wiring.of(feature),
            ),
        )
    if len(_residual_hooks(job, unembedding)):
        pages.logit_std = deviations


@dataclass(frozen=True, slots=True)
class _Effect:
    """What a feature does through one hook: a row of a block."""

    hook: str
    block: LogitEffects
    row: int


def _effects(pages: Pages, unembedding: Tensor) -> Iterator[list[_Effect]]:
    """Per feature its effects through each hook that the unembedding reads, in the hooks' order."""
    job = pages.job
    hooks = _residual_hooks(job, unembedding)
    if not hooks:
        yield from ([] for _ in range(job.count))
        return
    first = 0
    streams = [logit_effects(directions, unembedding, LOGITS) for directions in hooks.values()]
    for blocks in zip(*streams, strict=True):
        _add_promoting(pages.promoting, blocks[-1].weights, job.features.start + first)
        for row in range(len(blocks[0].moments)):
            yield [_Effect(hook, block, row) for hook, block in zip(hooks, blocks, strict=True)]
        first += len(blocks[0].moments)


def _residual_hooks(job: Job, unembedding: Tensor) -> dict[str, Tensor]:
    """The decoder's rows [features, d_model] at each hook that the unembedding reads."""
    given = job.given
    width = job.sae.d_out // len(given)
    if width != unembedding.shape[0]:
        return {}
    parts = job.sae.W_dec.detach()[job.features].cpu().split(width, 1)
    return {h: part for h, part in zip(given, parts, strict=True) if writes_to_residual(h)}


def _add_promoting(best: BestOfTokens, weights: Tensor, first: int) -> None:
    """Lets a block of features, [features, vocabulary], in among the best of each token."""
    if len(best.tokens) == 0:
        count = min(best.count, len(weights))
        values, rows = weights.topk(count, dim=0)
        tokens = torch.arange(weights.shape[1]).expand(count, -1)
    else:
        floor = torch.from_numpy(best.worst).to(weights.dtype)
        rows, tokens = (weights > floor).nonzero(as_tuple=True)
        values = weights[rows, tokens]
    best.add(
        tokens.reshape(-1).numpy(),
        rows.reshape(-1).numpy() + first,
        values.reshape(-1).numpy(),
    )


def _logit_facts(block: LogitEffects, row: int) -> LogitFacts:
    mean, std, *shape = block.moments[row].tolist()
    skewness, kurtosis = (value if np.isfinite(value) else None for value in shape)
    lower, upper = float(block.suppressed_weights[row, 0]), float(block.promoted_weights[row, 0])
    return LogitFacts(mean, std, skewness, kurtosis, block.histogram[row], lower, upper)


def _hook_facts(pages: Pages, feature: int, effects: list[_Effect]) -> list[HookFacts]:
    """What a crosscoder's feature does at each of its hooks."""
    job = pages.job
    row = job.sae.W_dec.detach()[job.features.start + feature]
    norms = row.reshape(len(job.hooks), -1).norm(dim=1).tolist()
    by_hook = {each.hook: each.block.of(each.row) for each in effects}
    nothing: tuple[list[tuple[int, float]], list[tuple[int, float]]] = ([], [])
    return [
        HookFacts(hook, norm, *map(_weights_table, by_hook.get(hook, nothing)))
        for hook, norm in zip(job.hooks, norms, strict=True)
    ]


def _weights_table(pairs: list[tuple[int, float]]) -> Table:
    return {
        "token": np.array([token for token, _ in pairs], np.int32),
        "weight": np.array([weight for _, weight in pairs], np.float32),
    }


def _fires_on_table(found: FiresOn) -> Table:
    return {
        "token": found.tokens,
        "count": found.counts,
        "mean": found.means,
        "share_of_firings": found.share_of_firings,
        "share_of_token": found.share_of_token,
    }


def _preceded_by_table(found: PrecededBy) -> Table:
    return {
        "token": found.tokens,
        "count": found.counts,
        "share": found.shares,
        "lift": found.lifts,
    }


def _neighbors(pages: Pages, feature: int) -> dict[str, Table]:
    start = pages.job.features.start
    tables: dict[str, Table] = {}
    for by, (ids, cosines) in pages.neighbors.items():
        tables[by] = {
            "feature": (ids[feature] + start).astype(np.int32),
            "cosine": cosines[feature],
        }
    for by, lists in pages.partners.items():
        found = lists[feature]
        tables[by] = {
            "feature": found.features + np.int32(start),
            "jaccard": found.jaccard,
            "pmi": found.pmi,
            "joint": found.joint,
        }
    return tables


def _twin(pages: Pages, name: str, feature: int) -> TwinFacts:
    found = pages.twins[name]
    other = int(found.features[feature])
    if other < 0:
        return TwinFacts(name, None, None, None, 0.0, False)
    return TwinFacts(
        name,
        other + pages.twin_starts[name],
        float(found.cosines[feature]),
        float(found.correlations[feature]),
        float(found.scores[feature]),
        bool(found.mutual[feature]),
    )


# ── tokens ───────────────────────────────────────────────────────────────────────────────────────


def tokens(pages: Pages, vocabulary: int) -> Iterator[TokenRecord]:
    """For every token that has some, the features that fire on it most and that promote it most."""
    start = np.int32(pages.job.features.start)
    for token in range(vocabulary):
        on, sums = pages.firing.of(token)
        promoting, weights = pages.promoting.of(token)
        if len(on) or len(promoting):
            yield TokenRecord(
                token,
                {"feature": on + start, "sum": sums.astype(np.float32)},
                {"feature": promoting, "weight": weights.astype(np.float32)},
            )
