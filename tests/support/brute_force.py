"""What the analysis finds, found by looping over dense activations in float64."""

import numpy as np
import torch

from lmsaes.analysis.sampling import context_hashes
from lmsaes.analysis.segments import Segments, segments_of
from lmsaes.sae import SparseRows


def drawn_activations(
    contexts: int, size: int, features: int, seed: int, density: float = 0.4, levels: int = 0
) -> np.ndarray:
    """float32 [contexts, size, features], of widely different magnitudes, most of them zero.

    levels: only as many different values, so that many contexts tie.
    """
    random = np.random.default_rng(seed)
    values = random.gamma(0.6, 1.0, (contexts, size, features)) * 10.0 ** random.integers(-3, 4)
    if levels:
        values = np.ceil(values / values.max() * levels) / 4
    # larger ones come later now and then, so that ranges double on the way
    values *= np.where(random.random(contexts) < 0.1, 8.0, 1.0)[:, None, None]
    values[random.random(values.shape) > density] = 0
    return values.astype(np.float32)


def segments_in(activations: np.ndarray, first: int, stop: int) -> Segments:
    """Those of contexts `first` to `stop`, as the pass makes them."""
    chunk = torch.from_numpy(activations[first:stop])
    return segments_of(SparseRows.above(chunk.flatten(0, 1), 0.0), first, chunk.shape[1])


def interval_borders(maximum: float) -> list[float]:
    """Fifths of (0, maximum], rounded to 64ths of the power of two above it."""
    power = 2.0 ** np.ceil(np.log2(maximum))
    assert power / 2 < maximum <= power
    width = power / 64
    inner = [np.floor(i * maximum / 5 / width + 0.5) * width for i in range(5)]
    return [*inner, np.ceil(maximum / width) * width]


def sampled(contexts: list[int], count: int, seed: int) -> list[int]:
    """The `count` of the contexts with the lowest hashes, in their order."""
    hashes = context_hashes(np.array(contexts, np.int64), seed)
    return [contexts[i] for i in np.argsort(hashes)[:count]]
