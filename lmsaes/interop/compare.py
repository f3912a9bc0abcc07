"""Two forms of an SAE on the same rows: how far apart they are, and where other features fire."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lmsaes.errors import SAEError
from lmsaes.interop.published import Formula
from lmsaes.sae import SAE

_ROWS = 4096
_PRODUCTS = 1 << 38  # of the encoder, in all: 4096 rows of 16 thousand features by 4 thousand
_VALUES = 1 << 24  # activations at once
_SCALES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1e3, 3e3, 1e4)
_LARGEST = 1e-4
_OTHER_ROWS = 0.01


@dataclass(frozen=True)
class Difference:
    """Between two forms, on `rows` rows."""

    rows: int
    relative: float  # ‖difference of outputs‖ / ‖outputs‖, over rows with the same features
    other_rows: int  # on which other features fire: two pre-activations closer than rounding
    l0: float

    def __str__(self) -> str:
        same = f", other features on {self.other_rows} of them" if self.other_rows else ""
        return f"{self.relative:.1e} relative on {self.rows} rows (L0 {self.l0:.1f}){same}"


@torch.no_grad()
def compare(sae: SAE, formula: Formula, where: str) -> Difference:
    """`sae` against the formula of the library that it comes from, on a few thousand rows.

    Raises SAEError when they are not the same SAE.
    """
    x = _rows(sae, formula)
    chunk = max(1, _VALUES // sae.features)
    squares, error, other, firings = 0.0, 0.0, 0, 0
    for rows in x.split(chunk):
        theirs, wanted = formula(rows)
        ours, output = sae.encode(rows, dense=True), sae(rows)
        same = ((theirs != 0) == (ours != 0)).all(1)
        other += int((~same).sum())
        firings += int((ours != 0).sum())
        squares += float(wanted[same].double().square().sum())
        error += float((output - wanted)[same].double().square().sum())
    relative = (error / squares) ** 0.5 if squares else error**0.5
    found = Difference(len(x), relative, other, firings / len(x))
    if not relative <= _LARGEST or other > max(1.0, _OTHER_ROWS * len(x)):
        raise SAEError(
            f"{where} does not do here what its own formula does: {found}",
            "please report it, with the place that it comes from",
        )
    return found


def _rows(sae: SAE, formula: Formula) -> Tensor:
    """Noise around what the SAE takes for the mean, so strong that some features fire."""
    products = sae.features * sae.d_in
    rows = max(64, min(_ROWS, _PRODUCTS // products))
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(rows, sae.d_in, generator=generator)
    center = torch.zeros(sae.d_in)
    if sae.input_bias is not None:
        center = sae.input_bias
    elif not sae.transcodes:
        center = sae.b_dec.detach()
    for scale in _SCALES:
        x = center + scale * noise
        if int((formula(x[:16])[0] != 0).sum()) >= 16:
            return x
    return center + noise
