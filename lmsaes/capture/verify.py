"""A cache against the language model that it was made with: some contexts are run once more.

    manifest ─► model, run as it was ─► rows of the cache's own tokens ─► how far stored rows are
             └► datasets ─► the same contexts tokenized again ─► whether the tokens are theirs

Digests tell what the disk did to a cache. This tells a cache of another model, of misaligned rows,
or of another text.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lmsaes.cache import ActivationCache, Channels
from lmsaes.capture.retokenize import retokenize
from lmsaes.errors import CacheError, DataError
from lmsaes.model import LanguageModel, check_dtype
from lmsaes.progress import progress

# The largest share of a value that rounding to a dtype can lose; int8's steps are a row's own.
_ROUNDING = {
    "float32": 0.0,
    "float16": 2.0**-11,
    "bfloat16": 2.0**-8,
    "int8": 0.0,
}
# Rounding errors of a forward pass add up like a random walk over its layers. In bfloat16 the
# bundled model's worst rows differ by 3.4 eps after 4 layers between its two kinds of attention.
_EPS_PER_ROOT_LAYER = 4.0
_LEAST = 1e-4  # GPUs may multiply float32 matrices with fewer bits
# Where an earlier int8 rounding is only known on average, a row may have lost more.
_OVER_AVERAGE = 4.0
_NAMED_CONTEXTS = 8


@dataclass(frozen=True)
class HookDeviation:
    """How far stored rows of a hook are from the model's, as shares of a row's norm (or of the
    mean valid row's, where that is larger).

    typical: root mean square over rows. largest, explained: of the row whose deviation is the
    largest beside what rounding explains. context, position: where that row is. rows_beyond:
    rows that rounding does not explain, which lie in `contexts_beyond`.
    """

    typical: float
    largest: float
    explained: float
    context: int
    position: int
    rows_beyond: int
    contexts_beyond: list[int]


@dataclass(frozen=True)
class Verification:
    """What came of running the model again; the cache is as it should be without `faults`.

    tokens_compared: 0 when the text can't be had; `notes` then says why.
    """

    model: str
    weights: str
    dtype: str
    attention: str
    device: str
    seed: int
    contexts: list[int]
    tokens_compared: int
    hooks: dict[str, HookDeviation]
    notes: list[str]
    faults: list[str]


def verify_against_model(
    cache: ActivationCache,
    contexts: int,
    seed: int = 0,
    model: str | None = None,
    device: str = "auto",
) -> Verification:
    """Runs the cache's model on so many random contexts and compares tokens and every hook's rows.

    model: where the model is, if not where the manifest says. Raises ModelError when it can't be
    loaded, CacheError or ConfigError when it can't be this cache's, or a block is damaged.
    """
    manifest = cache.manifest
    record = manifest.model
    count = min(contexts, cache.contexts)
    drawn = sorted(np.random.default_rng(seed).choice(cache.contexts, count, False).tolist())
    revision = None if model else record.revision
    lm = LanguageModel.load(model or record.name, device, record.dtype, revision, record.weights)
    tokens = torch.cat([cache.tokens(c, c + 1) for c in drawn])
    _check_fit(cache, lm, drawn, tokens)
    notes, faults = [], []
    if lm.record.weights_hash != record.weights_hash:
        faults.append(f"the weights of {lm.record.name} are not those that the cache was made with")
    if lm.record.config_hash != record.config_hash:
        notes.append(f"the configuration of {lm.record.name} is not the one in the manifest")
    compared = 0
    try:
        again = retokenize(manifest, drawn, lm.tokenizer, lm.vocabulary)
    except DataError as error:
        notes.append(f"tokens weren't compared: {error}")
    else:
        compared = tokens.numel()
        faults += _token_faults(drawn, tokens.numpy(), again)
    # it stays on the bridge, with its eager attention, unless the cache did not
    attention = "eager"
    if "sdpa" in manifest.compute.attention:
        attention = lm.specialize(list(cache.hooks))
    deviations = _deviations(cache, lm, drawn, tokens)
    for hook, found in deviations.items():
        if found.rows_beyond:
            faults.append(_row_fault(hook, found, tokens.numel()))
    return Verification(
        model=lm.record.name,
        weights=record.weights,
        dtype=record.dtype,
        attention=attention,
        device=str(lm.device),
        seed=seed,
        contexts=drawn,
        tokens_compared=compared,
        hooks=deviations,
        notes=notes,
        faults=faults,
    )


def _check_fit(
    cache: ActivationCache, lm: LanguageModel, drawn: Sequence[int], tokens: Tensor
) -> None:
    """Raises CacheError or ConfigError when the model can't even run these contexts."""
    name, hint = lm.record.name, "the cache is of another model, or the model has changed"
    outside = ((tokens < 0) | (tokens >= lm.vocabulary)).nonzero()
    if len(outside):
        context, position = outside[0].tolist()
        raise CacheError(
            f"context {drawn[context]}, position {position} holds token id "
            f"{tokens[context, position]}, and {name} has {lm.vocabulary} tokens",
            hint,
        )
    if lm.max_context is not None and cache.context_size > lm.max_context:
        raise CacheError(
            f"a context of {cache.context_size} tokens is longer than {name} takes "
            f"({lm.max_context})",
            hint,
        )
    for hook, shape in lm.find_hooks(list(cache.hooks)).items():
        if shape.width != (width := cache.hooks[hook].d_model):
            raise CacheError(
                f"hook '{hook}' has d_model {width} in the cache and {shape.width} in {name}",
                hint,
            )


def _token_faults(
    drawn: Sequence[int], stored: np.ndarray, again: dict[int, np.ndarray]
) -> list[str]:
    faults: list[str] = []
    for context, tokens in zip(drawn, stored, strict=True):
        differing = np.flatnonzero(tokens != again[context])
        if len(differing):
            first = differing[0]
            faults.append(
                f"context {context} is not the text's in {len(differing)} of {len(tokens)} tokens; "
                f"at position {first} it has {tokens[first]}, and the text {again[context][first]}"
            )
    return faults


def _row_fault(hook: str, found: HookDeviation, rows: int) -> str:
    named = ", ".join(map(str, found.contexts_beyond[:_NAMED_CONTEXTS]))
    more = len(found.contexts_beyond) - _NAMED_CONTEXTS
    return (
        f"hook '{hook}' is not the model's in {found.rows_beyond} of {rows} rows, of contexts "
        f"{named}{f' and {more} more' if more > 0 else ''}; the worst, context {found.context}, "
        f"position {found.position}, is {found.largest:.2g} of its norm away, and rounding "
        f"explains {found.explained:.2g}"
    )


def _deviations(
    cache: ActivationCache, lm: LanguageModel, drawn: Sequence[int], tokens: Tensor
) -> dict[str, HookDeviation]:
    """Batch after batch, so that no more than one batch's rows are in memory."""
    hooks, step = list(cache.hooks), cache.manifest.compute.batch_size
    explain = {hook: _Explained(cache, lm, hook) for hook in hooks}
    measured: dict[str, list[tuple[Tensor, Tensor]]] = {hook: [] for hook in hooks}
    with progress("running the model again", tokens.numel(), "tokens") as bar:
        for start in range(0, len(drawn), step):
            some = drawn[start : start + step]
            rows = lm.activations(tokens[start : start + step], hooks)
            for hook in hooks:
                measured[hook].append(_measure(cache, hook, some, rows[hook], explain[hook]))
            bar.advance(len(some) * cache.context_size)
    return {
        hook: _summary(drawn, *(torch.cat(each) for each in zip(*parts, strict=True)))
        for hook, parts in measured.items()
    }


class _Explained:
    """What rounding explains of the distance between a stored row and the model's."""

    def __init__(self, cache: ActivationCache, lm: LanguageModel, hook: str) -> None:
        record = cache.hooks[hook]
        statistics = record.valid or record.statistics
        self.mean_norm = statistics.mean_norm if statistics is not None else 0.0
        eps = torch.finfo(check_dtype(lm.record.dtype)).eps
        layers = max(1, int(getattr(lm.bridge.cfg, "n_layers", 1)))
        self._share = max(_EPS_PER_ROOT_LAYER * eps * math.sqrt(layers), _LEAST)
        self._fixed = 0.0
        before = {d for s in cache.manifest.sources for d in s.dtypes[hook]}
        self._share += sum(_ROUNDING[dtype] for dtype in before | {record.dtype})
        errors = [s.storage_errors[hook] or 0.0 for s in cache.manifest.sources]
        if "int8" in before and statistics is not None:
            lost = max(errors) * sum(statistics.variance)
            self._fixed = _OVER_AVERAGE * math.sqrt(lost)
        self._units = cache.units(hook)

    def __call__(self, norms: Tensor, stored: Tensor) -> Tensor:
        """Distances like `norms`, which are the mean norm or more; stored: the rows."""
        explained = norms * self._share + self._fixed * norms / max(self.mean_norm, 1e-30)
        if isinstance(self._units, Channels):
            explained += self._units.largest_error(stored)
        return explained


def _measure(
    cache: ActivationCache, hook: str, contexts: Sequence[int], rows: Tensor, explain: _Explained
) -> tuple[Tensor, Tensor]:
    """Deviations and what explains them, both [contexts, context_size], as shares of norms."""
    stored = torch.cat([cache.activations(hook, c, c + 1) for c in contexts]).float()
    rows = rows.float().cpu()
    # what is kept of values that aren't finite must be the same
    same = (stored == rows) | (stored.isnan() & rows.isnan())
    distance = torch.where(same, 0.0, stored - rows).norm(dim=-1)
    norms = rows.nan_to_num(0.0, 0.0, 0.0).norm(dim=-1).clamp_min(max(explain.mean_norm, 1e-30))
    return distance / norms, explain(norms, stored) / norms


def _summary(drawn: Sequence[int], deviations: Tensor, explained: Tensor) -> HookDeviation:
    beyond = ~(deviations <= explained)  # NaN is beyond as well
    ratio = (deviations / explained).nan_to_num(math.inf, math.inf)
    context, position = divmod(int(ratio.argmax()), ratio.shape[1])
    return HookDeviation(
        typical=deviations.double().square().mean().sqrt().item(),
        largest=deviations[context, position].item(),
        explained=explained[context, position].item(),
        context=drawn[context],
        position=position,
        rows_beyond=int(beyond.sum()),
        contexts_beyond=[drawn[i] for i in beyond.any(1).nonzero().flatten().tolist()],
    )
