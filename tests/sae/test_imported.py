"""What SAEs of other people need: a bias on inputs far from zero, thresholds of any sign."""

from pathlib import Path

import pytest
import torch

from lmsaes.errors import SAEError
from lmsaes.sae import SAE, GatedConfig, JumpReLUConfig, ReLUConfig, SAEConfig

D = 64


def far_from_zero() -> tuple[torch.Tensor, torch.Tensor]:
    """float64 rows around a mean of norm 2760, as early residual streams have, and that mean."""
    generator = torch.Generator().manual_seed(0)
    mean = torch.randn(D, generator=generator, dtype=torch.float64)
    mean = mean * (2760 / mean.norm())
    mean = mean.float().double()
    noise = torch.randn(200, D, generator=generator, dtype=torch.float64)
    return (mean + noise).float().double(), mean


def test_an_input_bias_keeps_digits_that_folding_it_into_the_encoder_loses(tmp_path: Path):
    x, mean = far_from_zero()
    sae = SAE.create(ReLUConfig(features=256), D).double()
    W_enc = sae.W_enc.detach().float().double()  # biases are zero
    expected = ((x - mean) @ W_enc.T).relu()
    sae = sae.float()

    def difference(form: SAE) -> float:
        found = form.encode(x.float(), dense=True).detach().double()
        return float((found - expected).norm() / expected.norm())

    folded = SAE.create(ReLUConfig(features=256), D)
    with torch.no_grad():
        folded.shift_inputs(mean.float())
    sae.input_bias = mean.float()
    sae.save(tmp_path)
    assert difference(SAE.load(tmp_path)) < 1e-6
    assert difference(folded) > 1e-5


@pytest.mark.parametrize("config", [ReLUConfig(features=80), GatedConfig(features=80)])
def test_units_are_folded_around_an_input_bias(config: SAEConfig):
    sae = SAE.create(config, 8).double()
    sae.input_bias = torch.randn(8).double()
    mean, scale = torch.randn(8).double(), torch.full((8,), 0.3).double()
    raw = torch.randn(20, 8).double()
    folded = sae.fold_normalization(mean, scale, mean, scale)
    torch.testing.assert_close(folded(raw), sae((raw - mean) * scale) / scale + mean)


def test_thresholds_below_zero_are_loaded_as_zero_so_that_both_forms_agree(tmp_path: Path):
    sae = SAE.create(JumpReLUConfig(features=256), D)
    with torch.no_grad():
        sae.threshold.copy_(torch.linspace(-1, 1, 256))
    sae.save(tmp_path)
    loaded = SAE.load(tmp_path)
    x = torch.randn(50, D)
    dense = loaded.encode(x, dense=True)
    assert torch.equal(loaded.encode(x).dense(), dense)
    # relu(z)·1[z > θ], as SAELens and Gemma Scope have it
    pre = loaded.linear(x)
    assert torch.equal(dense, pre.relu() * (pre > sae.threshold))


def test_an_input_bias_of_another_width_is_refused(tmp_path: Path):
    sae = SAE.create(ReLUConfig(features=16), D)
    sae.input_bias = torch.zeros(D - 1)
    sae.save(tmp_path)
    with pytest.raises(SAEError, match=r"'input_bias' is \[63\], config.json says \[64\]"):
        SAE.load(tmp_path)
