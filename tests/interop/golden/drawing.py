"""What the golden folders are drawn from: one generator, in the order of make.py."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

HERE = Path(__file__).parent
D, F, OUT, ROWS = 16, 32, 12, 24
GENERATOR = torch.Generator().manual_seed(0)


def randn(*shape: int, scale: float = 0.5) -> torch.Tensor:
    return torch.randn(*shape, generator=GENERATOR) * scale


def rows(scale: float = 1.0) -> torch.Tensor:
    return randn(ROWS, D, scale=scale)


def expect(folder: Path, x: torch.Tensor, activations: torch.Tensor, output: torch.Tensor) -> None:
    tensors = {"x": x, "activations": activations, "output": output}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: t.detach().float().contiguous() for name, t in tensors.items()},
        folder / "expected.safetensors",
    )


def randomize(sae: Any) -> None:
    """Weights of no particular length; thresholds of which some are negative."""
    with torch.no_grad():
        for name, parameter in sae.named_parameters():
            parameter.copy_(randn(*parameter.shape))
            if name == "threshold":
                parameter.abs_()
                parameter[:3] = -0.1
