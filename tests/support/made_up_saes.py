"""SAEs with random weights for hooks of any model, for tests of what is done with them."""

import torch

from lmsaes.sae import SAE, ReLUConfig, SAEConfig, TopKConfig

WIDTH = 48


def made_up_sae(
    d_in: int,
    d_out: int | None = None,
    kind: type[SAEConfig] = TopKConfig,
    seed: int = 0,
    **settings: object,
) -> SAE:
    """An SAE whose features fire on ordinary activations; `settings` as hook, target or hooks."""
    given = {"k": 8} if issubclass(kind, TopKConfig) else {}
    config = kind.model_validate({"features": WIDTH, "seed": seed, **given, **settings})
    sae = SAE.create(config, d_in, d_out)
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        sae.W_dec.copy_(torch.randn(sae.W_dec.shape, generator=random))
        sae.W_dec.div_(sae.W_dec.norm(dim=1, keepdim=True))
        sae.b_dec.copy_(0.1 * torch.randn(sae.b_dec.shape, generator=random))
        sae.b_enc.copy_(0.1 * torch.randn(sae.b_enc.shape, generator=random))
    return sae.requires_grad_(False).eval()


def every_kind(width: int) -> dict[str, SAE]:
    """Of one hook, trained with layer norm, a transcoder with a skip, and a crosscoder."""
    residual = "blocks.1.hook_resid_post"
    return {
        "sae": made_up_sae(width, hook=residual),
        "layer norm": made_up_sae(width, kind=ReLUConfig, hook=residual, normalize="layer_norm"),
        "transcoder": made_up_sae(
            width, hook="blocks.1.hook_resid_mid", target="blocks.1.hook_mlp_out", skip=True
        ),
        "crosscoder": made_up_sae(
            2 * width, hooks=("blocks.0.hook_resid_post", "blocks.1.hook_resid_post")
        ),
    }
