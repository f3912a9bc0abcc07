"""What features do to the output: tokens they promote and suppress through the unembedding."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_CHUNK = 512
_BINS = 32
_TOKENS_IN_HISTOGRAM = 8192

# Hooks whose vectors are, or are added to, the residual stream, so that the unembedding reads them.
_RESIDUAL = (
    "hook_resid_pre",
    "hook_resid_mid",
    "hook_resid_post",
    "hook_attn_out",
    "hook_mlp_out",
    "hook_embed",
)


def writes_to_residual(hook: str) -> bool:
    """Whether directions at this hook live in the residual stream's basis."""
    return hook.endswith(_RESIDUAL)


LogitWeights = tuple[list[tuple[int, float]], list[tuple[int, float]]]


@dataclass(frozen=True, slots=True)
class LogitEffects:
    """Logit weights of a block of features over the vocabulary.

    The weight is what one unit of the feature adds to the token's logit when nothing but the final
    norm's weight stands between (direct logit attribution; Elhage et al. 2021, nostalgebraist
    2020).
    """

    weights: Tensor  # float32 [features, vocabulary], valid until the next block is asked for
    promoted: np.ndarray  # int32 [features, count], largest weight first
    promoted_weights: np.ndarray  # float32
    suppressed: np.ndarray  # int32 [features, count], smallest weight first
    suppressed_weights: np.ndarray  # float32
    moments: np.ndarray  # float64 [features, 4]: mean, deviation, skewness, excess kurtosis
    histogram: np.ndarray  # int64 [features, bins], between the smallest and the largest weight

    def of(self, row: int) -> LogitWeights:
        """(promoted, suppressed) of one feature, each pairs of token id and weight."""
        return (
            _pairs(self.promoted[row], self.promoted_weights[row]),
            _pairs(self.suppressed[row], self.suppressed_weights[row]),
        )


def logit_effects(
    directions: Tensor, unembedding: Tensor, count: int, chunk: int = _CHUNK
) -> Iterator[LogitEffects]:
    """The effects of directions [features, d_model], by blocks of `chunk`.

    unembedding: [d_model, vocabulary], as `LanguageModel.unembedding` gives it. Skewness and
    kurtosis of weights that are all equal are nan. The histogram is of every token, or of every
    n-th one so that about eight thousand count.
    """
    vocabulary = unembedding.shape[1]
    count = min(count, vocabulary)
    step = max(1, vocabulary // _TOKENS_IN_HISTOGRAM)
    for block in directions.split(chunk):
        weights = block.float() @ unembedding
        high, promoted = weights.topk(count, dim=1)
        low, suppressed = weights.topk(count, dim=1, largest=False)
        yield LogitEffects(
            weights,
            promoted.cpu().numpy().astype(np.int32),
            high.cpu().numpy(),
            suppressed.cpu().numpy().astype(np.int32),
            low.cpu().numpy(),
            _moments(weights),
            _histogram(weights[:, ::step], low[:, :1], high[:, :1]),
        )


def _moments(weights: Tensor) -> np.ndarray:
    # row by row, so that a row stays in the processor's cache; sums in float64 lose nothing
    found = np.empty((len(weights), 4))
    for row, own in enumerate(weights.cpu().numpy()):
        mean = own.mean(dtype=np.float64)
        away = own - np.float32(mean)
        square = away * away
        variance = square.mean(dtype=np.float64)
        third = (square * away).mean(dtype=np.float64)
        fourth = (square * square).mean(dtype=np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            found[row] = mean, np.sqrt(variance), third / variance**1.5, fourth / variance**2 - 3
    return found


def _histogram(weights: Tensor, low: Tensor, high: Tensor) -> np.ndarray:
    width = (high - low).clamp(min=torch.finfo(torch.float32).tiny)
    bins = ((weights - low) / width * _BINS).long().clamp(0, _BINS - 1)
    rows = torch.arange(len(weights), device=weights.device)[:, None] * _BINS
    counts = torch.bincount((bins + rows).reshape(-1), minlength=len(weights) * _BINS)
    return counts.reshape(-1, _BINS).cpu().numpy()


def _pairs(tokens: np.ndarray, weights: np.ndarray) -> list[tuple[int, float]]:
    return list(zip(tokens.tolist(), weights.tolist(), strict=True))
