"""From an SAE's findings to the records of its features: everything that a feature's page shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from torch import Tensor

from lmsaes.analysis.cofiring import LEAST_JOINT, Partners, partners
from lmsaes.analysis.earlier_range import EarlierRange
from lmsaes.analysis.feature_statistics import ContextSample
from lmsaes.analysis.findings import Findings
from lmsaes.analysis.jobs import Job
from lmsaes.analysis.labels import token_label
from lmsaes.analysis.neighbors import nearest
from lmsaes.analysis.output_scores import OutputScore
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
from lmsaes.analysis.weight_facts import WeightFacts
from lmsaes.database import (
    FeatureDetails,
    FeatureRecord,
    GroupFacts,
    OutputFacts,
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
    fires_on: list[FiresOn]
    preceded_by: list[PrecededBy]
    # Of all features of the job's range, those of an earlier analysis among them:
    rows: SampledRows
    partners: Mapping[str, list[Partners]]
    neighbors: Mapping[str, tuple[np.ndarray, np.ndarray]]  # ids and cosines, [features, n]
    firing: BestOfTokens  # features of each token, by the sum of their activations on it
    promoting: BestOfTokens  # features of each token, by their logit weight
    twins: dict[str, Twins] = field(default_factory=dict)  # by the other SAE's name
    twin_starts: dict[str, int] = field(default_factory=dict)  # the first feature analyzed there
    groups: list[dict[str, GroupFacts]] = field(default_factory=list)  # filled by `samples`
    logit_std: np.ndarray | None = None  # of the pass' features, filled by `features`
    earlier: EarlierRange | None = None
    output: dict[int, OutputScore] = field(default_factory=dict)  # of the pass' features

    @cached_property
    def stability(self) -> np.ndarray | None:
        """Mean twin score over the other SAEs, float32 [range]; None without any."""
        if not self.twins:
            return None
        return np.stack([each.scores for each in self.twins.values()]).mean(0)


def new_pages(
    job: Job,
    findings: Findings,
    contexts: int,
    vocabulary: int,
    earlier: EarlierRange | None = None,
) -> Pages:
    """Reads the runs of token counts, and counts what fires together."""
    findings.finish()
    rows = findings.sampler.finish(findings.statistics.maximum)
    if earlier is not None:
        rows = earlier.with_rows(rows)
    firing, start = firing_features(vocabulary), job.features.start
    on, before = list[FiresOn](), list[PrecededBy]()
    for pairs in findings.tokens.fires_on.merged():
        on += fires_on(pairs, findings.occurrences)
        firing.add(pairs.tokens, pairs.features + np.int32(start), pairs.summed)
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
            "decoder": _nearest(sae.W_dec[job.range]),
            "encoder": _nearest(sae.W_enc[job.range]),
        },
        firing=firing,
        promoting=firing_features(vocabulary),
        earlier=earlier,
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
    pages: Pages, facts: Iterable[WeightFacts], vocabulary: Sequence[str]
) -> Iterator[FeatureRecord]:
    """The records of every feature; fills `pages.logit_std` on the way.

    facts: of each feature in turn, what the weights say.
    """
    statistics, job = pages.findings.statistics, pages.job
    means, contexts = statistics.means, statistics.contexts
    rows = max(pages.findings.rows, 1)
    deviations = np.full(job.count, np.nan, np.float32)
    for feature, own in enumerate(facts):
        counts, end = statistics.histogram(feature)
        if own.logits is not None:
            deviations[feature] = own.logits.std
        yield FeatureRecord(
            index=job.features.start + feature,
            firings=int(statistics.firings[feature]),
            density=int(statistics.firings[feature]) / rows,
            maximum=float(statistics.maximum[feature]),
            mean=float(means[feature]),
            histogram=counts,
            histogram_max=end,
            promotes=own.promotes,
            suppresses=own.suppresses,
            details=FeatureDetails(
                contexts=int(contexts[feature]),
                label=token_label(pages.fires_on[feature], vocabulary),
                groups=pages.groups[feature],
                fires_on=_fires_on_table(pages.fires_on[feature]),
                preceded_by=_preceded_by_table(pages.preceded_by[feature]),
                **_compared(pages, job.features.start + feature),
                logits=own.logits,
                hooks=own.hooks,
                wiring=own.wiring,
                output=_output_facts(pages.output.get(feature)),
            ),
        )
    pages.logit_std = None if np.isnan(deviations).all() else deviations


def earlier_features(pages: Pages, earlier: EarlierRange) -> Iterator[FeatureRecord]:
    """The records of an earlier analysis of other features, compared with all of them now."""
    for record in earlier.features():
        if record.details is not None:
            details = replace(record.details, **_compared(pages, record.index))
            yield replace(record, details=details)


def _compared(pages: Pages, index: int) -> dict[str, Any]:
    """What depends on the other features that were analyzed."""
    place, stability = index - pages.job.range.start, pages.stability
    return {
        "neighbors": _neighbors(pages, place),
        "twins": [_twin(pages, name, place) for name in pages.twins],
        "stability": None if stability is None else float(stability[place]),
    }


def _output_facts(score: OutputScore | None) -> OutputFacts | None:
    if score is None:
        return None
    raises: Table = {
        "token": np.array([token for token, _ in score.raises], np.int32),
        "change": np.array([change for _, change in score.raises], np.float32),
    }
    return OutputFacts(score.value, score.kl, raises)


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
    start = pages.job.range.start
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
    for token in range(vocabulary):
        on, sums = pages.firing.of(token)
        promoting, weights = pages.promoting.of(token)
        if len(on) or len(promoting):
            yield TokenRecord(
                token,
                {"feature": on, "sum": sums.astype(np.float32)},
                {"feature": promoting, "weight": weights.astype(np.float32)},
            )
