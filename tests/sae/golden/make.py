"""Makes the golden SAE folders of today's format: `python -m tests.sae.golden.make`.

Each is one SAE as lmsaes saved it, and beside its weights `expected.safetensors`: rows, and the
activations and reconstruction that the code which wrote it gave for them. They are kept as they
were written. Those in format-1 are by the code before format 2 and its names for the settings.
"""

from pathlib import Path

import torch
from safetensors.torch import save_file

from lmsaes.sae import (
    SAE,
    BatchTopKConfig,
    GatedConfig,
    Imported,
    JumpReLUConfig,
    Metrics,
    PAnnealingConfig,
    Provenance,
    ReLUConfig,
    SAEConfig,
    TopKConfig,
)

D, HOOK, TARGET = 6, "blocks.1.hook_resid_pre", "blocks.1.hook_mlp_out"
CONFIGS: dict[str, SAEConfig] = {
    "topk-layer-norm": TopKConfig(
        features=16, k=3, normalize="layer_norm", layer_norm_eps=1e-5, layer_norm_ddof=1
    ),
    "batchtopk": BatchTopKConfig(features=16, k=3, aux_after=500),
    "jumprelu-input-bias": JumpReLUConfig(expansion=3, threshold=0.3, name="my-jumprelu"),
    "gated-crosscoder": GatedConfig(features=16, hooks=(HOOK, "blocks.2.hook_resid_pre")),
    "p-annealing": PAnnealingConfig(features=16, gradient="clip", clip=2.0),
    "relu-skip": ReLUConfig(features=16, target=TARGET, skip=True),
}


def made_up(config: SAEConfig) -> SAE:
    """An SAE all of whose parameters are away from their starting values."""
    d_in = D * max(1, len(config.hooks))
    sae = SAE.create(config, d_in, 4 if config.target else d_in)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in sae.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    sae.after_update()
    x = torch.randn(64, d_in, generator=generator)
    sae.training_loss(x, x[:, : sae.d_out])  # finds BatchTopK's threshold
    return sae


PROVENANCE = Provenance(
    hooks=(HOOK,),
    cache="caches/made-up",
    cache_identity="0123456789abcdef",
    model="made-up",
    dataset="made-up",
    context_size=128,
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
IMPORTED = Imported(
    format="saelens",
    source="somebody/saes/blocks.1",
    revision="abc",
    sae_id="blocks.1.hook_resid_pre",
    file_sha256={"sae_weights.safetensors": "0" * 64},
    model="made-up",
    hooks=(HOOK,),
    context_size=128,
    prepend_bos=True,
    weights="processed",
    dtype="bfloat16",
    max_relative_difference=2.5e-7,
)


def make(folder: Path) -> None:
    for name, config in CONFIGS.items():
        sae = made_up(config)
        if name == "jumprelu-input-bias":
            sae.input_bias = torch.linspace(-2, 2, D)
            sae.imported = IMPORTED
        else:
            sae.provenance = PROVENANCE
        sae.save(folder / name)
        x = 2 * torch.randn(20, sae.d_in, generator=torch.Generator().manual_seed(2)) + 1
        sae = SAE.load(folder / name)
        expected = {"x": x, "activations": sae.encode(x, dense=True), "reconstruction": sae(x)}
        save_file(expected, folder / name / "expected.safetensors")


if __name__ == "__main__":
    make(Path(__file__).parent / "format-2")
