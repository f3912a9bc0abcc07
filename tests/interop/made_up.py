"""SAEs of every kind with weights away from their starting values, for exports."""

from typing import Any

import torch

from lmsaes.sae import (
    SAE,
    BatchTopKConfig,
    GatedConfig,
    HierarchicalTopKConfig,
    JumpReLUConfig,
    MatryoshkaConfig,
    Metrics,
    PAnnealingConfig,
    Provenance,
    ReLUConfig,
    SAEConfig,
    TopKConfig,
)

D, FEATURES = 16, 64
RESID, Z = "blocks.1.hook_resid_post", "blocks.1.attn.hook_z"
READS, WRITES = "blocks.0.mlp.hook_in", "blocks.0.hook_mlp_out"
_SAE: dict[str, Any] = {"features": FEATURES, "hook": RESID}
TRANSCODER: dict[str, Any] = {"features": FEATURES, "hook": READS, "target": WRITES}
_LAYER_NORM: dict[str, Any] = {"normalize": "layer_norm"}

SAES: dict[str, SAEConfig] = {
    "topk": TopKConfig(k=5, **_SAE),
    "hierarchical": HierarchicalTopKConfig(k=5, **_SAE),
    "batchtopk": BatchTopKConfig(k=5, **_SAE),
    "matryoshka": MatryoshkaConfig(k=5, **_SAE),
    "jumprelu": JumpReLUConfig(threshold=0.4, **_SAE),
    "relu": ReLUConfig(**_SAE),
    "p-annealing": PAnnealingConfig(**_SAE),
    "gated": GatedConfig(**_SAE),
    "hook-z": BatchTopKConfig(features=FEATURES, hook=Z, k=5),
    "topk-whiten": TopKConfig(k=5, normalize="whiten", **_SAE),
    "topk-layer-norm": TopKConfig(
        k=5, layer_norm_eps=1e-5, layer_norm_ddof=1, **_LAYER_NORM, **_SAE
    ),
    "relu-our-layer-norm": ReLUConfig(**_LAYER_NORM, **_SAE),
    "relu-input-bias": ReLUConfig(**_SAE),
    "gated-input-bias": GatedConfig(**_SAE),
}
TRANSCODERS: dict[str, SAEConfig] = {
    "relu-transcoder": ReLUConfig(**TRANSCODER),
    "jumprelu-transcoder": JumpReLUConfig(threshold=0.4, **TRANSCODER),
    "batchtopk-skip-transcoder": BatchTopKConfig(k=5, skip=True, **TRANSCODER),
    "relu-skip-transcoder": ReLUConfig(skip=True, **TRANSCODER),
}
TOPK_TRANSCODERS: dict[str, SAEConfig] = {
    "topk-transcoder": TopKConfig(k=5, **TRANSCODER),
    "topk-skip-transcoder": TopKConfig(k=5, skip=True, **TRANSCODER),
}
PROVENANCE = Provenance(
    hooks=(RESID,),
    cache="/home/somebody/caches/made-up",
    cache_identity="0123456789abcdef",
    model="/home/somebody/models/tiny",
    dataset="/home/somebody/text.jsonl",
    context_size=64,
    prepend_bos=True,
    weights="processed",
    tokens=100_000,
    steps=25,
    batch_size=4096,
    shuffle_buffer=2**30,
    seed=3,
    lr=1e-3,
    warmup=3,
    dead_window=12_500,
    metrics=Metrics(fvu=0.25, l0=3.5, dead_fraction=0.125, rows=10_000),
)


def made_up(config: SAEConfig, name: str = "") -> SAE:
    """An SAE of this configuration; with an input bias of its own where the name says so."""
    sae = SAE.create(config, D)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in sae.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
        sae.after_update()
        if name == "topk-whiten":  # rows of several lengths
            sae.W_dec.mul_(torch.rand(FEATURES, 1, generator=generator) + 0.6)
        if hasattr(sae, "threshold") and sae.threshold.dim() == 0:
            sae.threshold.fill_(0.7)
        if name == "relu-input-bias":
            sae.input_bias = sae.b_dec.detach().clone()
        if name == "gated-input-bias":
            sae.input_bias = torch.randn(D, generator=generator)
    sae.provenance = PROVENANCE.model_copy(update={"hooks": config.inputs, "target": config.target})
    return sae.requires_grad_(False).eval()
