"""What features do to the output: tokens they promote and suppress through the unembedding."""

from collections.abc import Iterator

from torch import Tensor

_CHUNK = 512

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


def logit_weights(directions: Tensor, unembedding: Tensor, count: int) -> Iterator[LogitWeights]:
    """(promoted, suppressed) tokens of each direction, each `count` pairs of token id and weight.

    directions: [features, d_model]. unembedding: [d_model, vocabulary], as
    `LanguageModel.unembedding` gives it. The weight is what one unit of the feature adds to the
    token's logit when nothing but the final norm's weight stands between (direct logit
    attribution; Elhage et al. 2021, nostalgebraist 2020).
    """
    count = min(count, unembedding.shape[1])
    for chunk in directions.split(_CHUNK):
        logits = chunk.float() @ unembedding
        high, promoted = logits.topk(count, dim=1)
        low, suppressed = logits.topk(count, dim=1, largest=False)
        for row in range(len(chunk)):
            yield _pairs(promoted[row], high[row]), _pairs(suppressed[row], low[row])


def _pairs(tokens: Tensor, weights: Tensor) -> list[tuple[int, float]]:
    return list(zip(tokens.tolist(), weights.tolist(), strict=True))
