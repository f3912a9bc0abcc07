"""What weights alone say of features: from the model, or from an earlier analysis of the SAE.

    language model ─► unembedding, heads and neurons ─┐
    database ─► an analysis of the same weights ──────────┴─► WeightFacts of each

So the model is loaded only where the database lacks them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lmsaes.analysis.jobs import LOGITS, Job
from lmsaes.analysis.logits import LogitEffects, logit_effects, writes_to_residual
from lmsaes.analysis.stored_tokens import add_stored_tokens
from lmsaes.analysis.token_pairs import BestOfTokens
from lmsaes.analysis.wiring import find_wiring
from lmsaes.cache import ActivationCache
from lmsaes.database import (
    Database,
    HookFacts,
    LogitFacts,
    SAERecord,
    Table,
    WiringFacts,
)
from lmsaes.errors import DatabaseError
from lmsaes.evaluation import load_cache_model
from lmsaes.model import LanguageModel
from lmsaes.text import token_strings

_log = logging.getLogger("lmsaes")

_BATCH = 512
_SAME = ("version", "sae", "hooks", "model_config", "model_weights", "tokenizer", "logits")
"""What weight facts depend on, of all that an analysis is made from."""


@dataclass(frozen=True, slots=True)
class WeightFacts:
    """One feature's direct effect on logits, and the parts of the model around it."""

    promotes: Sequence[tuple[int, float]]
    suppresses: Sequence[tuple[int, float]]
    logits: LogitFacts | None
    hooks: Sequence[HookFacts]
    wiring: WiringFacts | None


class WeightSource:
    """Where the weight facts of a run's SAEs come from, and the token strings.

    Loads the model when it is made, unless the database has the facts of every SAE. Raises
    ModelError where it can't be loaded, or isn't the one that the cache was made with.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        cache: ActivationCache,
        database: Database,
        model: str | None,
        device: str | None = None,
    ) -> None:
        """device: where the model is to run; None where only its weights are needed."""
        self._database = database
        found = {job.name: _donor_of(job, database) for job in jobs}
        self._donors = {name: donor for name, donor in found.items() if donor is not None}
        self.lm: LanguageModel | None = None
        if device is None and len(self._donors) == len(jobs):
            donor = next(iter(self._donors.values()))
            self.vocabulary = database.vocabulary(donor.vocabulary)
            _log.info("analyze: logit weights and wiring are in the database: no model is loaded")
            return
        self.lm = load_cache_model(cache, model, device or "cpu")
        self._unembedding = self.lm.unembedding()
        self.vocabulary = token_strings(self.lm.tokenizer, self._unembedding.shape[1])

    def facts(self, job: Job, promoting: BestOfTokens) -> Iterator[WeightFacts]:
        """Of each feature of the job; fills `promoting`: features of each token, by logit weight.

        Raises DatabaseError where the analysis that has them has been replaced meanwhile.
        """
        donor = self._donors.get(job.name)
        if donor is not None:
            return _stored(donor, self._database, promoting)
        if self.lm is None:
            raise ValueError(f"{job.name} is not an SAE of this run")
        return _computed(job, self.lm, self._unembedding, promoting)


# ── from the database ────────────────────────────────────────────────────────────────────────────


def _donor_of(job: Job, database: Database) -> SAERecord | None:
    """An analysis of the same features by the same weights, of whichever text."""
    range_ = job.features.start, job.features.stop
    for record in database.saes():
        same = all(record.made_from.get(each) == job.made_from[each] for each in _SAME)
        if same and record.feature_range == range_:
            return record
    return None


def _stored(donor: SAERecord, database: Database, promoting: BestOfTokens) -> Iterator[WeightFacts]:
    """Of each feature of that analysis; fills `promoting` first.

    Raises DatabaseError where it has been replaced meanwhile.
    """
    add_stored_tokens(database, donor.analysis, None, promoting)
    for first in range(*donor.feature_range, _BATCH):
        indices = range(first, min(first + _BATCH, donor.feature_range[1]))
        records = database.features(donor.analysis, indices)
        for index in indices:
            record = records.get(index)
            if record is None or record.details is None:
                raise DatabaseError(
                    f"the analysis of '{donor.name}' is being replaced",
                    "run the same command again",
                )
            details = record.details
            yield WeightFacts(
                record.promotes,
                record.suppresses,
                details.logits,
                details.hooks,
                details.wiring,
            )


# ── from the model ───────────────────────────────────────────────────────────────────────────────


def _computed(
    job: Job, lm: LanguageModel, unembedding: Tensor, promoting: BestOfTokens
) -> Iterator[WeightFacts]:
    """Of each feature of the job; fills `promoting` on the way."""
    sae = job.sae
    wiring = find_wiring(lm, sae.W_enc, sae.W_dec, job.hooks, job.given, job.features)
    for feature, effects in enumerate(_effects(job, unembedding, promoting)):
        last = effects[-1] if effects else None
        promotes, suppresses = last.block.of(last.row) if last else ([], [])
        yield WeightFacts(
            promotes,
            suppresses,
            last and _logit_facts(last.block, last.row),
            _hook_facts(job, feature, effects) if len(job.hooks) > 1 else (),
            wiring.of(feature),
        )


@dataclass(frozen=True, slots=True)
class _Effect:
    """What a feature does through one hook: a row of a block."""

    hook: str
    block: LogitEffects
    row: int


def _effects(job: Job, unembedding: Tensor, promoting: BestOfTokens) -> Iterator[list[_Effect]]:
    """Per feature its effects through each hook that the unembedding reads, in the hooks' order."""
    hooks = _residual_hooks(job, unembedding)
    if not hooks:
        yield from ([] for _ in range(job.count))
        return
    first = 0
    streams = [logit_effects(directions, unembedding, LOGITS) for directions in hooks.values()]
    for blocks in zip(*streams, strict=True):
        _add_promoting(promoting, blocks[-1].weights, job.features.start + first)
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


def _hook_facts(job: Job, feature: int, effects: list[_Effect]) -> list[HookFacts]:
    """What a crosscoder's feature does at each of its hooks."""
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
