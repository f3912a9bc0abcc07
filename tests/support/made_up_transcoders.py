"""Transcoders with random weights for a model's MLPs."""

from collections.abc import Sequence
from pathlib import Path

import torch

from lmsaes.model import LanguageModel
from lmsaes.sae import CONFIGS, SAE


def made_up_transcoders(
    lm: LanguageModel,
    out: Path,
    kinds: Sequence[str | None],
    skip: bool = False,
    reads: str = "mlp.hook_in",
    normalize: str = "none",
    features: int = 64,
) -> Path:
    """A folder with a transcoder of each layer's kind; None leaves a layer without one."""
    generator = torch.Generator().manual_seed(len(kinds))
    d = lm.bridge.cfg.d_model
    for layer, kind in enumerate(kinds):
        if kind is None:
            continue
        settings = {"k": 6} if kind in ("topk", "batchtopk", "hierarchical", "matryoshka") else {}
        config = CONFIGS[kind](
            name=f"layer-{layer}",
            hook=f"blocks.{layer}.{reads}",
            target=f"blocks.{layer}.hook_mlp_out",
            features=features,
            skip=skip,
            normalize=normalize,  # pyright: ignore[reportArgumentType]
            **settings,  # pyright: ignore[reportArgumentType]
        )
        sae = SAE.create(config, d, d)
        with torch.no_grad():
            for name, parameter in sae.named_parameters():
                size = {"W_dec": 0.05, "W_skip": 0.02, "W_enc": 0.1}.get(name, 0.1)
                parameter.normal_(generator=generator).mul_(size)
            for name, buffer in [*sae.named_parameters(), *sae.named_buffers()]:
                if name == "threshold":
                    buffer.fill_(0.05)
        sae.save(out / f"layer-{layer}")
    return out
