"""SAEs of which something is not finite are refused by name, before anything is stored."""

from pathlib import Path

import numpy as np
import torch

from lmsaes.analysis.segments import Segments
from lmsaes.errors import SAEError
from lmsaes.sae import SAE, row_norms

_LARGEST = torch.finfo(torch.float32).max


def check_encoder(folder: Path, sae: SAE) -> None:
    """Raises SAEError for weights so large that activations can overflow.

    A product of two infinities would be NaN, and look like a feature that doesn't fire. Rows of a
    cache have norms of at most 2^62: where the square of a feature's norm is finite, so are its
    activations.
    """
    huge = ~row_norms(sae.W_enc).square().isfinite()
    if bool(huge.any()):
        bad = int(huge.nonzero()[0])
        raise SAEError(
            f"{folder} has encoder weights so large that activations overflow: feature {bad}",
            "train it again with a smaller lr",
        )


def check_activations(folder: Path, segments: Segments, first: int) -> None:
    """Raises SAEError for activations that are not finite; `first` is feature 0's number."""
    if not np.isfinite(segments.peaks).all():
        bad = int(segments.features[~np.isfinite(segments.peaks)][0]) + first
        raise SAEError(f"{folder} has activations that are not finite: feature {bad}")


def check_error(folder: Path, squared_error: float) -> float:
    """The squared error of some rows. Raises SAEError where it is not finite in float32: the
    reconstruction isn't, either.
    """
    if not squared_error <= _LARGEST:
        raise SAEError(f"{folder} has a reconstruction that is not finite")
    return squared_error
