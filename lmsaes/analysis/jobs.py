"""The SAEs of an analysis, checked against the cache before anything is read."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lmsaes.analysis.config import AnalyzeConfig
from lmsaes.analysis.identity import made_from
from lmsaes.analysis.not_finite import check_encoder
from lmsaes.cache import ActivationCache
from lmsaes.database import SAERecord
from lmsaes.errors import ConfigError
from lmsaes.evaluation import Origin, check_fit, origin_of
from lmsaes.sae import SAE, sae_hash

LOGITS = 10
"""Tokens that a feature promotes most, and suppresses most, that are stored."""


@dataclass
class Job:
    """One SAE on its way through the analysis."""

    folder: Path
    sae: SAE
    sae_hash: str
    origin: Origin
    made_from: dict[str, Any]
    features: slice  # those that the pass looks at
    name: str = ""
    earlier: SAERecord | None = None  # an analysis of the features beside them, to be added to

    @property
    def hooks(self) -> tuple[str, ...]:
        """The hooks that it reads."""
        return self.origin.hooks

    @property
    def target(self) -> str | None:
        """The hook that it gives, where that is another one."""
        return self.origin.target

    @property
    def given(self) -> tuple[str, ...]:
        """The hooks whose activations it gives."""
        return (self.target,) if self.target else self.hooks

    @property
    def count(self) -> int:
        """How many of its features are analyzed."""
        return self.features.stop - self.features.start

    @property
    def range(self) -> slice:
        """The features that the analysis has when it is done."""
        if self.earlier is None:
            return self.features
        start, stop = self.earlier.feature_range
        return slice(min(start, self.features.start), max(stop, self.features.stop))

    @property
    def whole(self) -> bool:
        """Whether the pass looks at all of its features, so that their reconstruction is known."""
        return self.count == self.sae.features


def new_job(
    folder: Path, cache: ActivationCache, config: AnalyzeConfig, device: torch.device
) -> Job:
    """The job of one SAE folder. Raises SAEError or ConfigError where it does not fit the cache."""
    sae = SAE.load(folder, device)
    check_encoder(folder, sae)
    hooks, target = check_fit(folder, sae, cache, config.any_model)
    used = (*hooks, *([target] if target else []))
    wanted = _range(config.feature_slice, sae.features)
    own = sae_hash(folder, sae)
    settings = {
        "top": config.top,
        "samples": config.samples,
        "seed": config.seed,
        "sample_rows": config.sample_rows,
        "token_rows": config.token_rows,
        "output_scores": config.output_scores,
        "features": [wanted.start, wanted.stop],
        "logits": LOGITS,
    }
    return Job(
        folder=folder,
        sae=sae,
        sae_hash=own,
        origin=origin_of(sae, folder),
        made_from=made_from(own, cache, used, settings),
        features=wanted,
    )


def _range(features: slice | None, count: int) -> slice:
    start, stop, step = (features or slice(None)).indices(count)
    if step != 1 or stop <= start:
        raise ConfigError(
            f"there are no features {features and features.start}:{features and features.stop} "
            f"among {count}",
            "give a range such as --features 0:512",
        )
    return slice(start, stop)
